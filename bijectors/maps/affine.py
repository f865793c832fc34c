"""Shift and scale, for a non-centered parameterization or with parameters to learn."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import ArrayLike, Elementwise, Image, bijection, cast_like
from ..errors import BijectorError


class Affine(Elementwise):
    """x = location + scale * y, with log-determinant log|scale|.

    The by-product `standardized` is y, without the rounding errors of (x - location) / scale.
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

    Its parameters may be any real numbers; with zeros, the default, it is the identity. The
    bound keeps compositions of such maps finite while they are being learned.

    Attributes:
        location: Value at y = 0.
        log_scale: The number s before it is bounded; the two agree near zero.
        bound: Upper limit of |s|, above zero.

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
        s = self._bounded_log_scale(y)
        return bijection(cast_like(self.location, y) + jnp.exp(s) * y, s)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return (x - cast_like(self.location, x)) * jnp.exp(-self._bounded_log_scale(x))

    def _bounded_log_scale(self, like: Array) -> Array:
        return self.bound * jnp.tanh(cast_like(self.log_scale, like) / self.bound)
