"""Posteriors of a tree of posteriordb, if it is at hand, have the densities of Stan programs."""

import json
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import infer
from benchmarks.posteriordb import model_of
from benchmarks.suite.posteriors import Posterior, names

from ....test_posteriordb import TREE, pytestmark as needs_tree
from .compared import compare_values

pytest.importorskip("stanli")
pytest.importorskip("bridgestan")

PUBLIC = TREE / "public"
POSTERIORS = names(PUBLIC) if (PUBLIC / "index.json").exists() else []
pytestmark = [needs_tree, pytest.mark.slow]


@pytest.mark.parametrize("name", [n for n in POSTERIORS if Posterior(PUBLIC, n).has_stan])
def test_density_and_gradient_in_jax_are_those_of_stan(name):
    posterior = Posterior(PUBLIC, name)
    stan = posterior.case().stan
    assert stan is not None, "the program is missing"
    # Stan itself skips data that a program does not declare; we refuse them.
    words = set(re.findall(r"\w+", stan.code.partition("parameters")[0]))
    given = json.loads(Path(str(stan.data)).read_text())
    known = {key: value for key, value in given.items() if key in words}
    theirs = infer.log_density(infer.from_stan(stan.code, known))
    log_prob, supports, data = posterior.parts
    order = [own for own in theirs.constrain(jnp.zeros(theirs.size)) if own in supports]
    ours = infer.log_density(model_of(log_prob, {own: supports[own] for own in order}, data))
    slope, expected = compare_values(theirs, ours, 1.0)
    steep = np.abs(expected).max(1, keepdims=True)
    np.testing.assert_allclose(slope / steep, expected / steep, atol=1e-9)
