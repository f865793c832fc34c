"""Matrices whose rows, or columns, each belong to a simplex."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Bijector, Image, MatrixBijector, MatrixConstraint, Shape, bijection
from ..elementary import sum_tolerance


class Stochastic(MatrixConstraint):
    """Nonnegative matrices whose rows (or columns) sum to one.

    The base measure is Lebesgue in all entries but the last of each row (or column).

    Attributes:
        columns: Whether the columns, and not the rows, sum to one.
    """

    columns: bool = eqx.field(static=True, default=False)

    def contains(self, value: Float[Array, "... r c"]) -> Bool[Array, "..."]:
        axis = -2 if self.columns else -1
        sums = jnp.all(jnp.abs(value.sum(axis) - 1) <= sum_tolerance(value, axis), -1)
        return sums & jnp.all(value >= 0, (-2, -1))

    def coordinates(self, value: Float[Array, "r c"]) -> Float[Array, "n"]:
        return (value.T if self.columns else value)[:, :-1].reshape(-1)


class RowByRow(MatrixBijector):
    """One map onto vectors, repeated for each row, or column, of a matrix.

    Attributes:
        each: The map onto one row or column.
        columns: Whether it is repeated for the columns.
    """

    each: Bijector
    columns: bool = eqx.field(static=True, default=False)

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        rows, length = event_shape[::-1] if self.columns else event_shape
        return (rows, *self.each.unconstrained_shape((length,)))

    def image(self, y: Float[Array, "r n"]) -> Image:
        images = jax.vmap(self.each.image)(y)
        orient = jnp.transpose if self.columns else jnp.asarray
        by_products = {name: orient(a) for name, a in images.by_products.items()}
        return bijection(orient(images.value), images.log_det.sum(), **by_products)

    def inverse(self, x: Float[Array, "r c"]) -> Float[Array, "n k"]:
        return jax.vmap(self.each.inverse)(x.T if self.columns else x)
