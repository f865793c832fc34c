"""Couplings keep one half of a vector and map the other with parameters computed from it."""

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


def coupling(size, kind, **settings):
    return bj.Coupling(size, TRANSFORMERS[kind], key=KEY, width=16, **settings)


# Splines compile slowly, and two numbers test the same formulas as many.
CASES = [
    (2, False, "affine"),
    (3, True, "affine"),
    pytest.param(10, False, "affine", marks=pytest.mark.slow),
    pytest.param(50, False, "affine", marks=pytest.mark.slow),
    (2, False, "spline"),
    pytest.param(3, True, "spline", marks=pytest.mark.slow),
    pytest.param(10, False, "spline", marks=pytest.mark.slow),
    pytest.param(50, False, "spline", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("size", "flipped", "kind"), CASES)
def test_coupling_passes_the_check(size, flipped, kind):
    perturbed = perturb(coupling(size, kind, flipped=flipped))
    with jax.numpy_dtype_promotion("strict"):
        bj.check_bijector(perturbed, bj.Real(), (size,), float32=SINGLE, float64=DOUBLE, points=50)


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_a_new_coupling_is_the_identity(kind):
    y = 3 * np.random.default_rng(0).standard_normal(5)
    new = coupling(5, kind)
    x, log_det = jax.jit(lambda y: new.forward_and_log_det(y))(y)
    np.testing.assert_allclose(x, y, atol=1e-14)
    np.testing.assert_allclose(log_det, 0, atol=1e-14)


@pytest.mark.parametrize("flipped", [False, True])
def test_one_half_is_unchanged_and_each_other_number_depends_on_it_and_itself(flipped):
    perturbed = perturb(coupling(5, "affine", flipped=flipped))
    y = np.random.default_rng(0).standard_normal(5)
    jacobian = np.asarray(jax.jit(jax.jacfwd(lambda y: perturbed.forward(y)))(y))
    read = np.arange(5) >= 2 if flipped else np.arange(5) < 2
    pattern = np.where(read[:, None], False, read[None, :]) | np.eye(5, dtype=bool)
    np.testing.assert_array_equal(jacobian != 0, pattern)
    np.testing.assert_array_equal(np.diagonal(jacobian)[read], 1)


def test_a_coupling_without_hidden_layers_agrees_with_its_formula():
    """Without a hidden layer, x_2 = 3 y_1 + exp(s) y_2 with s = 2 tanh(0.5 y_1 / 2)."""
    linear = bj.Coupling(2, bj.BoundedAffine(bound=2.0), key=KEY, depth=0)
    weight = lambda c: c.conditioner.network.layers[0].weight  # noqa: E731
    linear = eqx.tree_at(weight, linear, jnp.array([[3.0], [0.5]]))
    x, log_det = linear.forward_and_log_det(jnp.array([0.7, -1.1]))
    s = 2 * np.tanh(0.5 * 0.7 / 2)
    np.testing.assert_allclose(x, [0.7, 3 * 0.7 - 1.1 * np.exp(s)], rtol=1e-14)
    np.testing.assert_allclose(log_det, s, rtol=1e-14)


def test_inverse_log_det_is_minus_that_of_the_image():
    perturbed = perturb(coupling(5, "spline"))
    y = np.random.default_rng(0).standard_normal(5)
    x, log_det = jax.jit(lambda y: perturbed.forward_and_log_det(y))(y)
    back, inverse_log_det = jax.jit(lambda x: perturbed.inverse_and_log_det(x))(x)
    np.testing.assert_allclose(back, y, rtol=1e-10)
    np.testing.assert_allclose(inverse_log_det, -log_det, rtol=1e-10)


def test_every_leaf_has_a_gradient_after_at_most_one_step():
    def loss(flow):
        return (flow.forward(jnp.arange(1.0, 6.0)) ** 2).sum()

    new = coupling(5, "affine")
    slopes = jax.jit(jax.grad(loss))
    step = lambda leaf, slope: np.asarray(leaf) - 1e-3 * np.asarray(slope)  # noqa: E731
    stepped = jax.tree.map(step, new, slopes(new))
    for leaf in jax.tree.leaves(slopes(stepped)):
        assert np.abs(leaf).max() > 0


def test_couplings_with_equal_settings_share_one_program():
    one, other = (bj.Coupling(3, bj.BoundedAffine(), key=jax.random.key(k)) for k in (0, 1))
    assert jax.tree.structure(one) == jax.tree.structure(other)


def test_a_batch_shares_the_network():
    perturbed = perturb(coupling(3, "affine"))
    y = np.random.default_rng(0).standard_normal((4, 3))
    image = jax.jit(lambda y: bj.Over(perturbed, (4,)).image(y))(y)
    one_by_one = jax.jit(jax.vmap(lambda y: perturbed.forward(y)))(y)
    np.testing.assert_allclose(image.value, one_by_one, rtol=1e-14)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 1, "transformer": bj.BoundedAffine()}, "the size is 1"),
        ({"size": 2, "transformer": bj.Exp()}, r"the transformer is Exp\(\)"),
        ({"size": 2, "transformer": bj.Triangular(np.zeros(1), np.eye(1))}, "transformer is Tri"),
        ({"size": 2, "transformer": bj.BoundedAffine(), "width": 0}, "has width 0 and depth 2"),
        ({"size": 2, "transformer": bj.BoundedAffine(), "depth": -1}, "width 64 and depth -1"),
    ],
)
def test_invalid_settings_raise(settings, message):
    with pytest.raises(bj.BijectorError, match=message):
        bj.Coupling(**settings, key=KEY)
