"""Relative to a reference, a log density in single precision keeps its significant digits."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.engines.slice import INSIDE
from infer.programs.rewrite import list_equations
from infer.target import Components

ROWS = 300_000
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, ROWS)).astype(np.float32)
# Some rows are outliers, so that the log density is -1e7, where single precision resolves 1.
Y[: ROWS // 10] += 25
NEAR, FAR = np.float32(2.5), np.float32(2.503)


def line(site, x, y):
    slope = site("slope", dist.Normal(0.0, 1.0))
    site.observe("y", dist.Normal(slope * x, 1.0), y)


def exact(slope):
    x, y, slope = X.astype(np.float64), Y.astype(np.float64), np.float64(slope)
    return -0.5 * ((y - slope * x) ** 2).sum() - 0.5 * slope**2


@pytest.fixture(scope="module")
def density():
    return infer.log_density(infer.model(line, x=X, y=Y))


def at(slope):
    return jnp.asarray([slope], jnp.float32)


def test_a_difference_is_accurate_although_the_log_density_is_rounded(density):
    reference, _ = jax.jit(density.evaluate)(at(NEAR))
    assert reference.dtype == jnp.float32
    assert np.spacing(np.abs(np.float32(reference))) >= 0.5
    beyond = jax.jit(lambda q: density.evaluate_from(q, reference))
    (here, _), (there, gradient) = beyond(at(NEAR)), beyond(at(FAR))
    np.testing.assert_allclose(there - here, exact(FAR) - exact(NEAR), atol=0.05)
    plain = jax.jit(jax.grad(lambda q: density(q)))(at(FAR))
    np.testing.assert_allclose(gradient, plain, rtol=1e-5)


def test_a_density_of_zero_is_told_from_one_that_is_not_a_number():
    """Outside of its support: the logarithm of 0 and of -1."""

    def log_density(values, outside):
        return jnp.where(values["x"] > 0, -0.5 * values["x"] ** 2, jnp.log(outside))

    for outside, expected in ((0.0, -np.inf), (-1.0, np.nan)):
        model = infer.declared(log_density, {"x": bj.Real()}, data=outside)
        density = infer.log_density(model)
        found = jax.jit(density.value_from)(at(-1.0), jnp.float32(3.0))
        np.testing.assert_array_equal(found, np.float32(expected))
        np.testing.assert_allclose(density.value_from(at(2.0), jnp.float32(3.0)), -5.0, rtol=1e-6)


def test_a_gradient_does_not_ask_whether_the_sum_is_finite(density):
    """XLA would compute the whole sum in each kernel of the gradient that asks."""
    gradient = jax.grad(lambda q: density.value_from(q, jnp.float32(3.0)))
    needed = {own.primitive.name for own in list_equations(jax.make_jaxpr(gradient)(at(NEAR)))}
    assert "mul" in needed
    assert "is_finite" not in needed


def test_the_difference_is_plain_in_double_precision(density):
    reference, _ = jax.jit(density.evaluate)(np.array([2.5]))
    value, _ = jax.jit(density.evaluate_from)(np.array([2.503]), reference)
    np.testing.assert_allclose(value, exact(2.503) - exact(2.5), rtol=1e-6)


@pytest.fixture(scope="module")
def start(density):
    """The start of chains, and its log density relative to a reference."""
    target = replace(density, gradient=None)
    reference = jax.jit(target)(at(0))
    return target, at(0), reference, target.value_from(at(0), reference)


def test_metropolis_accepts_by_the_accurate_difference(start):
    target, position, reference, relative = start
    engine = infer.RandomWalk()
    tuning = engine.first_tuning(target, np.asarray(position)[None], np.zeros((1, 0)))
    state = engine.init(position, Components(reference, position, position))
    tuning = eqx.tree_at(lambda t: t.step_size, tuning, np.float32(0.002))
    state = engine.enter(tuning, state, jnp.asarray(False))
    state = state._replace(log_density=relative)
    for key in jax.random.split(jax.random.key(0), 4):
        own, _ = jax.random.split(jax.random.fold_in(key, 0))
        there = engine._propose(own, tuning.moves, jnp.float32(0.002), position).position
        expected = min(1, np.exp(exact(there.item()) - exact(0)))
        _, tick = engine.tick(key, target, tuning, state)
        assert abs(tick.stats["acceptance_rate"] - expected) < 0.05


@pytest.mark.parametrize("offset", [-0.2, 0.2])
def test_a_slice_ends_at_the_accurate_difference(start, offset):
    target, position, reference, relative = start
    engine, place = infer.Slice(), np.float32(0.002)
    tuning = engine.first_tuning(target, np.asarray(position)[None], np.zeros((1, 0)))
    state = engine.init(position, Components(reference, position, position))
    level = relative + np.float32(exact(place) - exact(0) + offset)
    state = state._replace(level=level, left=place, right=place, phase=jnp.int32(INSIDE))
    after, _ = engine.tick(jax.random.key(0), target, tuning, state)
    assert (after.position[0] == place) == (offset < 0)


def test_a_block_begins_at_the_accurate_difference(start):
    target, position, reference, relative = start
    engine = infer.Gibbs({"slope": infer.RandomWalk()}).bind({"slope": slice(0, 1)})
    state = engine.init(position, Components(reference, position, position))
    after, _ = engine._refresh(target, state)
    assert abs(relative) > 0.1
    own = after.states[0]
    np.testing.assert_allclose(own.reference + own.log_density, relative, atol=0.05)
