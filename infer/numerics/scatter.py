"""A scatter as a loop over its rows, for compilers that have none."""

from collections.abc import Callable
from math import prod

import jax
import jax.numpy as jnp
from jax.lax import GatherScatterMode, ScatterDimensionNumbers
from jaxtyping import Array

# A turn of a loop costs more than an update: with one a turn 3 ns each, with four or eight 1 ns.
# Eight take a tenth longer to compile than four.
ROWS_A_TURN = 4


def scatter_in_loop(
    combine: Callable[[Array, Array], Array], dimensions: ScatterDimensionNumbers,
    mode: GatherScatterMode, operand: Array, indices: Array, updates: Array,
) -> Array:  # fmt: skip
    """Combine windows of `operand` with `updates`, in the order of the indices.

    Args:
        combine: Of the present and the new window, such as their sum.
        dimensions: As in `jax.lax.scatter_add`.
        mode: What becomes of windows that lie outside; a promise that none does is believed.
        operand: The array to be changed.
        indices: Where each window begins, along the last axis.
        updates: The new windows.
    """
    windows = _windows(dimensions, operand, updates)
    starts = _starts(dimensions, operand, indices)
    room = [n - w for n, w in zip(operand.shape, windows.shape[1:], strict=True)]
    last = jnp.asarray(room, starts.dtype)
    if mode == GatherScatterMode.CLIP:
        starts = jnp.clip(starts, 0, last)
    drops = mode == GatherScatterMode.FILL_OR_DROP

    def update(operand: Array, start: Array, window: Array) -> Array:
        begin = tuple(start)
        old = jax.lax.dynamic_slice(operand, begin, window.shape)
        new = combine(old, window)
        if drops:
            new = jnp.where(((start >= 0) & (start <= last)).all(), new, old)
        return jax.lax.dynamic_update_slice(operand, new, begin)

    return _in_turns(update, operand, starts, windows)


def _in_turns(update, operand: Array, starts: Array, windows: Array) -> Array:
    def turn(operand, rows):
        for start, window in zip(*rows, strict=True):
            operand = update(operand, start, window)
        return operand, None

    whole = len(starts) // ROWS_A_TURN * ROWS_A_TURN
    blocks = [a[:whole].reshape(-1, ROWS_A_TURN, *a.shape[1:]) for a in (starts, windows)]
    if whole:
        operand, _ = jax.lax.scan(turn, operand, tuple(blocks))
    return turn(operand, (starts[whole:], windows[whole:]))[0]


def _windows(dimensions: ScatterDimensionNumbers, operand: Array, updates: Array) -> Array:
    """Lay the updates out as rows of windows that have every axis of the operand."""
    within = dimensions.update_window_dims
    over = [axis for axis in range(updates.ndim) if axis not in within]
    flat = (*dimensions.inserted_window_dims, *dimensions.operand_batching_dims)
    lengths = iter(updates.shape[axis] for axis in within)
    shape = [1 if axis in flat else next(lengths) for axis in range(operand.ndim)]
    rows = prod(updates.shape[axis] for axis in over)
    return updates.transpose(*over, *within).reshape(rows, *shape)


def _starts(dimensions: ScatterDimensionNumbers, operand: Array, indices: Array) -> Array:
    """Find where each row's window begins, along every axis of the operand."""
    over = indices.shape[:-1]
    # Narrower types may not hold the operand's lengths.
    wide = indices if indices.dtype.itemsize >= 4 else indices.astype(jnp.int32)
    columns = [jnp.zeros(over, wide.dtype)] * operand.ndim
    for i, axis in enumerate(dimensions.scatter_dims_to_operand_dims):
        columns[axis] = wide[..., i]
    batching = dimensions.scatter_indices_batching_dims
    for axis, of_indices in zip(dimensions.operand_batching_dims, batching, strict=True):
        columns[axis] = jax.lax.broadcasted_iota(wide.dtype, over, of_indices)
    return jnp.stack([column.reshape(-1) for column in columns], axis=-1)
