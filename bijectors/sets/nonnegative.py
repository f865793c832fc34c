"""The nonnegative numbers, zero included: the map rounds to it."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import ScalarConstraint


class Nonnegative(ScalarConstraint):
    """Finite numbers that are zero or above."""

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return (value >= 0) & jnp.isfinite(value)
