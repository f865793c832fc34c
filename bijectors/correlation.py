"""Correlation matrices."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .base import Constraint
from .elementary import read_below_diagonal


class Correlation(Constraint):
    """Symmetric positive semidefinite matrices with ones on the diagonal.

    The base measure is that of the strictly lower entries.
    """

    @property
    def event_ndims(self) -> int:
        return 2

    def contains(self, value: Float[Array, "... k k"]) -> Bool[Array, "..."]:
        slack = 8 * value.shape[-1] * math.sqrt(value.shape[-1]) * jnp.finfo(value.dtype).eps
        ones = jnp.all(jnp.abs(jnp.diagonal(value, axis1=-2, axis2=-1) - 1) <= slack, -1)
        symmetric = jnp.all(value == jnp.swapaxes(value, -2, -1), (-2, -1))
        return ones & symmetric & (jnp.linalg.eigvalsh(value)[..., 0] >= -slack)

    def coordinates(self, value: Float[Array, "k k"]) -> Float[Array, "n"]:
        return read_below_diagonal(value)
