"""Sets of integers, which have no map from the reals and are refused with the site's name."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Num

from ..base import ArrayLike, Constraint, ScalarConstraint, cast_like


class Discrete(Constraint):
    """A set that no smooth map reaches: possible for an observed site, not for a latent one."""


class Boolean(Discrete, ScalarConstraint):
    """Zero and one."""

    def contains(self, value: Num[Array, "..."]) -> Bool[Array, "..."]:
        return (value == 0) | (value == 1)


class Integers(Discrete, ScalarConstraint):
    """Integers from `low` to `high`, either of which may be infinite."""

    low: ArrayLike = -jnp.inf
    high: ArrayLike = jnp.inf

    def contains(self, value: Num[Array, "..."]) -> Bool[Array, "..."]:
        low, high = (cast_like(bound, jnp.zeros((), float)) for bound in (self.low, self.high))
        return (value == jnp.floor(value)) & (value >= low) & (value <= high)


class Counts(Discrete):
    """Vectors of nonnegative integers that sum to `total`."""

    total: ArrayLike = eqx.field()

    @property
    def event_ndims(self) -> int:
        return 1

    def contains(self, value: Num[Array, "... k"]) -> Bool[Array, "..."]:
        whole = jnp.all((value == jnp.floor(value)) & (value >= 0), -1)
        return whole & (value.sum(-1) == cast_like(self.total, value))
