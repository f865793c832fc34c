"""Cholesky factors, triangular solves and matrix products as loops of vector operations."""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# LLVM fully unrolls rows of up to 32 numbers and then vectorizes them badly: at 30 columns, rows
# padded to 40 take half the time.
NARROW, WIDE = 16, 40
# Outer products that are added at a time, and the shortest rows with which that pays off. In single
# precision on a Zen 5, in us, by them and row by row: 9 and 12 for 100 x 100 times 100 x 16, 9 and
# 22 for 100 x 32 times 32 x 100 (XLA's own native code: 101 and 125, its library: 7 and 10).
TOGETHER, SHORT_ROW = 4, 16

# XLA's native code for a product is fast if its sums are short, and shorter if they run across rows
# or many numbers of the result lie side by side.
LONGEST_SUM, LONGEST_SUM_ACROSS, LONGEST_SUM_OF_ROWS = 32, 8, 16

# As in `jax.lax.dot_general`: the axes summed over, then the batch axes, of left and right.
Dimensions = tuple[tuple[Any, Any], tuple[Any, Any]]


def cholesky_in_loop(matrices: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """Compute Cholesky factors of positive definite matrices, reading the lower triangles only.

    Returns:
        The lower factors; all NaN for a matrix that is not positive definite.
    """
    return _map_over_batch(_cholesky, matrices)


def triangular_solve_in_loop(
    triangles: Float[Array, "*batch n n"], sides: Float[Array, "*batch rows columns"], *,
    left_side: bool, lower: bool, transpose_a: bool, unit_diagonal: bool,
) -> Float[Array, "*batch rows columns"]:  # fmt: skip
    """Solve triangular systems, as `jax.lax.linalg.triangular_solve` does."""

    def solve(triangle: Array, side: Array) -> Array:
        # X A = B is the transpose of A' X' = B'.
        if not left_side:
            return _solve(triangle if transpose_a else triangle.T, side.T, **options).T
        return _solve(triangle.T if transpose_a else triangle, side, **options)

    options = {"lower": lower == (left_side != transpose_a), "unit_diagonal": unit_diagonal}
    return _map_over_batch(solve, triangles, sides)


def is_fast_product(dimensions: Dimensions, left: Sequence[int], right: Sequence[int]) -> bool:
    """Return whether XLA's own native code multiplies arrays of these shapes fast."""
    (summed, summed_too), (batch, _) = dimensions
    terms = prod(left[i] for i in summed)
    shared = terms * prod(left[i] for i in batch)
    rows = LONGEST_SUM_OF_ROWS if prod(right) >= SHORT_ROW * shared else LONGEST_SUM
    longest = LONGEST_SUM_ACROSS if len(right) - 1 in summed_too else rows
    # Products with a vector or an empty matrix are fast.
    return terms <= longest or min(prod(left), prod(right)) < 2 * shared


def product_in_loop(
    dimensions: Dimensions, left: Array, right: Array, precision: Any = None
) -> Array:
    """Multiply as `jax.lax.dot_general` does, by sums of outer products or of vectors' products.

    Args:
        dimensions: The axes summed over, and the batch axes, of both factors.
        left: The left factor.
        right: The right factor.
        precision: As in `jax.lax.dot_general`.
    """
    (summed, summed_too), (batch, batch_too) = dimensions
    free = [i for i in range(left.ndim) if i not in (*summed, *batch)]
    free_too = [i for i in range(right.ndim) if i not in (*summed_too, *batch_too)]
    shape = [left.shape[i] for i in (*batch, *free)] + [right.shape[i] for i in free_too]
    lefts = _group_axes(left, batch, free, summed)
    rights = _group_axes(right, batch_too, summed_too, free_too)
    multiply = partial(_multiply, precision)
    return jax.lax.map(lambda pair: multiply(*pair), (lefts, rights)).reshape(shape)


def _group_axes(array: Array, *groups: Sequence[int]) -> Array:
    """Transpose the axes to the order of the groups, and merge each group into one axis."""
    lengths = [prod(array.shape[axis] for axis in group) for group in groups]
    return array.transpose([axis for group in groups for axis in group]).reshape(lengths)


def _multiply(
    precision: Any, left: Float[Array, "m k"], right: Float[Array, "k n"]
) -> Float[Array, "m n"]:
    # Elementwise, half precision would also be that of the sums.
    if right.shape[1] >= SHORT_ROW and right.dtype.itemsize >= 4:
        return _add_outer_products(left, right)
    times = partial(jnp.matmul, precision=precision)
    # XLA's own native code is fast if one factor is a vector.
    if left.shape[0] < right.shape[1]:
        return jax.lax.scan(lambda _, row: (None, times(row, right)), None, left)[1]
    return jax.lax.scan(lambda _, column: (None, times(left, column)), None, right.T)[1].T


def _add_outer_products(left: Float[Array, "m k"], right: Float[Array, "k n"]) -> Array:
    """Add the outer products of columns and rows, several at a time."""
    columns = jax.lax.optimization_barrier(left.T)

    def add(total: Array, columns: Array, rows: Array) -> Array:
        for column, row in zip(columns, rows, strict=True):
            total = total + column[:, None] * row
        return total

    def add_group(i: Array, total: Array) -> Array:
        take = lambda own: jax.lax.dynamic_slice_in_dim(own, TOGETHER * i, TOGETHER)  # noqa: E731
        return add(total, take(columns), take(right))

    whole, rest = divmod(len(right), TOGETHER)
    total = jnp.zeros((len(left), right.shape[1]), right.dtype)
    total = jax.lax.fori_loop(0, whole, add_group, total) if whole else total
    return add(total, columns[-rest:], right[-rest:]) if rest else total


def _map_over_batch(function: Callable[..., Array], *matrices: Array) -> Array:
    for _ in range(matrices[0].ndim - 2):
        function = jax.vmap(function)
    return function(*matrices)


def _cholesky(matrix: Array) -> Array:
    """Subtract the outer product of each column of the factor from the remaining matrix."""
    size = len(matrix)
    # Rows of the transpose are columns of the lower triangle.
    left = _widen(matrix.T)
    place = jnp.arange(left.shape[1])

    def step(left: Array, j: Array) -> tuple[Array, Array]:
        row = jax.lax.dynamic_index_in_dim(left, j, keepdims=False)
        pivot = jax.lax.dynamic_index_in_dim(row, j, keepdims=False)
        column = jnp.where(place >= j, row, 0) / jnp.sqrt(pivot)
        return left - column[:size, None] * column, column

    factor = jax.lax.scan(step, left, jnp.arange(size))[1][:, :size].T
    return jnp.where((jnp.diagonal(factor) > 0).all(), factor, jnp.nan)


def _solve(triangle: Array, side: Array, *, lower: bool, unit_diagonal: bool) -> Array:
    """Solve for one row after another, and subtract its part from the rows still to come."""
    size, width = side.shape
    place = jnp.arange(size)

    def step(left: Array, entry: tuple[Array, Array]) -> tuple[Array, Array]:
        j, column = entry
        row = jax.lax.dynamic_index_in_dim(left, j, keepdims=False)
        if not unit_diagonal:
            row = row / jax.lax.dynamic_index_in_dim(column, j, keepdims=False)
        column = jnp.where(place > j if lower else place < j, column, 0)
        return left - column[:, None] * row, row

    steps = (place, triangle.T)
    return jax.lax.scan(step, _widen(side), steps, reverse=not lower)[1][:, :width]


def _widen(matrix: Array) -> Array:
    width = matrix.shape[1]
    return jnp.pad(matrix, ((0, 0), (0, WIDE - width if NARROW <= width < WIDE else 0)))
