"""Nonnegative vectors with a given sum, with a scaled softmax as map."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Image, Shape, VectorBijector, VectorConstraint, bijection
from ..elementary import from_sum_to_zero, normalize_exponentials, sum_to_zero, sum_tolerance


class Budget(VectorConstraint):
    """Nonnegative vectors of `size` numbers that sum to `total`."""

    total: float = eqx.field(static=True, default=1.0)

    def contains(self, value: Float[Array, "... k"]) -> Bool[Array, "..."]:
        error = jnp.abs(value.sum(-1) - self.total)
        return jnp.all(value >= 0, -1) & (error <= self.total * sum_tolerance(value))

    def coordinates(self, value: Float[Array, "k"]) -> Float[Array, "n"]:
        return value[:-1]


class ScaledSoftmax(VectorBijector):
    """x = total * softmax(sum_to_zero(y))."""

    total: float = eqx.field(static=True)

    @classmethod
    def of(cls, constraint: Budget) -> "ScaledSoftmax":
        """Make the map onto one set."""
        return cls(constraint.total)

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return (event_shape[0] - 1,)

    def image(self, y: Float[Array, "n"]) -> Image:
        value, _, log_total = normalize_exponentials(sum_to_zero(y))
        count = y.shape[0] + 1
        log_det = 0.5 * math.log(count) - count * log_total + (count - 1) * math.log(self.total)
        return bijection(self.total * value, log_det)

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "n"]:
        return from_sum_to_zero(jnp.log(x))
