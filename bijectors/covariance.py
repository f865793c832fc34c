"""Positive definite matrices, covariance matrices among them."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .base import Constraint
from .elementary import read_triangle


class PositiveDefinite(Constraint):
    """Symmetric positive definite matrices.

    The base measure is that of the entries on and below the diagonal.
    """

    @property
    def event_ndims(self) -> int:
        return 2

    def contains(self, value: Float[Array, "... k k"]) -> Bool[Array, "..."]:
        symmetric = jnp.all(value == jnp.swapaxes(value, -2, -1), (-2, -1))
        values = jnp.linalg.eigvalsh(value)
        # Singular to rounding belongs to the set.
        slack = 8 * value.shape[-1] * jnp.finfo(value.dtype).eps * values[..., -1]
        return symmetric & (values[..., 0] >= -slack) & jnp.isfinite(values[..., -1])

    def coordinates(self, value: Float[Array, "k k"]) -> Float[Array, "n"]:
        return read_triangle(value)
