"""A peak with much of the mass and few draws is found; a posterior seen whole has none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import hard_posteriors
from infer.output.judge.peaks import measure_peak, measure_precision

CHAINS, DRAWS = 4, 1000


def measure(density, draws, mode):
    """Measure the peak at a mode by draws of shape (n, size)."""
    gradients = jax.jit(jax.vmap(jax.grad(density)))
    mode = np.asarray(mode, np.float64)
    precision = measure_precision(lambda points: np.asarray(gradients(points)), mode)
    lp = np.asarray(jax.vmap(density)(draws)).reshape(CHAINS, -1)
    return measure_peak(
        mode, float(density(mode)), precision, draws.reshape(CHAINS, -1, len(mode)), lp
    )


def normal(size, seed=0):
    return np.random.default_rng(seed).normal(size=(CHAINS * DRAWS, size))


def test_the_hessian_of_a_normal_is_its_precision():
    precision = np.linalg.inv(np.cov(normal(3)[:20].T))
    found = measure_precision(lambda points: -points @ precision, np.array([0.0, 2.0, 40.0]))
    np.testing.assert_allclose(found, precision, rtol=1e-6)


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
