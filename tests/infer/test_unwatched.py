"""Calls without a type checker: each mistake is explained, before anything compiles."""

import inspect
import json
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.calls import HOMES, MEANT, THEIRS
from infer.counts import as_shape, as_whole

from . import unwatched


@pytest.fixture(scope="module")
def raised():
    """Make all mistakes in a process of their own, in which beartype checks no call."""
    command = [sys.executable, "-m", unwatched.__name__]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", unwatched.MISTAKES)
def test_a_mistake_is_explained_before_anything_compiles(raised, name):
    made = unwatched.MISTAKES[name]
    error, message, compiled = raised[name]
    assert error == made.error, message
    for word in made.words:
        assert word in message
    assert compiled == 0 or made.may_compile


def test_integers_of_any_type_are_accepted():
    for number in (3, np.int64(3), np.uint8(3), np.array(3), jnp.array(3)):
        found = as_whole("chains", number, 1)
        assert (found, type(found)) == (3, int)
    for shape in (3, np.int64(3), [3], (np.int32(3),), np.array([3]), np.array(3)):
        assert as_shape("x", shape) == (3,)
    assert as_shape("x", ()) == ()


def test_shapes_and_sizes_are_read_as_by_numpy():
    def function(site):
        site("x", dist.Normal(0.0, 1.0), shape=np.int64(2))
        site("y", dist.Normal(0.0, 1.0), shape=[2])
        with site.plate("rows", np.int64(2)):
            site("z", dist.Normal(0.0, 1.0))

    density = infer.log_density(infer.model(function))
    assert [site.shape for site in density.latent] == [(2,), (2,), (2,)]


def test_every_translated_keyword_is_an_argument_of_a_call_or_an_engine():
    calls = (
        *(infer.sample, infer.fit, infer.explain, infer.check, infer.calibrate),
        *(infer.model, infer.declared),
    )
    engines = (infer.NUTS, infer.HMC, infer.MAP, infer.ADVI)
    site = infer.models.fronts.dsl.sites.Sites
    sites = (site.__call__, site.observe, site.plate)
    known = {n for call in (*calls, *engines, *sites) for n in _parameters(call)}
    assert set(THEIRS) <= known
    assert set(HOMES) <= known
    assert not any(word in ours for word, ours in MEANT.items())


def _parameters(call):
    return inspect.signature(call).parameters


def test_checked_calls_keep_their_signatures():
    assert list(_parameters(infer.sample))[:4] == ["model", "engine", "chains", "draws"]
    assert list(_parameters(infer.NUTS))[:2] == ["max_depth", "target_acceptance"]


def test_an_error_inside_a_valid_call_is_not_translated():
    def function(site):
        raise TypeError("of the user's own")

    with pytest.raises(TypeError, match="of the user's own") as caught:
        infer.log_density(infer.model(function))
    assert not isinstance(caught.value, infer.CallError)
