"""Numbers between two bounds, mapped by the logistic function."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .base import Constraint, Elementwise, Image, Parameter, as_parameter, bijection, demand
from .elementary import softplus
from .errors import BijectorError


class Interval(Constraint):
    """Numbers between `low` and `high`, each of shape () or broadcasting over the batch."""

    low: Parameter
    high: Parameter

    def __check_init__(self) -> None:
        if not demand(
            lambda low, high: (low < high) & np.isfinite(high - low), self.low, self.high
        ):
            raise BijectorError(
                "Interval",
                f"its bounds are {self.low} and {self.high}",
                "Give finite bounds, low < high; GreaterThan, LessThan and Real need fewer.",
            )

    @property
    def event_ndims(self) -> int:
        return 0

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        # The ends belong to the set: the map reaches them by rounding.
        low, high = as_parameter(self.low, value), as_parameter(self.high, value)
        return (value >= low) & (value <= high)


class Logistic(Elementwise):
    """x = low + (high - low) / (1 + exp(-y)).

    The log-determinant is log(high - low) - log(1 + exp(y)) - log(1 + exp(-y)). The value is
    counted from the nearer bound, so that neither end loses its digits.
    """

    low: Parameter
    high: Parameter

    def image(self, y: Float[Array, ""]) -> Image:
        low, high = as_parameter(self.low, y), as_parameter(self.high, y)
        width = high - low
        value = jnp.where(y < 0, low + width * jax.nn.sigmoid(y), high - width * jax.nn.sigmoid(-y))
        return bijection(value, jnp.log(width) - softplus(y) - softplus(-y))

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        low, high = as_parameter(self.low, x), as_parameter(self.high, x)
        return jnp.log(x - low) - jnp.log(high - x)
