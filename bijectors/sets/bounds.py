"""Numbers above a lower bound or below an upper bound, mapped by a shifted exp."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ..base import (
    ArrayLike,
    Constraint,
    Elementwise,
    Image,
    bijection,
    cast_like,
    holds_unless_traced,
)
from ..errors import BijectorError


class GreaterThan(Constraint):
    """Finite numbers above `low`, shape () or broadcasting over the batch."""

    low: ArrayLike

    def __check_init__(self) -> None:
        _refuse_infinite("GreaterThan", self.low)

    @property
    def event_ndims(self) -> int:
        return 0

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return (value > cast_like(self.low, value)) & jnp.isfinite(value)


class LessThan(Constraint):
    """Finite numbers below `high`, shape () or broadcasting over the batch."""

    high: ArrayLike

    def __check_init__(self) -> None:
        _refuse_infinite("LessThan", self.high)

    @property
    def event_ndims(self) -> int:
        return 0

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return (value < cast_like(self.high, value)) & jnp.isfinite(value)


def _refuse_infinite(name: str, bound: ArrayLike) -> None:
    if not holds_unless_traced(np.isfinite, bound):
        raise BijectorError(name, f"its bound is {bound}", "Give a finite bound, or use Real.")


class ExpAbove(Elementwise):
    """x = low + exp(y), with log-determinant y."""

    low: ArrayLike

    def image(self, y: Float[Array, ""]) -> Image:
        return bijection(cast_like(self.low, y) + jnp.exp(y), y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.log(x - cast_like(self.low, x))


class ExpBelow(Elementwise):
    """x = high - exp(y), with log-determinant y."""

    high: ArrayLike

    def image(self, y: Float[Array, ""]) -> Image:
        return bijection(cast_like(self.high, y) - jnp.exp(y), y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.log(cast_like(self.high, x) - x)
