"""Unit vectors: the direction of a vector of any length."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Image, VectorConstraint, Vectorwise
from ..elementary import direction, sum_tolerance


class UnitVector(VectorConstraint):
    """Vectors of `size` numbers with Euclidean norm one.

    The base measure is the area of the sphere.
    """

    def contains(self, value: Float[Array, "... n"]) -> Bool[Array, "..."]:
        return jnp.abs((value**2).sum(-1) - 1) <= sum_tolerance(value)


class Direction(Vectorwise):
    """x = y / |y|, a redundant map: |y| does not affect x.

    The log-determinant is 0. The auxiliary density is that of |y|, whose distribution does not
    depend on x: see `elementary.direction`. Densities without the Jacobian leave it out too.

    Source: Marsaglia (1972); Stan reference manual, "Unit vector", with another distribution of
    the length.
    """

    @property
    def is_redundant(self) -> bool:
        return True

    def image(self, y: Float[Array, "n"]) -> Image:
        value, auxiliary = direction(y)
        return Image(value, jnp.zeros((), y.dtype), auxiliary, {})

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        return x
