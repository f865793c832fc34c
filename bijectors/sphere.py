"""Unit vectors in every orthant, as the direction of a vector that may have any length."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .base import Bijector, Constraint, Image, Shape, vector_shape
from .elementary import direction


class UnitVector(Constraint):
    """Vectors of `size` numbers of length one.

    The base measure is the area of the sphere.
    """

    size: int | None = eqx.field(static=True, default=None)

    @property
    def event_ndims(self) -> int:
        return 1

    @property
    def declared_shape(self) -> Shape:
        return vector_shape(self, self.size)

    def contains(self, value: Float[Array, "... n"]) -> Bool[Array, "..."]:
        slack = 8 * math.sqrt(value.shape[-1]) * jnp.finfo(value.dtype).eps
        return jnp.abs((value**2).sum(-1) - 1) <= slack


class Direction(Bijector):
    """x = y / |y|, a redundant map: |y| is a free coordinate.

    The log-determinant is 0. The auxiliary density gives |y| a law of its own, whatever x is;
    it is dropped where the Jacobian is. See `elementary.direction`.

    Source: Marsaglia (1972); Stan reference manual, "Unit vector", with another length.
    """

    @property
    def event_ndims(self) -> int:
        return 1

    @property
    def redundant(self) -> bool:
        return True

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return event_shape

    def image(self, y: Float[Array, "n"]) -> Image:
        value, auxiliary = direction(y)
        return Image(value, jnp.zeros((), y.dtype), auxiliary, {})

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        return x
