"""Numbers above a lower bound or below an upper bound, mapped by a shifted exp."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .base import Constraint, Elementwise, Image, Parameter, as_parameter, bijection


class GreaterThan(Constraint):
    """Finite numbers above `low`, shape () or broadcasting over the batch."""

    low: Parameter

    @property
    def event_ndims(self) -> int:
        return 0

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return (value > as_parameter(self.low, value)) & jnp.isfinite(value)


class LessThan(Constraint):
    """Finite numbers below `high`, shape () or broadcasting over the batch."""

    high: Parameter

    @property
    def event_ndims(self) -> int:
        return 0

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return (value < as_parameter(self.high, value)) & jnp.isfinite(value)


class ExpAbove(Elementwise):
    """x = low + exp(y), with log-determinant y."""

    low: Parameter

    def image(self, y: Float[Array, ""]) -> Image:
        return bijection(as_parameter(self.low, y) + jnp.exp(y), y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.log(x - as_parameter(self.low, x))


class ExpBelow(Elementwise):
    """x = high - exp(y), with log-determinant y."""

    high: Parameter

    def image(self, y: Float[Array, ""]) -> Image:
        return bijection(as_parameter(self.high, y) - jnp.exp(y), y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.log(as_parameter(self.high, x) - x)
