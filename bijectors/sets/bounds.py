"""Numbers above a lower bound or below an upper bound, with a shifted exponential as map."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ..base import (
    ArrayLike,
    Elementwise,
    Image,
    ScalarConstraint,
    bijection,
    cast_like,
    holds_unless_traced,
)
from ..errors import BijectorError


class GreaterThan(ScalarConstraint):
    """Finite numbers above `low`, which has shape () or broadcasts over the batch axes."""

    low: ArrayLike

    def __check_init__(self) -> None:
        _refuse_infinite("GreaterThan", self.low)

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return (value > cast_like(self.low, value)) & jnp.isfinite(value)


class LessThan(ScalarConstraint):
    """Finite numbers below `high`, which has shape () or broadcasts over the batch axes."""

    high: ArrayLike

    def __check_init__(self) -> None:
        _refuse_infinite("LessThan", self.high)

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return (value < cast_like(self.high, value)) & jnp.isfinite(value)


def _refuse_infinite(name: str, bound: ArrayLike) -> None:
    if not holds_unless_traced(np.isfinite, bound):
        raise BijectorError(name, f"its bound is {bound}", "Give a finite bound, or use Real.")


class ExpAbove(Elementwise):
    """x = low + exp(y), with log-determinant y."""

    low: ArrayLike

    @classmethod
    def of(cls, constraint: GreaterThan) -> "ExpAbove":
        """Make the map onto one set."""
        return cls(constraint.low)

    def image(self, y: Float[Array, ""]) -> Image:
        return bijection(cast_like(self.low, y) + jnp.exp(y), y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.log(x - cast_like(self.low, x))


class ExpBelow(Elementwise):
    """x = high - exp(y), with log-determinant y."""

    high: ArrayLike

    @classmethod
    def of(cls, constraint: LessThan) -> "ExpBelow":
        """Make the map onto one set."""
        return cls(constraint.high)

    def image(self, y: Float[Array, ""]) -> Image:
        return bijection(cast_like(self.high, y) - jnp.exp(y), y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.log(cast_like(self.high, x) - x)
