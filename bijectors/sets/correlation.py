"""Correlation matrices."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Constraint
from ..elementary import is_surely_definite, read_below_diagonal


class Correlation(Constraint):
    """Symmetric positive definite matrices with ones on the diagonal.

    A matrix that is singular to rounding is no member: see `elementary.is_surely_definite`.
    The base measure is that of the strictly lower entries.
    """

    @property
    def event_ndims(self) -> int:
        return 2

    def contains(self, value: Float[Array, "... k k"]) -> Bool[Array, "..."]:
        # A sum of k rounded squares errs by about sqrt(k) units in the last place.
        slack = 8 * math.sqrt(value.shape[-1]) * jnp.finfo(value.dtype).eps
        ones = jnp.all(jnp.abs(jnp.diagonal(value, axis1=-2, axis2=-1) - 1) <= slack, -1)
        symmetric = jnp.all(value == jnp.swapaxes(value, -2, -1), (-2, -1))
        return ones & symmetric & is_surely_definite(value)

    def coordinates(self, value: Float[Array, "k k"]) -> Float[Array, "n"]:
        return read_below_diagonal(value)
