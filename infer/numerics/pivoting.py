"""LU factors with row exchanges, and sorting, as loops of vector operations."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def lu_in_loop(
    matrices: Float[Array, "*batch m n"],
) -> tuple[Float[Array, "*batch m n"], Int[Array, "*batch k"], Int[Array, "*batch m"]]:
    """Compute LU factors as `jax.lax.linalg.lu` does, exchanging rows to get the largest pivots.

    Returns:
        Both factors in one matrix, without the unit diagonal of the lower one; the row that was
        exchanged with each row; and the order of the rows.
    """
    function = _lu
    for _ in range(matrices.ndim - 2):
        function = jax.vmap(function)
    return function(matrices)


def _lu(matrix: Float[Array, "m n"]) -> tuple[Array, Array, Array]:
    rows, columns = matrix.shape
    place, across = jnp.arange(rows, dtype=jnp.int32), jnp.arange(columns, dtype=jnp.int32)

    def exchange(array: Array, j: Array, pivot: Array) -> tuple[Array, Array]:
        """Exchange two rows, and return the one that is now row j too."""
        here = jax.lax.dynamic_index_in_dim(array, j, keepdims=False)
        there = jax.lax.dynamic_index_in_dim(array, pivot, keepdims=False)
        is_here, is_there = ((place == own).reshape(-1, *[1] * here.ndim) for own in (j, pivot))
        return jnp.where(is_here, there, jnp.where(is_there, here, array)), there

    def step(state: tuple[Array, Array], j: Array) -> tuple[tuple[Array, Array], Array]:
        left, order = state
        column = jax.lax.dynamic_index_in_dim(left, j, axis=1, keepdims=False)
        pivot = jnp.where(place >= j, jnp.abs(column), -1).argmax().astype(jnp.int32)
        left, row = exchange(left, j, pivot)
        order, _ = exchange(order, j, pivot)
        column, _ = exchange(column, j, pivot)
        # LAPACK goes on where all that is left of a column is zero.
        largest = jax.lax.dynamic_index_in_dim(row, j, keepdims=False)
        ratios = jnp.where(place > j, column / jnp.where(largest == 0, 1, largest), 0)
        changed = left - ratios[:, None] * jnp.where(across > j, row, 0)
        is_ratio = (place[:, None] > j) & (across == j)
        return (jnp.where(is_ratio, ratios[:, None], changed), order), pivot

    steps = jnp.arange(min(rows, columns), dtype=jnp.int32)
    (factors, order), pivots = jax.lax.scan(step, (matrix, place), steps)
    return factors, pivots, order


def sort_in_loop(*operands: Array, dimension: int) -> list[Array]:
    """Sort arrays by the first one, as `jax.lax.sort` does with one key; ties keep their order.

    The place of an entry is the number of entries that precede it, found by comparing all pairs, so
    XLA must not compute the first array once for each of its uses. NaN comes last.
    """
    keys = jnp.moveaxis(operands[0], dimension, -1)
    index = jnp.arange(keys.shape[-1], dtype=jnp.int32)
    own, other = keys[..., :, None], keys[..., None, :]
    is_tied = (other == own) | (_is_nan(other) & _is_nan(own))
    is_less = (other < own) | (~_is_nan(other) & _is_nan(own))
    precedes = is_less | (is_tied & (index < index[:, None]))
    places = precedes.sum(-1, dtype=jnp.int32)
    # Which entry has each place.
    sources = jnp.where(places[..., None, :] == index[:, None], index, 0).sum(-1, dtype=jnp.int32)
    order = jnp.moveaxis(sources, -1, dimension)
    take = partial(jnp.take_along_axis, indices=order, axis=dimension, mode="promise_in_bounds")
    return [take(operand) for operand in operands]


def _is_nan(keys: Array) -> Array:
    return jnp.isnan(keys) if jnp.issubdtype(keys.dtype, jnp.floating) else jnp.zeros((), bool)
