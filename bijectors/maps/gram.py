"""The product of a lower-triangular matrix with its transpose."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import Bijector, Image, MatrixBijector, Shape, bijection


class Gram(MatrixBijector):
    """x = L L^T, with L from a map onto Cholesky factors.

    To the log-determinant of that map this adds k log 2 + sum_i (k - i + 1) log L_ii, with rows
    i from 1. With a unit diagonal only the entries below it are free, and it adds
    sum_i (k - i) log L_ii. By-products: `cholesky` and `log_diagonal` of L.

    Attributes:
        factor: The map onto the factors; its by-product is `log_diagonal`.
        unit_diagonal: Whether the diagonal of x is one.

    Source: Stan reference manual, "Covariance matrices" and "Correlation matrices".
    """

    factor: Bijector
    unit_diagonal: bool = eqx.field(static=True, default=False)

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return self.factor.unconstrained_shape(event_shape)

    def find_entries(self, event_shape: Shape) -> list[Shape]:
        return self.factor.find_entries(event_shape)

    def image(self, y: Float[Array, "n"]) -> Image:
        inner = self.factor.image(y)
        log_diagonal = inner.by_products["log_diagonal"]
        order = log_diagonal.shape[0]
        square = inner.value @ inner.value.T
        # A computed product is symmetric, and has a unit diagonal, only up to rounding.
        below = jnp.tril(square, -1)
        ones = jnp.ones(order, y.dtype)
        diagonal = ones if self.unit_diagonal else jnp.diagonal(square)
        free = order - jnp.arange(1, order + 1, dtype=y.dtype)
        weights, constant = (free, 0.0) if self.unit_diagonal else (free + 1, math.log(2.0))
        log_det = inner.log_det + (weights * log_diagonal).sum() + order * constant
        value = below + below.T + jnp.diag(diagonal)
        return bijection(value, log_det, log_diagonal=log_diagonal, cholesky=inner.value)

    def inverse(self, x: Float[Array, "k k"]) -> Float[Array, "n"]:
        return self.factor.inverse(jnp.linalg.cholesky(x))
