"""Maps that are not tied to a set pass the same check."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj

FACTOR = np.array([[2.0, 0.0, 0.0], [0.5, -1.0, 0.0], [0.3, 0.2, 0.7]])
TRIANGULAR = bj.Triangular(np.arange(3.0), FACTOR)
PERMUTE = bj.Permute((2, 0, 1))
WIDE = {"float32": bj.Domain(80.0, 1e-2), "float64": bj.Domain(400.0, 1e-9)}
NEAR = {"float32": bj.Domain(4.0, 1e-3), "float64": bj.Domain(8.0, 1e-6)}

MAPS = [
    ("affine", bj.Affine(0.5, -2.0), bj.Real(), (2,), WIDE),
    ("bounded affine", bj.BoundedAffine(0.5, -2.0, bound=1.5), bj.Real(), (2,), WIDE),
    ("tanh", bj.Tanh(), bj.Interval(-1.0, 1.0), (), NEAR),
    ("sinh-arcsinh", bj.SinhArcsinh(0.3, 0.8), bj.Real(), (), WIDE),
    ("heavier tails", bj.SinhArcsinh(-0.5, 1.4), bj.Real(), (2,), WIDE),
    ("bent upwards", bj.BoxCox(0.4), bj.GreaterThan(-2.5), (), NEAR),
    ("bent downwards", bj.BoxCox(-0.4), bj.LessThan(2.5), (), NEAR),
    ("straight or bent", bj.BoxCox(np.array([0.0, 1e-5, 0.1])), bj.Real(), (3,), NEAR),
    ("triangular", TRIANGULAR, bj.Real(), (3,), WIDE),
    ("batch of triangular", TRIANGULAR, bj.Real(), (2, 3), WIDE),
    ("permute", PERMUTE, bj.Real(), (3,), WIDE),
    ("inverse", bj.Invert(bj.SinhArcsinh(0.3, 0.8)), bj.Real(), (), WIDE),
    ("batch of inverses", bj.Invert(TRIANGULAR), bj.Real(), (2, 3), WIDE),
    ("batch of chains", bj.Chain(PERMUTE, TRIANGULAR), bj.Real(), (2, 3), WIDE),
    ("by autodiff", bj.Monotone(lambda y: y + 0.5 * jnp.tanh(y)), bj.Real(), (), WIDE),
    ("falling", bj.Monotone(lambda y: -(y**3) - y), bj.Real(), (), NEAR),
]


class Vector(bj.Constraint):
    """Finite vectors, for maps that mix their coordinates."""

    @property
    def event_ndims(self):
        return 1

    def contains(self, value):
        return jnp.isfinite(value).all(-1)


@pytest.mark.parametrize(("name", "bijector", "constraint", "shape", "domain"), MAPS)
def test_map_passes_the_check(name, bijector, constraint, shape, domain):
    del name
    constraint = constraint if bijector.event_ndims == 0 else Vector()
    with jax.numpy_dtype_promotion("strict"):
        bj.check_bijector(bijector, constraint, shape, **domain)


def test_a_monotone_map_agrees_with_the_one_by_formula():
    by_hand = bj.Monotone(jnp.exp)
    x, log_det = by_hand.forward_and_log_det(jnp.asarray(0.7))
    np.testing.assert_allclose((x, log_det), (np.exp(0.7), 0.7), rtol=1e-14)
    np.testing.assert_allclose(by_hand.inverse(x), 0.7, rtol=1e-12)


@pytest.mark.parametrize("exponent", [1.5, -2.0, 1 / 3])
def test_log_det_of_a_power_is_that_of_its_derivative(exponent):
    y = jnp.asarray(2.3)
    x, log_det = bj.Power(exponent).forward_and_log_det(y)
    slope = jax.grad(lambda y: y**exponent)(y)
    np.testing.assert_allclose((x, log_det), (2.3**exponent, np.log(abs(slope))), rtol=1e-12)
    np.testing.assert_allclose(bj.Power(exponent).inverse(x), y, rtol=1e-12)


def test_a_bounded_affine_map_starts_as_the_identity_and_keeps_its_bound():
    assert bj.BoundedAffine().forward_and_log_det(jnp.asarray(1.7)) == (1.7, 0)
    for log_scale in (-1e30, 1e30):
        bounded = bj.BoundedAffine(0.0, log_scale, bound=2.0)
        assert bounded.image(jnp.asarray(1.0, jnp.float32)).log_det == np.sign(log_scale) * 2
    slope = jax.grad(lambda s: bj.BoundedAffine(0.0, s).image(jnp.asarray(1.0)).log_det)
    assert slope(0.0) == 1
    with pytest.raises(bj.BijectorError, match="its bound is 0"):
        bj.BoundedAffine(bound=0.0)


def test_a_permutation_and_its_gradients_use_gathers_and_no_scatters():
    y = np.array([0.3, -1.0, 2.0])
    curved = lambda y: (PERMUTE.forward(y) ** 3 * jnp.arange(1.0, 4.0)).sum()  # noqa: E731
    plain = lambda y: (y[np.array([2, 0, 1])] ** 3 * jnp.arange(1.0, 4.0)).sum()  # noqa: E731
    both = [jax.jit(lambda y, f=f: (jax.grad(f)(y), jax.hessian(f)(y))) for f in (curved, plain)]
    for one, other in zip(both[0](y), both[1](y), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)
    batch = np.stack([y, 2 * y])
    rows = jax.jit(jax.vmap(jax.grad(curved)))
    np.testing.assert_allclose(rows(batch)[1], both[1](2 * y)[0], rtol=1e-14)
    assert "scatter" not in rows.lower(batch).as_text()
    assert "scatter" in jax.jit(jax.grad(plain)).lower(y).as_text()
