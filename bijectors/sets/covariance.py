"""Positive definite matrices, such as covariance matrices."""

from jaxtyping import Array, Bool, Float

from ..base import MatrixConstraint
from ..elementary import is_positive_definite, read_triangle


class PositiveDefinite(MatrixConstraint):
    """Symmetric positive definite matrices.

    A matrix that is singular up to rounding is not a member: see `elementary.is_positive_definite`.
    The base measure is Lebesgue in the entries on and below the diagonal.
    """

    def contains(self, value: Float[Array, "... k k"]) -> Bool[Array, "..."]:
        return is_positive_definite(value)

    def coordinates(self, value: Float[Array, "k k"]) -> Float[Array, "n"]:
        return read_triangle(value)
