"""The nonnegative numbers: zero belongs to the set, and a map reaches it by rounding."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Constraint


class Nonnegative(Constraint):
    """Finite numbers of zero or more."""

    @property
    def event_ndims(self) -> int:
        return 0

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return (value >= 0) & jnp.isfinite(value)
