"""Cholesky factors as a diagonal matrix of scales times a factor of another kind."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import Bijector, Image, MatrixBijector, Shape, bijection
from ..elementary import (
    below_diagonal_entries,
    fill_below_diagonal,
    inverse_softplus,
    log_softplus,
    read_below_diagonal,
    softplus,
    triangle_order,
)


class ScaledRows(MatrixBijector):
    """L = diag(s) C: the scales of a covariance, and the factor of its correlation.

    y is log s, followed by the unconstrained numbers of a Cholesky factor C of a correlation. To
    the log-determinant of the map onto C this adds sum_i (i log s_i - log C_ii), with rows i
    from 1: s_i is the norm of row i, and C_ii follows from the entries before it. By-product:
    `log_diagonal`.

    Attributes:
        factor: The map onto C; it has the by-product `log_diagonal`.
    """

    factor: Bijector

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return (event_shape[0] + self.factor.unconstrained_shape(event_shape)[0],)

    def find_entries(self, event_shape: Shape) -> list[Shape]:
        return [(i, i) for i in range(event_shape[0])] + self.factor.find_entries(event_shape)

    def image(self, y: Float[Array, "n"]) -> Image:
        order = triangle_order(y.shape[0])
        log_scale, inner = y[:order], self.factor.image(y[order:])
        log_diagonal = inner.by_products["log_diagonal"]
        rows = jnp.arange(1, order + 1, dtype=y.dtype)
        log_det = inner.log_det + (rows * log_scale - log_diagonal).sum()
        value = jnp.exp(log_scale)[:, None] * inner.value
        return bijection(value, log_det, log_diagonal=log_scale + log_diagonal)

    def inverse(self, x: Float[Array, "k k"]) -> Float[Array, "n"]:
        scale = jnp.sqrt((x**2).sum(-1))
        return jnp.concatenate([jnp.log(scale), self.factor.inverse(x / scale[:, None])])


class ScaledUnitRows(MatrixBijector):
    """L = diag(s) U, where U has a unit diagonal and s = softplus(y_1, ..., y_k).

    The other numbers of y are the entries of U below its diagonal. With rows i from 1, the
    log-determinant is sum_i ((i - 1) log s_i - log(1 + exp(-y_i))). By-product: `log_diagonal`.

    Source: NumPyro's ScaledUnitLowerCholeskyTransform.
    """

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return (event_shape[0] * (event_shape[0] + 1) // 2,)

    def find_entries(self, event_shape: Shape) -> list[Shape]:
        return [(i, i) for i in range(event_shape[0])] + below_diagonal_entries(event_shape[0])

    def image(self, y: Float[Array, "n"]) -> Image:
        order = triangle_order(y.shape[0])
        own = y[:order]
        log_scale = log_softplus(own)
        unit = fill_below_diagonal(y[order:]) + jnp.eye(order, dtype=y.dtype)
        before = jnp.arange(order, dtype=y.dtype)
        log_det = (before * log_scale - softplus(-own)).sum()
        return bijection(softplus(own)[:, None] * unit, log_det, log_diagonal=log_scale)

    def inverse(self, x: Float[Array, "k k"]) -> Float[Array, "n"]:
        scale = jnp.diagonal(x)
        below = read_below_diagonal(x / scale[:, None])
        return jnp.concatenate([inverse_softplus(scale), below])
