"""The negative numbers."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Constraint


class Negative(Constraint):
    """Finite numbers below zero."""

    @property
    def event_ndims(self) -> int:
        return 0

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return (value < 0) & jnp.isfinite(value)
