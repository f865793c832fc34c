"""The masked autoregressive map is triangular: one direction is parallel, one sequential."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj

from .flows import perturb

KEY = jax.random.key(0)
TRANSFORMERS = {"affine": bj.BoundedAffine(), "spline": bj.RationalQuadraticSpline()}
SINGLE, DOUBLE = bj.Domain(400.0, 1e-2), bj.Domain(400.0, 1e-10)


def autoregressive(size, kind="affine", **settings):
    settings = {"width": max(16, size), **settings}
    return bj.MaskedAutoregressive(size, TRANSFORMERS[kind], key=KEY, **settings)


# In 50 dimensions less noise, since errors of the sequential inverse accumulate.
CASES = [
    pytest.param(1, "affine", 0.2, marks=pytest.mark.slow),
    (2, "affine", 0.2),
    pytest.param(10, "affine", 0.2, marks=pytest.mark.slow),
    pytest.param(50, "affine", 0.1, marks=pytest.mark.slow),
    pytest.param(2, "spline", 0.2, marks=pytest.mark.slow),
    pytest.param(10, "spline", 0.2, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("size", "kind", "noise"), CASES)
def test_map_passes_the_check(size, kind, noise):
    perturbed = perturb(autoregressive(size, kind), scale=noise)
    with jax.numpy_dtype_promotion("strict"):
        bj.check_bijector(perturbed, bj.Real(), (size,), float32=SINGLE, float64=DOUBLE, points=50)


INVERTED = [
    (2, "affine"),
    pytest.param(10, "affine", marks=pytest.mark.slow),
    pytest.param(3, "spline", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("size", "kind"), INVERTED)
def test_the_inverted_map_passes_the_check(size, kind):
    perturbed = bj.Invert(perturb(autoregressive(size, kind)))
    with jax.numpy_dtype_promotion("strict"):
        bj.check_bijector(perturbed, bj.Real(), (size,), float32=SINGLE, float64=DOUBLE, points=50)


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_a_new_map_is_the_identity(kind):
    y = 3 * np.random.default_rng(0).standard_normal(5)
    new = autoregressive(5, kind)
    x, log_det = eqx.filter_jit(new.forward_and_log_det)(y)
    np.testing.assert_allclose(x, y, atol=1e-14)
    np.testing.assert_allclose(eqx.filter_jit(new.inverse)(y), y, atol=1e-14)
    np.testing.assert_allclose(log_det, 0, atol=1e-14)


@pytest.mark.parametrize(("width", "depth"), [(6, 1), (16, 2), (16, 3), (1, 0)])
def test_jacobian_is_lower_triangular_without_zeros(width, depth):
    perturbed = perturb(autoregressive(7, width=width, depth=depth))
    y = np.random.default_rng(0).standard_normal(7)
    jacobian = np.asarray(jax.jit(jax.jacfwd(lambda y: perturbed.forward(y)))(y))
    np.testing.assert_array_equal(jacobian != 0, np.tri(7, dtype=bool))


def test_a_map_without_hidden_layers_agrees_with_its_formula():
    """Without a hidden layer, x_2 = 3 y_1 + exp(s) y_2 with s = 2 tanh(0.5 y_1 / 2)."""
    linear = bj.MaskedAutoregressive(2, bj.BoundedAffine(bound=2.0), key=KEY, depth=0)
    weight = lambda m: m.conditioner.network.network.layers[0].weight  # noqa: E731
    masked = 99.0
    rows = [[masked, masked], [masked, masked], [3.0, masked], [0.5, masked]]
    linear = eqx.tree_at(weight, linear, jnp.array(rows))
    x, log_det = linear.forward_and_log_det(jnp.array([0.7, -1.1]))
    s = 2 * np.tanh(0.5 * 0.7 / 2)
    np.testing.assert_allclose(x, [0.7, 3 * 0.7 - 1.1 * np.exp(s)], rtol=1e-14)
    np.testing.assert_allclose(log_det, s, rtol=1e-14)


def test_one_direction_costs_a_single_pass():
    perturbed, y = autoregressive(5), jnp.arange(5.0)
    quick = (perturbed.forward_and_log_det, bj.Invert(perturbed).inverse_and_log_det)
    slow = (perturbed.inverse_and_log_det, bj.Invert(perturbed).forward_and_log_det)
    assert not any("scan" in str(jax.make_jaxpr(f)(y)) for f in quick)
    assert all("scan" in str(jax.make_jaxpr(f)(y)) for f in slow)


def test_sequential_direction_has_the_gradients_of_the_inverse_function():
    """With f(g(x, p), p) = x, dg/dx is f'^-1 and dg/dp is -f'^-1 df/dp."""
    perturbed, x = perturb(autoregressive(4)), jnp.array([0.3, -1.0, 2.0, 0.5])
    other = bj.Invert(perturbed)
    y = eqx.filter_jit(other.forward)(x)
    of_model = jax.jit(jax.jacrev(lambda m, y: m.forward(y), argnums=(0, 1)))
    partial, forwards = of_model(perturbed, y)
    backwards = np.linalg.inv(forwards)
    of_inverse = jax.jit(jax.jacrev(lambda m, x: bj.Invert(m).forward(x), argnums=(0, 1)))
    found, slope = of_inverse(perturbed, x)
    np.testing.assert_allclose(slope, backwards, atol=1e-12)
    for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(partial), strict=True):
        np.testing.assert_allclose(one, -np.tensordot(backwards, two, 1), atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "the size is 0"),
        ({"size": 9, "width": 7}, "of width 7 are too narrow for 8 conditionals"),
        ({"size": 2, "depth": -1}, "width 64 and depth -1"),
        ({"size": 2, "transformer": bj.Exp()}, r"the transformer is Exp\(\)"),
    ],
)
def test_invalid_settings_raise(settings, message):
    settings = {"transformer": bj.BoundedAffine(), **settings}
    with pytest.raises(bj.BijectorError, match=message):
        bj.MaskedAutoregressive(**settings, key=KEY)
