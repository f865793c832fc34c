"""Correlation matrices."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import MatrixConstraint
from ..elementary import is_positive_definite, read_below_diagonal, sum_tolerance


class Correlation(MatrixConstraint):
    """Symmetric positive definite matrices with ones on the diagonal.

    A matrix that is singular up to rounding is not a member: see `elementary.is_positive_definite`.
    The base measure is Lebesgue in the entries below the diagonal.
    """

    def contains(self, value: Float[Array, "... k k"]) -> Bool[Array, "..."]:
        diagonal = jnp.diagonal(value, axis1=-2, axis2=-1)
        ones = jnp.all(jnp.abs(diagonal - 1) <= sum_tolerance(value), -1)
        return ones & is_positive_definite(value)

    def coordinates(self, value: Float[Array, "k k"]) -> Float[Array, "n"]:
        return read_below_diagonal(value)
