"""The rational-quadratic spline is smooth at its knots, invertible, and linear outside."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj

SINGLE, DOUBLE = bj.Domain(400.0, 2e-3), bj.Domain(400.0, 1e-10)


def bent(bins, batch=(), scale=1.0, bound=5.0):
    """A spline of random parameters."""
    spline = bj.RationalQuadraticSpline(bins, bound)
    random = np.random.default_rng(1)
    where = lambda s: (s.widths, s.heights, s.slopes)  # noqa: E731
    draws = [scale * random.standard_normal((*batch, k)) for k in (bins, bins, bins - 1)]
    return eqx.tree_at(where, spline, tuple(draws))


def knots(spline):
    """Compute the inner knots from the definition."""
    shares = np.exp(spline.widths) / np.exp(spline.widths).sum()
    shares = 1e-3 + (1 - 1e-3 * shares.size) * shares
    return spline.bound * (2 * np.cumsum(shares)[:-1] - 1)


@pytest.mark.parametrize(
    ("spline", "shape"),
    [(bent(8), ()), (bent(1), ()), (bent(4, (3,), bound=2.0), (2, 3)), (bent(16, scale=1.5), (2,))],
    ids=["eight bins", "one bin", "each its own", "steep"],
)
def test_spline_passes_the_check(spline, shape):
    with jax.numpy_dtype_promotion("strict"):
        bj.check_bijector(spline, bj.Real(), shape, float32=SINGLE, float64=DOUBLE)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_new_spline_is_the_identity(dtype):
    y = np.linspace(-7, 7, 101, dtype=dtype)
    spline = bj.RationalQuadraticSpline()
    x, log_det = jax.jit(jax.vmap(spline.forward_and_log_det))(y)
    few = 20 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(x, y, atol=few)
    np.testing.assert_allclose(jax.jit(jax.vmap(spline.inverse))(y), y, atol=few)
    np.testing.assert_allclose(log_det, 0, atol=few)


def test_value_and_slope_are_continuous_at_every_knot_and_both_ends():
    spline = bent(8)
    at = np.concatenate([[-5.0], knots(spline), [5.0]])
    value_and_slope = jax.jit(jax.vmap(jax.value_and_grad(spline.forward)))
    before, after = (value_and_slope(at + shift) for shift in (-1e-9, 1e-9))
    np.testing.assert_allclose(before, after, atol=1e-6)
    curvature = jax.jit(jax.vmap(jax.grad(jax.grad(spline.forward))))
    jump = np.asarray(curvature(at + 1e-9)) - np.asarray(curvature(at - 1e-9))
    # The curvature jumps at each knot, so these are the knots.
    assert np.abs(jump).min() > 1e-3


def test_values_and_slopes_at_inner_knots_are_the_parameters():
    spline = bent(8)
    swapped = eqx.tree_at(lambda s: s.widths, spline, spline.heights)
    x, slopes = jax.jit(jax.vmap(jax.value_and_grad(spline.forward)))(knots(spline))
    np.testing.assert_allclose(x, knots(swapped), rtol=1e-12)
    wanted = 1e-3 + np.logaddexp(0, spline.slopes + np.log(np.expm1(1 - 1e-3)))
    np.testing.assert_allclose(slopes, wanted, rtol=1e-9)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_error_of_the_inverse_is_that_of_rounding_its_argument(dtype):
    y = np.linspace(-5, 5, 2001, dtype=dtype)
    spline = bent(16, scale=2.0)
    x, log_det = jax.jit(jax.vmap(spline.forward_and_log_det))(y)
    # Slopes are 7e-4 to 112: rounding x changes y by eps |x| / slope.
    rounding = jnp.finfo(dtype).eps * 5 * (1 + np.exp(-np.asarray(log_det)))
    # Its own program: XLA would cancel what one of both undoes.
    back = np.asarray(jax.jit(jax.vmap(spline.inverse))(x))
    assert (np.abs(back - y) <= 16 * rounding).all()


def test_gradients_with_respect_to_parameters_are_finite_everywhere():
    # At 10^30 the formula of the last bin would divide infinity by infinity.
    y = jnp.asarray([-1e30, -5.0, 0.0, 5.0, 1e30], jnp.float32)
    volume = lambda spline: jax.vmap(spline.image)(y).log_det.sum()  # noqa: E731
    for leaf in jax.tree.leaves(jax.jit(jax.grad(volume))(bent(8))):
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize(("bins", "bound"), [(0, 5.0), (1000, 5.0), (8, 0.0), (8, float("nan"))])
def test_invalid_settings_raise(bins, bound):
    with pytest.raises(bj.BijectorError, match="Give 1 to 999 bins"):
        bj.RationalQuadraticSpline(bins, bound)
