"""Vectors of positive numbers in increasing order, mapped by cumulated exponentials."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .base import Bijector, Constraint, Image, Shape, bijection, vector_shape


class PositiveOrdered(Constraint):
    """Vectors of `size` positive numbers, none smaller than the one before it."""

    size: int | None = eqx.field(static=True, default=None)

    @property
    def event_ndims(self) -> int:
        return 1

    @property
    def declared_shape(self) -> Shape:
        return vector_shape(self, self.size)

    def contains(self, value: Float[Array, "... k"]) -> Bool[Array, "..."]:
        rising = jnp.all(jnp.diff(value) >= 0, -1)
        return rising & (value[..., 0] > 0) & jnp.all(jnp.isfinite(value), -1)


class CumulatedExpFromZero(Bijector):
    """x_1 = exp(y_1), x_k = x_{k-1} + exp(y_k), with log-determinant sum_k y_k.

    Source: Stan reference manual, "Positive ordered vector".
    """

    @property
    def event_ndims(self) -> int:
        return 1

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return event_shape

    def image(self, y: Float[Array, "k"]) -> Image:
        return bijection(jnp.cumsum(jnp.exp(y)), y.sum())

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "k"]:
        return jnp.log(jnp.diff(x, prepend=jnp.zeros(1, x.dtype)))
