"""Lower Cholesky factors: lower-triangular matrices with a positive diagonal."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ..base import Image, MatrixBijector, MatrixConstraint, Shape, bijection
from ..elementary import (
    fill_triangle,
    inverse_softplus,
    log_softplus,
    read_triangle,
    softplus,
    triangle_entries,
)
from ..errors import BijectorError


class LowerCholesky(MatrixConstraint):
    """Matrices with zeros above the diagonal and positive numbers on it.

    A matrix may have more rows than columns, as a factor of a low-rank covariance has. The base
    measure is Lebesgue in the entries on and below the diagonal.

    Attributes:
        columns: Number of columns; by default given by the shape of a member.
    """

    columns: int | None = eqx.field(static=True, default=None)

    def with_event_shape(self, event_shape: Shape) -> "LowerCholesky":
        rows, columns = event_shape
        if columns != (self.columns or columns) or rows < columns:
            raise BijectorError(
                "LowerCholesky",
                f"a value has shape {event_shape} and `columns` is {self.columns}",
                "Give it `columns` columns and at least as many rows.",
            )
        return LowerCholesky(columns=None if rows == columns else columns)

    def contains(self, value: Float[Array, "... m k"]) -> Bool[Array, "..."]:
        positive = jnp.all(jnp.diagonal(value, axis1=-2, axis2=-1) > 0, -1)
        lower = jnp.all(jnp.triu(value, 1) == 0, (-2, -1))
        return positive & lower & jnp.all(jnp.isfinite(value), (-2, -1))

    def coordinates(self, value: Float[Array, "m k"]) -> Float[Array, "n"]:
        square, rest = value[: value.shape[1]], value[value.shape[1] :]
        return jnp.concatenate([read_triangle(square), rest.reshape(-1)])


class PositiveDiagonal(MatrixBijector):
    """A diagonal exp(y) or softplus(y), and the entries below it unchanged.

    The log-determinant is that of the map of the diagonal. By-product: `log_diagonal`.

    Attributes:
        soft: Whether the diagonal is softplus(y).
        columns: Number of columns of a matrix with more rows; `None` for a square matrix.
    """

    soft: bool = eqx.field(static=True, default=False)
    columns: int | None = eqx.field(static=True, default=None)

    @classmethod
    def of(cls, constraint: LowerCholesky) -> "PositiveDiagonal":
        """Make the map onto one set, with the diagonal exp(y)."""
        return cls(columns=constraint.columns)

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        rows, columns = event_shape
        return (_triangle_size(columns) + (rows - columns) * columns,)

    def image(self, y: Float[Array, "n"]) -> Image:
        square, rest = self._split(y)
        filled = fill_triangle(square)
        own = jnp.diagonal(filled)
        diagonal = softplus(own) if self.soft else jnp.exp(own)
        log_diagonal = log_softplus(own) if self.soft else own
        log_det = -softplus(-own) if self.soft else own
        value = jnp.tril(filled, -1) + jnp.diag(diagonal)
        value = jnp.concatenate([value, rest.reshape(-1, own.shape[0])])
        return bijection(value, log_det.sum(), log_diagonal=log_diagonal)

    def inverse(self, x: Float[Array, "m k"]) -> Float[Array, "n"]:
        square, rest = x[: x.shape[1]], x[x.shape[1] :]
        diagonal = jnp.diagonal(square)
        own = inverse_softplus(diagonal) if self.soft else jnp.log(diagonal)
        packed = read_triangle(jnp.tril(square, -1) + jnp.diag(own))
        return jnp.concatenate([packed, rest.reshape(-1)])

    def find_entries(self, event_shape: Shape) -> list[Shape]:
        square, rest = self._split(np.arange(math.prod(self.unconstrained_shape(event_shape))))
        columns = event_shape[1]
        below = [(columns + i // columns, i % columns) for i in range(rest.size)]
        return triangle_entries(columns) + below

    def _split(self, y):
        count = y.shape[0] if self.columns is None else _triangle_size(self.columns)
        return y[:count], y[count:]


def _triangle_size(order: int) -> int:
    return order * (order + 1) // 2
