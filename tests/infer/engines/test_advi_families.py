"""ADVI recovers normals of every size in the families that contain them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import bijectors as bj
import infer
from infer.engines.advi import ADVITuning
from infer.engines.batch_and_match import MatchTuning
from infer.numerics.families.full_rank import DenseNormal
from infer.target import Components

SLOW = pytest.mark.slow


def independent(size):
    return infer.declared(lambda v: -0.5 * (v["x"] ** 2).sum(), {"x": bj.Real(shape=(size,))})


def correlated(size):
    """Make the normal with unit variances and correlations 0.5, from its closed precision."""
    return infer.declared(
        lambda v: v["x"].sum() ** 2 / (size + 1) - (v["x"] ** 2).sum(),
        {"x": bj.Real(shape=(size,))},
    )


CASES = [
    pytest.param("full_rank", correlated, 2, False),
    pytest.param("low_rank", correlated, 2, False),
    pytest.param("full_rank", correlated, 20, True, marks=SLOW),
    *[
        pytest.param("full_rank", make, size, x64, marks=SLOW)
        for make in (independent, correlated)
        for size in (100, 300, 1000)
        for x64 in (False, True)
        if size < 1000 or not x64
    ],
    *[pytest.param("mean_field", independent, size, False, marks=SLOW) for size in (2, 100, 1000)],
    *[pytest.param("low_rank", independent, size, False, marks=SLOW) for size in (100, 1000)],
]


@pytest.mark.parametrize(("family", "make", "size", "x64"), CASES)
def test_a_normal_is_found_within_two_percent(family, make, size, x64):
    jax.config.update("jax_enable_x64", x64)
    try:
        fit = infer.fit(make(size), infer.ADVI(family), progress=False)
        draws = fit.positions(20_000, key=3)
    finally:
        jax.config.update("jax_enable_x64", True)
    assert fit.converged
    np.testing.assert_allclose(fit.distribution.location, 0, atol=0.02)
    np.testing.assert_allclose(fit.distribution.sd, 1, rtol=0.02)
    # The standard error of a correlation is 0.005 at most.
    truth = 0.5 if make is correlated else 0.0
    assert abs(np.corrcoef(draws[:, :2].T)[0, 1] - truth) < 0.03


def regression(site, y):
    level = site("level", dist.Normal(0.0, 3.0))
    slope = site("slope", dist.Normal(0.0, 3.0), shape=(2,))
    site.observe("y", dist.Normal(level + slope.sum(), 1.0), y)


MODEL = infer.model(regression, y=np.array([1.0, 2.0, 1.5]))


@pytest.fixture(scope="module")
def blocks():
    engine = infer.ADVI(infer.Blocks({"slope": "full_rank"}))
    return infer.fit(MODEL, engine, progress=False)


def test_blocks_follow_correlations_within_a_block_alone(blocks):
    """The optimum of independent blocks has the inverse of the precision's diagonal blocks."""
    precision = np.full((3, 3), 3.0) + np.eye(3) / 9
    draws = blocks.positions(20_000, key=1)
    # Sites are in the order of the model: the level, then the slopes.
    level, inner = 1 / precision[0, 0], np.linalg.inv(precision[1:, 1:])
    np.testing.assert_allclose(draws[:, 0].std(), np.sqrt(level), rtol=0.03)
    np.testing.assert_allclose(np.cov(draws[:, 1:].T), inner, rtol=0.06)
    assert blocks.converged


def test_a_fit_keeps_the_elbo_of_its_epochs(blocks):
    trace = blocks.trace
    assert len(trace.epoch) == len(trace.elbo) == len(trace.error)
    # A long trace keeps every second epoch, or fewer.
    stride = trace.epoch[-1] - trace.epoch[-2]
    ended = np.isclose(-blocks.losses[-stride:], trace.elbo[-1], rtol=1e-7, atol=0)
    assert ended.sum() == 1
    assert trace.elbo[-1] > trace.elbo[0]


def test_unknown_sites_of_blocks_are_refused():
    with pytest.raises(infer.EngineError, match="there is no site 'slop'"):
        infer.fit(MODEL, infer.ADVI(infer.Blocks({"slop": "full_rank"})), progress=False)
    with pytest.raises(infer.EngineError, match="does not know where the sites are"):
        infer.start(MODEL, infer.ADVI(infer.Blocks({"slope": "full_rank"})), progress=False)
    twice = infer.Blocks({"slope": "full_rank", ("slope", "level"): "full_rank"})
    with pytest.raises(infer.EngineError, match="two blocks"):
        infer.fit(MODEL, infer.ADVI(twice), progress=False)


def test_a_flow_of_one_coordinate_is_refused():
    with pytest.raises(infer.EngineError, match="one coordinate"):
        infer.fit(independent(1), infer.ADVI("flow"), progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mean_field", "full_rank"])
def test_any_optimizer_finds_the_same_optimum(family):
    engine = infer.ADVI(family, optimizer=optax.adam(0.05), initial_scale=0.5)
    fit = infer.fit(independent(3), engine, progress=False)
    np.testing.assert_allclose(fit.distribution.location, 0, atol=0.02)
    np.testing.assert_allclose(fit.distribution.sd, 1, rtol=0.02)


@pytest.mark.slow
def test_a_warm_up_of_the_divergence_ends_at_the_same_optimum():
    plain, warmed = (
        infer.fit(MODEL, infer.ADVI(kl_warmup=epochs, tolerance=0.003), progress=False)
        for epochs in (0, 20)
    )
    difference = warmed.distribution.location - plain.distribution.location
    np.testing.assert_allclose(difference / plain.distribution.sd, 0, atol=0.02)
    np.testing.assert_allclose(warmed.distribution.sd, plain.distribution.sd, rtol=0.02)


def test_epochs_of_one_step_settle():
    assert infer.fit(MODEL, infer.ADVI("full_rank", epoch=1), progress=False).converged


@pytest.mark.parametrize(
    ("engine", "kind"),
    [(infer.ADVI("full_rank"), ADVITuning), (infer.BatchAndMatch(), MatchTuning)],
)
def test_a_determinant_is_computed_only_where_a_window_begins(engine, kind):
    """A window is entered again with each block; LAPACK took half the time of a fit.

    Sampling begins with it, after any number of windows, since its ELBO is that of the fit.
    """
    tuning = kind(*(np.ones(()) for _ in dataclasses.fields(kind)))

    @jax.jit
    def enter(epochs, warming):
        position = jnp.zeros(3)
        state = engine.init(position, Components(jnp.zeros(()), position, position))
        drifted = DenseNormal(position, 2 * jnp.eye(3), jnp.asarray(17.0))
        state = state._replace(distribution=drifted, epochs=epochs)
        return engine.enter(tuning, state, jnp.asarray(warming)).distribution.log_scale

    np.testing.assert_allclose(enter(jnp.int32(7), True), 17.0)
    np.testing.assert_allclose(enter(jnp.int32(20), True), 3 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(enter(jnp.int32(30), True), 17.0)
    np.testing.assert_allclose(enter(jnp.int32(30), False), 3 * np.log(2), rtol=1e-6)


def test_a_stored_epoch_between_two_records_ends_with_its_last_one():
    """Each of its seven steps was recorded; today one in ten is, and 50 are never made."""
    tuning = ADVITuning(*(np.ones(()) for _ in dataclasses.fields(ADVITuning)))
    engine, position = infer.ADVI("full_rank"), jnp.arange(2.0)
    state = engine.init(position, Components(jnp.zeros(()), position, position))
    state, first = engine._end_tick(tuning, state._replace(ticks=jnp.int32(47)), 10)
    state, tick = engine._end_tick(tuning, state._replace(ticks=jnp.int32(57)), 10)
    assert [bool(first.complete), bool(tick.complete)] == [False, True]
    assert (int(state.ticks), int(state.epochs)) == (0, 1)
    np.testing.assert_array_equal(tick.position, state.distribution.pack())
