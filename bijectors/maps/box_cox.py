"""The exponential that a rate bends: a straight line at rate zero, a half-line else."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import ArrayLike, Elementwise, Image, bijection, cast_like


class BoxCox(Elementwise):
    """x = (exp(rate y) - 1) / rate, and x = y where the rate is zero.

    The log-determinant is rate * y. For a positive rate x lies above -1 / rate, for a negative
    one below it. Source: Box & Cox (1964), equation 1, read from its right to its left.
    """

    rate: ArrayLike

    def image(self, y: Float[Array, ""]) -> Image:
        rate = cast_like(self.rate, y)
        return bijection(y * _slope(rate * y), rate * y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        rate = cast_like(self.rate, x)
        straight = rate == 0
        bent = jnp.where(straight, 1.0, rate).astype(x.dtype)
        return jnp.where(straight, x, jnp.log1p(bent * x) / bent)


def _slope(t: Array) -> Array:
    """Compute (exp(t) - 1) / t, by its series near zero."""
    near = jnp.abs(t) < 1e-3
    # The singular branch is computed at 1 where it is not used, so no gradient is NaN.
    away = jnp.where(near, 1.0, t).astype(t.dtype)
    series = 1 + t / 2 * (1 + t / 3 * (1 + t / 4))
    return jnp.where(near, series, jnp.expm1(away) / away)
