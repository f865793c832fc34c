"""Lower Cholesky factors of correlation matrices: rows of length one."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Bijector, Constraint, Image, Shape, bijection
from ..elementary import (
    below_diagonal_entries,
    fill_below_diagonal,
    log_sech_squared,
    read_below_diagonal,
)


class CorrelationCholesky(Constraint):
    """Lower-triangular matrices with rows of length one and a positive diagonal.

    The base measure is that of the strictly lower entries.
    """

    @property
    def event_ndims(self) -> int:
        return 2

    def contains(self, value: Float[Array, "... k k"]) -> Bool[Array, "..."]:
        slack = 8 * math.sqrt(value.shape[-1]) * jnp.finfo(value.dtype).eps
        lengths = jnp.all(jnp.abs((value**2).sum(-1) - 1) <= slack, -1)
        positive = jnp.all(jnp.diagonal(value, axis1=-2, axis2=-1) > 0, -1)
        return lengths & positive & jnp.all(jnp.triu(value, 1) == 0, (-2, -1))

    def coordinates(self, value: Float[Array, "k k"]) -> Float[Array, "n"]:
        return read_below_diagonal(value)


class NormalizedRows(Bijector):
    """Row i of k is (y_i, sqrt(k), 0, ...) divided by its length, y_i of i - 1 numbers.

    The log-determinant is -sum_i (i + 1) log(1 + |y_i|^2 / k) / 2 - k (k - 1) log(k) / 4.
    By-product: `log_diagonal`, -log(1 + |y_i|^2 / k) / 2.

    The root keeps the matrix L L^T well conditioned in any number of rows: for y uniform on
    (-2, 2) and k = 50 its smallest eigenvalue has the median 0.05. Without the root it is 1e-15,
    which single precision loses altogether.

    Source: TFP's CorrelationCholesky, without the root; the volume is that of a central
    projection, row by row. Eigenvalues: Viswanath & Trefethen (1998), "Condition numbers of
    random triangular matrices".
    """

    @property
    def event_ndims(self) -> int:
        return 2

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        order = event_shape[0]
        return (order * (order - 1) // 2,)

    def entries(self, event_shape: Shape) -> list[Shape]:
        return below_diagonal_entries(event_shape[0])

    def image(self, y: Float[Array, "n"]) -> Image:
        lower = fill_below_diagonal(y)
        order = lower.shape[0]
        squares = (lower**2).sum(-1)
        log_length = 0.5 * jnp.log1p(squares / order)
        rows = jnp.arange(1, order + 1, dtype=y.dtype)
        diagonal = math.sqrt(order) * jnp.eye(order, dtype=y.dtype)
        value = (lower + diagonal) / jnp.sqrt(order + squares)[:, None]
        constant = -0.5 * y.shape[0] * math.log(order)
        log_det = constant - ((rows[1:] + 1) * log_length[1:]).sum()
        return bijection(value, log_det, log_diagonal=-log_length)

    def inverse(self, x: Float[Array, "k k"]) -> Float[Array, "n"]:
        return read_below_diagonal(x / jnp.diagonal(x)[:, None]) * math.sqrt(x.shape[0])


class PartialCorrelations(Bijector):
    """L_ij = z_ij prod_{k<j} sqrt(1 - z_ik^2), with z = tanh(y) the partial correlations.

    With s_ij = log(1 - z_ij^2), the log-determinant is sum_{i>j} (s_ij + sum_{k<j} s_ik / 2).
    By-product: `log_diagonal`, sum_{k<i} s_ik / 2.

    Source: Lewandowski, Kurowicka & Joe (2009); Stan reference manual, "Cholesky factors of
    correlation matrices".
    """

    @property
    def event_ndims(self) -> int:
        return 2

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        order = event_shape[0]
        return (order * (order - 1) // 2,)

    def entries(self, event_shape: Shape) -> list[Shape]:
        return below_diagonal_entries(event_shape[0])

    def image(self, y: Float[Array, "n"]) -> Image:
        lower = fill_below_diagonal(y)
        below = jnp.tril(jnp.ones_like(lower), -1)
        log_rest = below * log_sech_squared(lower)
        before = 0.5 * (jnp.cumsum(log_rest, -1) - log_rest)
        log_diagonal = 0.5 * log_rest.sum(-1)
        value = jnp.tanh(lower) * jnp.exp(before) * below + jnp.diag(jnp.exp(log_diagonal))
        log_det = (log_rest + below * before).sum()
        return bijection(value, log_det, log_diagonal=log_diagonal)

    def inverse(self, x: Float[Array, "k k"]) -> Float[Array, "n"]:
        # What is left of a row's length, from its end, so that no digit cancels.
        left = jnp.sqrt(jnp.cumsum((x**2)[:, ::-1], -1)[:, ::-1])
        safe = jnp.where(left > 0, left, 1.0)
        after = jnp.concatenate([left[:, 1:], jnp.zeros_like(left[:, :1])], -1)
        # arctanh(a / c) = arcsinh(a / b) where b^2 = c^2 - a^2.
        below = jnp.tril(jnp.ones(x.shape, bool), -1)
        ratio = jnp.where(below, x / jnp.where(below & (after > 0), after, safe), 0.0)
        return read_below_diagonal(jnp.arcsinh(ratio))
