"""The inverse Box-Cox transform: the identity at rate zero, onto a half-line otherwise."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import ArrayLike, Elementwise, Image, bijection, cast_like


class BoxCox(Elementwise):
    """x = (exp(rate y) - 1) / rate, and x = y if the rate is zero.

    The log-determinant is rate * y. For a positive rate x is above -1 / rate, for a negative
    rate below it. Source: Box & Cox (1964), the inverse of equation 1.
    """

    rate: ArrayLike

    def image(self, y: Float[Array, ""]) -> Image:
        rate = cast_like(self.rate, y)
        return bijection(y * _expm1_over(rate * y), rate * y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        rate = cast_like(self.rate, x)
        is_zero = rate == 0
        nonzero = jnp.where(is_zero, 1.0, rate).astype(x.dtype)
        return jnp.where(is_zero, x, jnp.log1p(nonzero * x) / nonzero)


def _expm1_over(t: Array) -> Array:
    """Compute (exp(t) - 1) / t, by its series near zero."""
    near = jnp.abs(t) < 1e-3
    # Where the singular branch is not used it is evaluated at 1, so no gradient is NaN.
    away = jnp.where(near, 1.0, t).astype(t.dtype)
    series = 1 + t / 2 * (1 + t / 3 * (1 + t / 4))
    return jnp.where(near, series, jnp.expm1(away) / away)
