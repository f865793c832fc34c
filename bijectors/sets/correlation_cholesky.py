"""Lower Cholesky factors of correlation matrices, whose rows have norm one."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ..base import Image, MatrixBijector, MatrixConstraint, Shape, bijection
from ..elementary import (
    below_diagonal_entries,
    fill_below_diagonal,
    log_sech_squared,
    read_below_diagonal,
    sum_tolerance,
    triangle_order,
)


class CorrelationCholesky(MatrixConstraint):
    """Lower-triangular matrices with rows of norm one and a positive diagonal.

    The base measure is Lebesgue in the entries below the diagonal.
    """

    def contains(self, value: Float[Array, "... k k"]) -> Bool[Array, "..."]:
        norms = jnp.all(jnp.abs((value**2).sum(-1) - 1) <= sum_tolerance(value), -1)
        positive = jnp.all(jnp.diagonal(value, axis1=-2, axis2=-1) > 0, -1)
        return norms & positive & jnp.all(jnp.triu(value, 1) == 0, (-2, -1))

    def coordinates(self, value: Float[Array, "k k"]) -> Float[Array, "n"]:
        return read_below_diagonal(value)


class FromBelowDiagonal(MatrixBijector):
    """A map from as many numbers as a matrix has entries below the diagonal."""

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        order = event_shape[0]
        return (order * (order - 1) // 2,)

    def find_entries(self, event_shape: Shape) -> list[Shape]:
        return below_diagonal_entries(event_shape[0])


class NormalizedRows(FromBelowDiagonal):
    """Row i of k is (y_i, sqrt(k), 0, ...) divided by its norm, where y_i has i - 1 numbers.

    The log-determinant is -sum_i (i + 1) log(1 + |y_i|^2 / k) / 2 - k (k - 1) log(k) / 4.
    By-product: `log_diagonal`, -log(1 + |y_i|^2 / k) / 2.

    The factor sqrt(k) keeps L L^T well conditioned for any number of rows: for y uniform on
    (-2, 2) and k = 50 the median of its smallest eigenvalue is 0.05. With 1 in its place the
    median is 1e-15, far below single precision.

    Source: TFP's CorrelationCholesky, which has 1 in the place of sqrt(k); the volume is that of
    a central projection, row by row. Eigenvalues: Viswanath & Trefethen (1998), "Condition
    numbers of random triangular matrices".
    """

    def image(self, y: Float[Array, "n"]) -> Image:
        lower = fill_below_diagonal(y)
        order = lower.shape[0]
        squares = (lower**2).sum(-1)
        log_norm = 0.5 * jnp.log1p(squares / order)
        rows = jnp.arange(1, order + 1, dtype=y.dtype)
        diagonal = math.sqrt(order) * jnp.eye(order, dtype=y.dtype)
        value = (lower + diagonal) / jnp.sqrt(order + squares)[:, None]
        constant = -0.5 * y.shape[0] * math.log(order)
        log_det = constant - ((rows[1:] + 1) * log_norm[1:]).sum()
        return bijection(value, log_det, log_diagonal=-log_norm)

    def inverse(self, x: Float[Array, "k k"]) -> Float[Array, "n"]:
        return read_below_diagonal(x / jnp.diagonal(x)[:, None]) * math.sqrt(x.shape[0])


class PartialCorrelations(FromBelowDiagonal):
    """L_ij = z_ij prod_{m<j} sqrt(1 - z_im^2), with z_ij = tanh(y_ij / c_j).

    The z_ij are the canonical partial correlations of k rows. With s_ij = log(1 - z_ij^2), the
    log-determinant is sum_{i>j} (s_ij + sum_{m<j} s_im / 2 - log c_j).
    By-product: `log_diagonal`, sum_{j<i} s_ij / 2.

    If all correlation matrices are equally likely, the density of artanh(z_ij) at u is proportional
    to sech(u)^(k + 1 - j). With c_j = 2 sqrt(k + 1 - j) the standard deviations of all y are thus
    close to 2. Where chains start, at y uniform on (-2, 2), L L^T is well conditioned for any k:
    for k = 50 the median of its smallest eigenvalue exceeds 0.05.

    Source: Lewandowski, Kurowicka & Joe (2009), section 3; Stan reference manual, "Cholesky
    factors of correlation matrices", which has c_j = 1. benchmarks/results/correlations.md shows
    why this is the default.
    """

    def image(self, y: Float[Array, "n"]) -> Image:
        scale = self._scale(y)
        lower = fill_below_diagonal(y / scale)
        below = jnp.tril(jnp.ones_like(lower), -1)
        log_rest = below * log_sech_squared(lower)
        before = 0.5 * (jnp.cumsum(log_rest, -1) - log_rest)
        log_diagonal = 0.5 * log_rest.sum(-1)
        value = jnp.tanh(lower) * jnp.exp(before) * below + jnp.diag(jnp.exp(log_diagonal))
        log_det = (log_rest + below * before).sum() - np.log(scale).sum()
        return bijection(value, log_det, log_diagonal=log_diagonal)

    def inverse(self, x: Float[Array, "k k"]) -> Float[Array, "n"]:
        # The norm of the rest of each row, summed from its end so that no digits cancel.
        rest = jnp.sqrt(jnp.cumsum((x**2)[:, ::-1], -1)[:, ::-1])
        safe = jnp.where(rest > 0, rest, 1.0)
        after = jnp.concatenate([rest[:, 1:], jnp.zeros_like(rest[:, :1])], -1)
        # arctanh(a / c) = arcsinh(a / b) where b^2 = c^2 - a^2.
        below = jnp.tril(jnp.ones(x.shape, bool), -1)
        ratio = jnp.where(below, x / jnp.where(below & (after > 0), after, safe), 0.0)
        flat = read_below_diagonal(jnp.arcsinh(ratio))
        return flat * self._scale(flat)

    def _scale(self, y: Float[Array, "n"]) -> np.ndarray:
        """Return c_j for each entry; columns are counted from 0 here."""
        order = triangle_order(y.shape[0]) + 1
        columns = np.array([j for _, j in below_diagonal_entries(order)], dtype=int)
        return 2 * np.sqrt(order - columns).astype(y.dtype)
