"""Vectors in decreasing order, mapped by cumulated exponentials."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .base import Bijector, Constraint, Image, Shape, bijection, vector_shape


class Descending(Constraint):
    """Vectors of `size` finite numbers, none larger than the one before it."""

    size: int | None = eqx.field(static=True, default=None)

    @property
    def event_ndims(self) -> int:
        return 1

    @property
    def declared_shape(self) -> Shape:
        return vector_shape(self, self.size)

    def contains(self, value: Float[Array, "... k"]) -> Bool[Array, "..."]:
        return jnp.all(jnp.diff(value) <= 0, -1) & jnp.all(jnp.isfinite(value), -1)


class CumulatedExpDown(Bijector):
    """x_1 = y_1, x_k = x_{k-1} - exp(y_k), with log-determinant sum_{k > 1} y_k."""

    @property
    def event_ndims(self) -> int:
        return 1

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return event_shape

    def image(self, y: Float[Array, "k"]) -> Image:
        value = jnp.cumsum(jnp.concatenate([y[:1], -jnp.exp(y[1:])]))
        return bijection(value, y[1:].sum())

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "k"]:
        return jnp.concatenate([x[:1], jnp.log(-jnp.diff(x))])
