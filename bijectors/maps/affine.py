"""Shift and scale: what writes a known location and scale non-centered, or learns unknown ones."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import ArrayLike, Elementwise, Image, bijection, cast_like
from ..errors import BijectorError


class Affine(Elementwise):
    """x = location + scale * y, with log-determinant log|scale|.

    The by-product `standardized` is y, free of the rounding of (x - location) / scale.
    Source: Stan reference manual, "Affinely transformed scalar".
    """

    location: ArrayLike
    scale: ArrayLike

    def image(self, y: Float[Array, ""]) -> Image:
        location, scale = cast_like(self.location, y), cast_like(self.scale, y)
        return bijection(location + scale * y, jnp.log(jnp.abs(scale)), standardized=y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return (x - cast_like(self.location, x)) / cast_like(self.scale, x)


class BoundedAffine(Elementwise):
    """x = location + exp(s) * y with s = bound tanh(log_scale / bound), the log-determinant.

    Its parameters are free, and zeros, with which it is made, give the identity. The bound
    keeps chains of such maps finite while they learn.

    Attributes:
        location: Value at y = 0.
        log_scale: Logarithm of the scale before it is bounded, where it has slope one.
        bound: Largest absolute logarithm of the scale, above zero.

    Raises:
        BijectorError: The bound is not above zero.
    """

    location: ArrayLike = 0.0
    log_scale: ArrayLike = 0.0
    bound: float = eqx.field(static=True, default=3.0)

    def __check_init__(self) -> None:
        if not self.bound > 0:
            found, mend = f"its bound is {self.bound}", "Give a bound above zero, such as 3.0."
            raise BijectorError("BoundedAffine", found, mend)

    def image(self, y: Float[Array, ""]) -> Image:
        s = self._bounded(y)
        return bijection(cast_like(self.location, y) + jnp.exp(s) * y, s)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return (x - cast_like(self.location, x)) * jnp.exp(-self._bounded(x))

    def _bounded(self, like: Array) -> Array:
        return self.bound * jnp.tanh(cast_like(self.log_scale, like) / self.bound)
