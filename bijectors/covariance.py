"""Positive definite matrices, as the square of their Cholesky factor."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .base import Bijector, Constraint, Image, Shape, bijection
from .elementary import read_triangle


class PositiveDefinite(Constraint):
    """Symmetric positive definite matrices, covariance matrices among them.

    The base measure is that of the entries on and below the diagonal.
    """

    @property
    def event_ndims(self) -> int:
        return 2

    def contains(self, value: Float[Array, "... k k"]) -> Bool[Array, "..."]:
        symmetric = jnp.all(value == jnp.swapaxes(value, -2, -1), (-2, -1))
        values = jnp.linalg.eigvalsh(value)
        # Singular to rounding belongs to the set.
        slack = 8 * value.shape[-1] * jnp.finfo(value.dtype).eps * values[..., -1]
        return symmetric & (values[..., 0] >= -slack) & jnp.isfinite(values[..., -1])

    def coordinates(self, value: Float[Array, "k k"]) -> Float[Array, "n"]:
        return read_triangle(value)


class SquaredFactor(Bijector):
    """x = L L^T, with L from a map onto Cholesky factors.

    With rows i from 1, the log-determinant grows by k log 2 + sum_i (k - i + 1) log L_ii.
    By-products: `cholesky` and `log_diagonal` of L.

    Source: Stan reference manual, "Covariance matrices".
    """

    factor: Bijector

    @property
    def event_ndims(self) -> int:
        return 2

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return self.factor.unconstrained_shape(event_shape)

    def image(self, y: Float[Array, "n"]) -> Image:
        inner = self.factor.image(y)
        log_diagonal = inner.by_products["log_diagonal"]
        order = log_diagonal.shape[0]
        weights = order - jnp.arange(order, dtype=y.dtype)
        square = inner.value @ inner.value.T
        value = jnp.tril(square) + jnp.tril(square, -1).T
        log_det = inner.log_det + (weights * log_diagonal).sum() + order * math.log(2.0)
        return bijection(value, log_det, log_diagonal=log_diagonal, cholesky=inner.value)

    def inverse(self, x: Float[Array, "k k"]) -> Float[Array, "n"]:
        return self.factor.inverse(jnp.linalg.cholesky(x))
