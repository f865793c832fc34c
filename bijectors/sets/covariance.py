"""Positive definite matrices, covariance matrices among them."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Constraint
from ..elementary import is_surely_definite, read_triangle


class PositiveDefinite(Constraint):
    """Symmetric positive definite matrices.

    A matrix that is singular to rounding is no member: see `elementary.is_surely_definite`.
    The base measure is that of the entries on and below the diagonal.
    """

    @property
    def event_ndims(self) -> int:
        return 2

    def contains(self, value: Float[Array, "... k k"]) -> Bool[Array, "..."]:
        symmetric = jnp.all(value == jnp.swapaxes(value, -2, -1), (-2, -1))
        return symmetric & is_surely_definite(value)

    def coordinates(self, value: Float[Array, "k k"]) -> Float[Array, "n"]:
        return read_triangle(value)
