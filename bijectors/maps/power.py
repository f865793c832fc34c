"""A power, as a map of the positive numbers onto themselves."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import ArrayLike, Elementwise, Image, bijection, cast_like


class Power(Elementwise):
    """x = y^p for y > 0 and the exponent p, with log-determinant log|p| + (p - 1) log y."""

    exponent: ArrayLike

    def image(self, y: Float[Array, ""]) -> Image:
        p = cast_like(self.exponent, y)
        return bijection(y**p, jnp.log(jnp.abs(p)) + (p - 1) * jnp.log(y))

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return x ** (1 / cast_like(self.exponent, x))
