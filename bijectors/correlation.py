"""Correlation matrices, as the square of their Cholesky factor."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .base import Bijector, Constraint, Image, Shape, bijection
from .elementary import read_below_diagonal


class Correlation(Constraint):
    """Symmetric positive semidefinite matrices with ones on the diagonal.

    The base measure is that of the strictly lower entries.
    """

    @property
    def event_ndims(self) -> int:
        return 2

    def contains(self, value: Float[Array, "... k k"]) -> Bool[Array, "..."]:
        slack = 8 * value.shape[-1] * math.sqrt(value.shape[-1]) * jnp.finfo(value.dtype).eps
        ones = jnp.all(jnp.abs(jnp.diagonal(value, axis1=-2, axis2=-1) - 1) <= slack, -1)
        symmetric = jnp.all(value == jnp.swapaxes(value, -2, -1), (-2, -1))
        return ones & symmetric & (jnp.linalg.eigvalsh(value)[..., 0] >= -slack)

    def coordinates(self, value: Float[Array, "k k"]) -> Float[Array, "n"]:
        return read_below_diagonal(value)


class Squared(Bijector):
    """x = L L^T, with L from a map onto Cholesky factors of correlation matrices.

    With rows i from 1, the log-determinant grows by sum_i (k - i) log L_ii.
    By-products: `cholesky` and `log_diagonal` of L.

    Source: Stan reference manual, "Correlation matrices".
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
        weights = order - jnp.arange(1, order + 1, dtype=y.dtype)
        square = inner.value @ inner.value.T
        # A product of floats is symmetric and of unit diagonal only up to rounding.
        value = jnp.tril(square, -1) + jnp.tril(square, -1).T + jnp.eye(order, dtype=y.dtype)
        log_det = inner.log_det + (weights * log_diagonal).sum()
        return bijection(value, log_det, log_diagonal=log_diagonal, cholesky=inner.value)

    def inverse(self, x: Float[Array, "k k"]) -> Float[Array, "n"]:
        return self.factor.inverse(jnp.linalg.cholesky(x))
