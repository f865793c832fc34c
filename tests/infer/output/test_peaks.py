"""A peak with much of the mass and few draws is found; a posterior seen whole has none."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import hard_posteriors
from infer.output.judge.peaks import measure_peak, measure_precision
from infer.target import Target

CHAINS, DRAWS = 4, 1000


class Function(Target):
    """A log density that a function computes."""

    function: Callable = eqx.field(static=True)
    length: int = eqx.field(static=True)

    @property
    def size(self):
        return self.length

    @property
    def offers(self):
        return frozenset({"value", "gradient"})

    def evaluate(self, position):
        return jax.value_and_grad(self.function)(position)


def differences_of(density):
    gradients = jax.jit(jax.vmap(jax.grad(density)))
    return lambda points: np.asarray(gradients(points))


def measure(density, draws, mode):
    """Measure the peak at a mode by draws of shape (n, size)."""
    mode = np.asarray(mode, np.float64)
    precision = measure_precision(Function(density, len(mode)), mode, differences_of(density))
    lp = np.asarray(jax.vmap(density)(draws)).reshape(CHAINS, -1)
    return measure_peak(
        mode, float(density(mode)), precision, draws.reshape(CHAINS, -1, len(mode)), lp
    )


def normal(size, seed=0):
    return np.random.default_rng(seed).normal(size=(CHAINS * DRAWS, size))


PRECISION = np.linalg.inv(np.cov(normal(3)[:20].T))


def quadratic(x):
    return -0.5 * x @ PRECISION @ x


@jax.custom_vjp
def reverse_only(x):
    return quadratic(x)


reverse_only.defvjp(lambda x: (quadratic(x), x), lambda x, slope: (-slope * (PRECISION @ x),))


@pytest.mark.parametrize("density", [quadratic, reverse_only])
def test_the_hessian_of_a_normal_is_its_precision(density):
    mode = np.array([0.0, 2.0, 40.0])
    found = measure_precision(Function(density, 3), mode, differences_of(density))
    np.testing.assert_allclose(found, PRECISION, rtol=1e-6)


def test_the_curvature_of_a_narrow_spike_is_seen_in_single_precision():
    """Central differences step over it: their spacing is 0.005, five times its width."""

    def spike(x):
        return jnp.logaddexp(-0.5 * x @ x, 5 - 0.5e6 * x @ x)

    mode = np.zeros(2, np.float32)
    found = measure_precision(Function(spike, 2), mode, differences_of(spike))
    np.testing.assert_allclose(found, 1e6 * np.eye(2) / (1 + np.exp(-5)), rtol=1e-4, atol=1)


def test_a_spike_that_no_chain_entered_holds_half_of_the_mass():
    peak = measure(lambda x: hard_posteriors._spike({"x": x}), normal(4), np.zeros(4))
    np.testing.assert_allclose(peak.share, 0.5, atol=0.02)
    assert peak.is_unseen


@pytest.mark.parametrize("weight", [0.2, 0.7, 1e-4])
def test_a_mode_far_away_is_measured_and_a_tiny_one_is_not_reported(weight):
    def density(x):
        far = -0.5 * ((x - 30) ** 2).sum() + jnp.log(weight)
        return jnp.logaddexp(-0.5 * (x**2).sum() + jnp.log(1 - weight), far)

    peak = measure(density, normal(2), np.full(2, 30.0))
    np.testing.assert_allclose(peak.share, weight, rtol=0.1)
    assert peak.is_unseen == (weight > 0.01)


def student(x):
    return -3.0 * jnp.log1p(x**2 / 5).sum()


def wide_normal(x):
    return -0.5 * (x**2).sum()


SEEN = {
    "normal of 50": (wide_normal, normal(50), np.zeros(50)),
    "Student's t, 30 times": (
        student, np.random.default_rng(1).standard_t(5, (CHAINS * DRAWS, 30)), np.zeros(30)
    ),
    "lognormal by its logarithm": (
        lambda x: (3 * x - 3 * jnp.exp(x)).sum(),
        np.log(np.random.default_rng(2).gamma(3, 1 / 3, (CHAINS * DRAWS, 3))), np.zeros(3)
    ),
    "banana": (
        lambda x: hard_posteriors._banana({"x": x[0], "y": x[1]}),
        np.stack(list(hard_posteriors._draw_banana().values()), -1)[: CHAINS * DRAWS], np.ones(2)
    ),
    "ring": (
        lambda x: hard_posteriors._ring({"x": x}),
        hard_posteriors._draw_ring()["x"][: CHAINS * DRAWS], np.array([9.999, 0.0])
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SEEN)
def test_a_posterior_that_is_seen_whole_has_no_unseen_peak(name):
    """The banana and the ring are far from normal around their modes."""
    peak = measure(*SEEN[name])
    assert peak is None or not peak.is_unseen
