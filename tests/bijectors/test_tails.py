"""Log-determinants in the tails, in high precision."""

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import bijectors as bj

# The derivative of a saturated map is a difference of numbers alike in 170 digits.
mpmath.mp.dps = 250
TAILS = [-400.0, -90.0, -20.0, -1e-6, 0.0, 1e-6, 20.0, 90.0, 400.0]


def softplus(y):
    return mpmath.log1p(mpmath.exp(y))


def logistic(y):
    return 3 / (1 + mpmath.exp(-y))


MAPS = [
    (bj.Exp(), mpmath.exp),
    (bj.Softplus(), softplus),
    (bj.Logistic(-1.0, 2.0), logistic),
]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize(("bijector", "exact"), MAPS, ids=lambda m: getattr(m, "__name__", ""))
@pytest.mark.parametrize("y", TAILS)
def test_log_det_of_scalar_maps_keeps_its_digits(bijector, exact, y, dtype):
    y = jnp.asarray(y, dtype)
    slope = mpmath.log(mpmath.diff(exact, mpmath.mpf(float(y)), h=mpmath.mpf(10) ** -60))
    tolerance = 1e-6 if dtype == jnp.float32 else 1e-14
    log_det = float(bijector.image(y).log_det)
    np.testing.assert_allclose(log_det, float(slope), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("scale", [1.0, 30.0, 400.0])
def test_log_det_of_the_simplex_keeps_its_digits(scale):
    y = scale * np.random.default_rng(0).standard_normal(9)
    sums = [mpmath.mpf(0)] * 10
    for n, value in enumerate(y, start=1):
        w = mpmath.mpf(value) / mpmath.sqrt(n * (n + 1))
        sums = [s + w if i < n else s - n * w if i == n else s for i, s in enumerate(sums)]
    log_norm = mpmath.log(sum(mpmath.exp(s) for s in sums))
    exact = sum(s - log_norm for s in sums) + mpmath.log(10) / 2
    found = bj.SoftmaxILR().image(jnp.asarray(y)).log_det
    np.testing.assert_allclose(float(found), float(exact), rtol=1e-13)


def test_both_ends_of_an_interval_keep_their_digits():
    low, high = bj.Logistic(-1.0, 0.0), bj.Logistic(0.0, 1.0)
    y = jnp.asarray(-80.0, jnp.float32)
    np.testing.assert_allclose(float(high.forward(y)), float(mpmath.exp(-80)), rtol=1e-5)
    np.testing.assert_allclose(float(low.forward(-y)), -float(mpmath.exp(-80)), rtol=1e-5)
