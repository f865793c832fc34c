"""The negative numbers."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import ScalarConstraint


class Negative(ScalarConstraint):
    """Finite numbers below zero."""

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return (value < 0) & jnp.isfinite(value)
