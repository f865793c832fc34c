"""HMC and NUTS reach known moments.

Keys are fixed. Each moment is compared within 5 Monte Carlo standard errors: for a dozen
moments a false alarm would, with random keys, come once in 100,000 runs.
"""

import arviz as az
import numpy as np
import pytest

import infer

from .. import targets

SAMPLERS = pytest.mark.parametrize("engine", [infer.HMC(), infer.NUTS()], ids=["HMC", "NUTS"])


def z_score(draws, mean):
    """Return the deviation of the mean of draws (chain, draw) in standard errors."""
    return (draws.mean() - mean) / (draws.std() / np.sqrt(az.ess(draws, method="mean")))


@pytest.fixture(scope="module", params=["HMC", "NUTS"])
def drawn(request):
    engine = {"HMC": infer.HMC(), "NUTS": infer.NUTS()}[request.param]
    make = lambda model: infer.sample(model, engine, draws=2000, key=3)  # noqa: E731
    return make(targets.normal()), make(targets.constrained())


def test_moments_of_a_normal(drawn):
    x = np.asarray(drawn[0]["posterior"]["x"])
    for i in range(3):
        assert abs(z_score(x[..., i], targets.MEAN[i])) < 5
        for j in range(i + 1):
            product = (x[..., i] - targets.MEAN[i]) * (x[..., j] - targets.MEAN[j])
            assert abs(z_score(product, targets.COVARIANCE[i, j])) < 5


def test_moments_on_constrained_sets(drawn):
    posterior = drawn[1]["posterior"]
    for name, means in targets.CONSTRAINED_MEANS.items():
        draws = np.asarray(posterior[name]).reshape(*posterior[name].shape[:2], -1)
        for i, mean in enumerate(means.reshape(-1)):
            assert abs(z_score(draws[..., i], mean)) < 5


def test_statistics_are_plausible(drawn):
    stats = drawn[0]["sample_stats"]
    assert not stats["diverging"].any()
    assert 0.7 < float(stats["acceptance_rate"].mean()) < 0.97
    lp, energy = np.asarray(stats["lp"]), np.asarray(stats["energy"])
    # Energy is minus the log density plus a kinetic energy of mean 3 / 2.
    assert abs(z_score(energy + lp, 1.5)) < 5
    assert (energy + lp > 0).all()


@SAMPLERS
def test_a_given_step_size_reaches_the_program_without_compiling(engine):
    small = type(engine)(step_size=0.01)
    run = infer.start(targets.normal(), small, chains=1, warmup=0)
    np.testing.assert_allclose(run.advance(3).draws().stats["step_size"], 0.01)
    other = infer.start(targets.normal(), type(engine)(step_size=0.02), chains=1, warmup=0)
    np.testing.assert_allclose(other.advance(3).draws().stats["step_size"], 0.02)


def test_hmc_takes_its_trajectory_length_from_the_tuning():
    steps = {}
    for length in (0.5, 4.0):
        engine = infer.HMC(trajectory_length=length, step_size=0.1, jitter=0.0)
        run = infer.start(targets.normal(), engine, chains=1, warmup=0).advance(3)
        steps[length] = set(run.draws().stats["n_steps"].ravel())
    assert steps == {0.5: {5}, 4.0: {40}}


def test_steps_across_a_cliff_are_reported_as_divergent():
    import jax.numpy as jnp

    import bijectors as bj

    cliff = infer.declared(lambda v: jnp.where(v["x"] > 0, -v["x"], -1e6), {"x": bj.Real()})
    engine = infer.NUTS(step_size=0.5)
    run = infer.start(cliff, engine, chains=1, warmup=0, starts={"x": 0.1}).advance(50)
    stats = run.draws().stats
    assert stats["diverging"].any()
    assert np.isfinite(run.draws().positions).all()
    assert (run.draws().positions > 0).all()
