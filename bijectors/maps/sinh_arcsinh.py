"""The sinh-arcsinh map of the reals, which skews and makes tails heavier or lighter."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import ArrayLike, Elementwise, Image, bijection, cast_like
from ..elementary import softplus


class SinhArcsinh(Elementwise):
    """x = sinh(u) with u = (arcsinh(y) + skewness) * tailweight, and tailweight above zero.

    The log-determinant is log(tailweight) + log cosh(u) - log(1 + y^2) / 2.
    Source: Jones & Pewsey (2009), equation 1.
    """

    skewness: ArrayLike
    tailweight: ArrayLike

    def image(self, y: Float[Array, ""]) -> Image:
        skewness, weight = (cast_like(p, y) for p in (self.skewness, self.tailweight))
        u = (jnp.arcsinh(y) + skewness) * weight
        log_cosh = softplus(2 * u) - u - math.log(2.0)
        return bijection(jnp.sinh(u), jnp.log(weight) + log_cosh - 0.5 * jnp.log1p(y**2))

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        skewness, weight = (cast_like(p, x) for p in (self.skewness, self.tailweight))
        return jnp.sinh(jnp.arcsinh(x) / weight - skewness)
