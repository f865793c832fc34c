"""Log-determinants in the tails agree with Jacobians computed with thousands of digits."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import bijectors as bj

from ..oracles.high_precision import log_det

# The derivative of a saturated map cancels a number of digits proportional to |y|.
DIGITS = {1e-6: 60, 30.0: 500, 400.0: 3000}
TOLERANCE = {"float32": 1e-6, "float64": 1e-14}
# Larger determinants take long with thousands of digits.
LARGEST = 10


def small_bijections():
    for rule in bj.RULES:
        for case in rule.cases:
            bijector = bj.bijector_for(case.constraint, case.shape, rule.name)
            size = int(np.prod(bijector.unconstrained_shape(case.shape)))
            if not bijector.is_redundant and 0 < size <= LARGEST:
                name = f"{rule.constraint.__name__}-{rule.name}-{case.shape}"
                yield pytest.param(bijector, case, in_both_precisions(bijector), id=name)


def in_both_precisions(bijector):
    """Make one program, for all scales, of the log-determinants in float32 and in float64."""
    find = lambda y: bijector.image(y).log_det  # noqa: E731
    return jax.jit(lambda y: {t: find(y.astype(t)) for t in TOLERANCE})


def free_coordinates(bijector, case, y):
    value = bijector.image(y).value
    event = value.shape[value.ndim - case.constraint.event_ndims :]
    return jax.vmap(case.constraint.coordinates)(value.reshape(-1, *event))


@pytest.mark.parametrize(("bijector", "case", "program"), list(small_bijections()))
@pytest.mark.parametrize("scale", [1e-6, 30.0, pytest.param(400.0, marks=pytest.mark.slow)])
def test_log_determinants_keep_their_digits_in_the_tails(bijector, case, program, scale):
    rng = np.random.default_rng(1)
    draw = scale * rng.standard_normal(bijector.unconstrained_shape(case.shape))
    one = np.asarray(draw, np.float32)
    # Both tails of a map of one number.
    for y in (one, -one) if one.size == 1 else (one,):
        y = np.asarray(y, np.float64)
        exact = log_det(lambda y: free_coordinates(bijector, case, y), y, DIGITS[scale])
        for dtype, found in program(y).items():
            tolerance = TOLERANCE[dtype]
            np.testing.assert_allclose(found, exact, rtol=tolerance, atol=tolerance)


def test_the_oracle_agrees_with_a_closed_form():
    y = np.array([-400.0])
    exact = log_det(jax.nn.sigmoid, y, 500)
    with mpmath.workdps(500):
        by_hand = mpmath.log(mpmath.exp(-400) / (1 + mpmath.exp(-400)) ** 2)
    np.testing.assert_allclose(exact, float(by_hand), rtol=1e-15)


def test_values_keep_their_digits_at_both_ends_of_an_interval():
    low, high = bj.Logistic(-1.0, 0.0), bj.Logistic(0.0, 1.0)
    y = jnp.asarray(-80.0, jnp.float32)
    np.testing.assert_allclose(float(high.forward(y)), float(mpmath.exp(-80)), rtol=1e-5)
    np.testing.assert_allclose(float(low.forward(-y)), -float(mpmath.exp(-80)), rtol=1e-5)
