"""Matrices whose rows, or columns, are each a simplex."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Bijector, Constraint, Image, Shape, bijection


class Stochastic(Constraint):
    """Nonnegative matrices whose rows (or columns) sum to one.

    The base measure is that of all entries but the last of each row (or column).

    Attributes:
        columns: Whether it is the columns that sum to one.
    """

    columns: bool = eqx.field(static=True, default=False)

    @property
    def event_ndims(self) -> int:
        return 2

    def contains(self, value: Float[Array, "... r c"]) -> Bool[Array, "..."]:
        axis = -2 if self.columns else -1
        slack = 8 * math.sqrt(value.shape[axis]) * jnp.finfo(value.dtype).eps
        sums = jnp.all(jnp.abs(value.sum(axis) - 1) <= slack, -1)
        return sums & jnp.all(value >= 0, (-2, -1))

    def coordinates(self, value: Float[Array, "r c"]) -> Float[Array, "n"]:
        return (value.T if self.columns else value)[:, :-1].reshape(-1)


class RowByRow(Bijector):
    """One map of vectors for every row, or column, of a matrix."""

    each: Bijector
    columns: bool = eqx.field(static=True, default=False)

    @property
    def event_ndims(self) -> int:
        return 2

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        rows, length = event_shape[::-1] if self.columns else event_shape
        return (rows, *self.each.unconstrained_shape((length,)))

    def image(self, y: Float[Array, "r n"]) -> Image:
        images = jax.vmap(self.each.image)(y)
        turn = jnp.transpose if self.columns else jnp.asarray
        by_products = {name: turn(a) for name, a in images.by_products.items()}
        return bijection(turn(images.value), images.log_det.sum(), **by_products)

    def inverse(self, x: Float[Array, "r c"]) -> Float[Array, "n k"]:
        return jax.vmap(self.each.inverse)(x.T if self.columns else x)
