"""Angles without a boundary at plus or minus pi: the direction of a vector in the plane."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Bijector, Image, ScalarConstraint, Shape
from ..elementary import direction


class Circular(ScalarConstraint):
    """Angles in radians, from -pi to pi; both ends are the same angle."""

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        # The nearest float to pi lies a little above it in single precision.
        return jnp.abs(value) <= jnp.asarray(math.pi, value.dtype)


class Angle(Bijector):
    """x = atan2(y_2, y_1), a redundant map: |y| does not affect x.

    The log-determinant is 0. The auxiliary density is that of |y|, whose distribution does not
    depend on x: see `elementary.direction`. By-products: `cos` and `sin`.
    """

    @property
    def event_ndims(self) -> int:
        return 0

    @property
    def is_redundant(self) -> bool:
        return True

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return (2,)

    def image(self, y: Float[Array, "2"]) -> Image:
        (cos, sin), auxiliary = direction(y)
        by_products = {"cos": cos, "sin": sin}
        return Image(jnp.arctan2(y[1], y[0]), jnp.zeros((), y.dtype), auxiliary, by_products)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, "2"]:
        return jnp.stack([jnp.cos(x), jnp.sin(x)])
