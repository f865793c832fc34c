"""Numbers between two bounds, with the logistic function as map."""

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


class Interval(ScalarConstraint):
    """Numbers from `low` to `high`, which have shape () or broadcast over the batch axes."""

    low: ArrayLike
    high: ArrayLike

    def __check_init__(self) -> None:
        if not holds_unless_traced(
            lambda low, high: (low < high) & np.isfinite(high - low), self.low, self.high
        ):
            raise BijectorError(
                "Interval",
                f"its bounds are {self.low} and {self.high}",
                "Give finite bounds with low < high; for fewer bounds, use GreaterThan, LessThan "
                "or Real.",
            )

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        # The ends belong to the set, since the map rounds to them.
        low, high = cast_like(self.low, value), cast_like(self.high, value)
        return (value >= low) & (value <= high)


class Logistic(Elementwise):
    """x = low + (high - low) / (1 + exp(-y)).

    The log-determinant is log(high - low) - |y| - 2 log(1 + exp(-|y|)). The value is computed
    from the nearer bound, so that it keeps its digits at both ends. By-product if the bounds are
    the Python numbers 0 and 1: `log_shares`, log x and log(1 - x), shape (2,).
    """

    low: ArrayLike
    high: ArrayLike

    @classmethod
    def of(cls, constraint: Interval) -> "Logistic":
        """Make the map onto one set."""
        return cls(constraint.low, constraint.high)

    def image(self, y: Float[Array, ""]) -> Image:
        low, high = cast_like(self.low, y), cast_like(self.high, y)
        below = y < 0
        # Not abs, whose derivative of 0 at 0 would make second derivatives there wrong.
        distance = jnp.where(below, -y, y)
        odds = jnp.exp(-distance)
        log_rest = -jnp.log1p(odds)
        step = (high - low) * (odds / (1 + odds))
        value = jnp.where(below, low + step, high - step)
        log_det = jnp.log(high - low) - distance + 2 * log_rest
        if not self._is_unit:
            return bijection(value, log_det)
        shares = jnp.stack([jnp.where(below, y, 0.0), jnp.where(below, 0.0, -y)]) + log_rest
        return bijection(value, log_det, log_shares=shares)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        low, high = cast_like(self.low, x), cast_like(self.high, x)
        return jnp.log(x - low) - jnp.log(high - x)

    @property
    def _is_unit(self) -> bool:
        numbers = all(isinstance(bound, int | float) for bound in (self.low, self.high))
        return numbers and (self.low, self.high) == (0, 1)
