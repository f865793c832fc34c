"""Step sizes are learned from energy errors, and lengths from autocorrelations."""

import jax
import jax.numpy as jnp
import numpy as np

from infer.numerics import microcanonical

SIZE, AIM, RIGHT = 7, 5e-4, 0.3


@jax.jit
def learn(state, usable):
    """Learn from an integrator that has the target error at the step size RIGHT."""
    error = jnp.sqrt(SIZE * AIM) * (jnp.exp(state.log_step) / RIGHT) ** 3
    return microcanonical.learn(state, error, usable, SIZE, jnp.asarray(AIM))


def after(count, first, failing=lambda i: False):
    state = microcanonical.begin(jnp.asarray(first), jnp.asarray(True))
    for i in range(count):
        state = learn(state, jnp.asarray(not failing(i)))
    return float(jnp.exp(state.log_step))


def test_the_step_size_converges_to_that_of_the_target_error():
    for first in (0.03, 0.3, 2.0):
        np.testing.assert_allclose(after(600, first), RIGHT, rtol=2e-3)


def test_a_failed_step_shortens_later_steps():
    np.testing.assert_allclose(after(1, 2.0, failing=lambda i: True), 0.8 * 2.0)
    before, later = after(150, 0.25), after(200, 0.25, failing=lambda i: i == 150)
    np.testing.assert_allclose(later, 0.8 * before)


def test_the_step_size_is_fixed_outside_warm_up():
    state = microcanonical.begin(jnp.asarray(2.0), jnp.asarray(False))
    moved = learn(state, jnp.asarray(True))
    assert float(jnp.exp(moved.log_step)) == 2.0


def test_autocorrelation_times_of_autoregressions_are_right():
    """The time of an autoregression with coefficient r is (1 + r) / (1 - r)."""
    rng, memory = np.random.default_rng(1), np.array([0.0, 0.5, 0.9])
    draws = np.zeros((4, 4000, 3))
    for i in range(1, draws.shape[1]):
        noise = rng.normal(size=(4, 3)) * np.sqrt(1 - memory**2)
        draws[:, i] = memory * draws[:, i - 1] + noise
    times = microcanonical.autocorrelation_times(draws)
    np.testing.assert_allclose(times, (1 + memory) / (1 - memory), rtol=0.15)


def test_decoherence_length_is_a_share_of_the_autocorrelation_length():
    draws = np.random.default_rng(2).normal(size=(4, 1000, 2))
    np.testing.assert_allclose(microcanonical.choose_decoherence_length(draws, 5.0), 2.0, rtol=0.1)
    assert microcanonical.choose_decoherence_length(draws[:, :10], 5.0) is None


def test_chains_share_the_median_step_size():
    np.testing.assert_allclose(microcanonical.pool_steps(np.array([0.1, 0.2, 1e-9])), 0.1)
