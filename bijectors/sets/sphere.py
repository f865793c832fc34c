"""Unit vectors in every orthant, as the direction of a vector that may have any length."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Image, VectorConstraint, Vectorwise
from ..elementary import direction


class UnitVector(VectorConstraint):
    """Vectors of `size` numbers of length one.

    The base measure is the area of the sphere.
    """

    def contains(self, value: Float[Array, "... n"]) -> Bool[Array, "..."]:
        slack = 8 * math.sqrt(value.shape[-1]) * jnp.finfo(value.dtype).eps
        return jnp.abs((value**2).sum(-1) - 1) <= slack


class Direction(Vectorwise):
    """x = y / |y|, a redundant map: |y| is a free coordinate.

    The log-determinant is 0. The auxiliary density gives |y| a law of its own, whatever x is;
    it is dropped where the Jacobian is. See `elementary.direction`.

    Source: Marsaglia (1972); Stan reference manual, "Unit vector", with another length.
    """

    @property
    def is_redundant(self) -> bool:
        return True

    def image(self, y: Float[Array, "n"]) -> Image:
        value, auxiliary = direction(y)
        return Image(value, jnp.zeros((), y.dtype), auxiliary, {})

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        return x
