"""A transition of HMC or NUTS leaves the posterior invariant: Geweke's joint distribution test.

Keys are fixed. 14 moments of one model and 20 of another are compared within 4.5 standard errors:
with random keys, all comparisons of this file together would raise a false alarm once in 1000
runs. `test_joint_geometry.py` tests what changes the coordinates, the metric or the posterior.
"""

from functools import partial

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.numerics import hamiltonian, no_u_turn

from ...oracles.joint_test import first_tuning, one_draw, z_scores

# Large steps, of which many are rejected, and small ones, whose trees are deep.
ENGINES = {
    "HMC": infer.HMC(step_size=0.9, trajectory_length=2.0),
    "NUTS": infer.NUTS(step_size=0.9, max_depth=4),
    "NUTS of deep trees": infer.NUTS(step_size=0.3, max_depth=6),
}
LIMIT = 4.5


def normal(site, y):
    mean = site("mean", dist.Normal(0.0, 1.0))
    spread = site("spread", dist.LogNormal(0.0, 0.5))
    site.observe("y", dist.Normal(mean, spread), y)


def counts(site, y):
    rate = site("rate", dist.Gamma(3.0, 1.0))
    shares = site("shares", dist.Dirichlet(jnp.array([1.0, 2.0, 3.0])))
    site.observe("y", dist.Poisson(3 * rate * shares), y)


MODELS = {"normal": (normal, np.zeros(3)), "counts": (counts, np.zeros(3, int))}


def largest_z(model, engine, series=2000):
    function, y = MODELS[model]
    density = infer.log_density(infer.model(function, y=infer.data(y)))
    transition = partial(one_draw, ENGINES[engine], first_tuning(ENGINES[engine], density))
    return np.abs(z_scores(density, transition, series=series, turns=100, key=1)).max()


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_transition_leaves_the_joint_distribution_invariant(engine, model):
    assert largest_z(model, engine) < LIMIT


def always(log_weight):
    """Accept every proposal that does not diverge."""
    return jnp.where(log_weight > -5, 0.0, log_weight)


def halved(log_weight):
    """Weight the leaves of a tree by the square root of their density."""
    return 0.5 * log_weight


def never(*_):
    """Skip the turn checks within a tree, so that the tree depends on where it began."""
    return jnp.asarray(False)


FAULTS = {
    "HMC": (hamiltonian, "nan_as_divergence", always),
    "NUTS": (no_u_turn, "nan_as_divergence", halved),
    "NUTS of deep trees": (no_u_turn, "has_turned", never),
}


@pytest.mark.slow
@pytest.mark.parametrize("engine", FAULTS)
def test_a_planted_fault_is_detected(engine, monkeypatch):
    monkeypatch.setattr(*FAULTS[engine])
    assert largest_z("normal", engine) > 1.5 * LIMIT
