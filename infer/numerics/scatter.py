"""A scatter as a loop over its rows, for compilers without a scatter."""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import GatherScatterMode, ScatterDimensionNumbers
from jaxtyping import Array, Int

# A step of the loop costs more than an update: an update takes 3 ns with one in each step, and 1 ns
# with four or eight. Eight take a tenth longer to compile than four.
ROWS_PER_STEP = 4


class Rows(NamedTuple):
    """The rows of a scatter.

    Attributes:
        starts: Where the window of each row begins, along every axis of the operand.
        windows: The update of each row.
    """

    starts: Int[Array, "rows axes"]
    windows: Array


Combine = Callable[[Array, Array], Array]


def scatter_in_loop(
    combine: Combine, dimensions: ScatterDimensionNumbers,
    mode: GatherScatterMode, operand: Array, indices: Array, updates: Array,
) -> Array:  # fmt: skip
    """Combine windows of `operand` with `updates`, in the order of the indices.

    If successive updates are added to the same place, as in data sorted by group, they are summed
    first, so that no addition waits for the previous one to be stored.

    Args:
        combine: Combines the present and the new window entry by entry, such as by their sum.
        dimensions: As in `jax.lax.scatter_add`.
        mode: What to do with windows that lie partly outside: "clip" moves them inside, any other
            mode drops them. XLA also drops them if it was promised that there are none.
        operand: The array to be updated.
        indices: The start of each window, along the last axis.
        updates: The new windows.
    """
    windows = _arrange_windows(dimensions, operand, updates)
    starts = _find_starts(dimensions, operand, indices)
    room = [n - w for n, w in zip(operand.shape, windows.shape[1:], strict=True)]
    last = jnp.asarray(room, starts.dtype)
    if mode == GatherScatterMode.CLIP:
        return _scan_rows(combine, operand, Rows(jnp.clip(starts, 0, last), windows))
    inside = ((starts >= 0) & (starts <= last)).all(axis=-1)
    # Choosing between the old and the new window inside the loop would make XLA copy the operand
    # for each row. So a dropped row gets values that change nothing, or is written into a margin.
    if combine in NEUTRAL and windows.dtype.kind in "iuf":
        kept = inside.reshape(-1, *(1,) * operand.ndim)
        windows = jnp.where(kept, windows, NEUTRAL[combine](windows.dtype))
        return _scan_rows(combine, operand, Rows(starts, windows))
    # The values in the margin do not matter, since it is cut off.
    wide = jnp.concatenate([operand, operand[: windows.shape[1]]])
    margin = jnp.asarray([len(operand)] + [0] * (operand.ndim - 1), starts.dtype)
    rows = Rows(jnp.where(inside[:, None], starts, margin), windows)
    return _scan_rows(combine, wide, rows)[: len(operand)]


def _lowest(dtype: np.dtype) -> Any:
    return dtype.type(-np.inf if dtype.kind == "f" else np.iinfo(dtype).min)


def _highest(dtype: np.dtype) -> Any:
    return dtype.type(np.inf if dtype.kind == "f" else np.iinfo(dtype).max)


# For each operation, the value that leaves every number unchanged, even the sign of zero.
NEUTRAL: dict[Combine, Callable[[np.dtype], Any]] = {
    jax.lax.add: lambda dtype: dtype.type(-0.0),
    jax.lax.sub: lambda dtype: dtype.type(0),
    jax.lax.mul: lambda dtype: dtype.type(1),
    jax.lax.min: _highest,
    jax.lax.max: _lowest,
}


def _scan_rows(combine: Combine, operand: Array, rows: Rows) -> Array:
    """Apply the rows in a loop, several in each step."""

    def turn(operand: Array, rows: Rows) -> tuple[Array, None]:
        if combine is not jax.lax.add:
            return _update_each(combine, operand, rows), None
        at_one_place = (rows.starts == rows.starts[0]).all()
        branches = partial(_update_by_sum, combine), partial(_update_each, combine)
        return jax.lax.cond(at_one_place, *branches, operand, rows), None

    whole = len(rows.starts) // ROWS_PER_STEP * ROWS_PER_STEP
    if whole:
        blocks = [a[:whole].reshape(-1, ROWS_PER_STEP, *a.shape[1:]) for a in rows]
        operand, _ = jax.lax.scan(turn, operand, Rows(*blocks))
    return _update_each(combine, operand, Rows(*(a[whole:] for a in rows)))


def _update_each(combine: Combine, operand: Array, rows: Rows) -> Array:
    for start, window in zip(*rows, strict=True):
        operand = _update(combine, operand, start, window)
    return operand


def _update_by_sum(combine: Combine, operand: Array, rows: Rows) -> Array:
    """Add rows that all go to the same place."""
    return _update(
        combine, operand, rows.starts[0], rows.windows.sum(axis=0, dtype=rows.windows.dtype)
    )


def _update(combine: Combine, operand: Array, start: Array, window: Array) -> Array:
    begin = tuple(start)
    old = jax.lax.dynamic_slice(operand, begin, window.shape)
    return jax.lax.dynamic_update_slice(operand, combine(old, window), begin)


def _arrange_windows(dimensions: ScatterDimensionNumbers, operand: Array, updates: Array) -> Array:
    """Arrange the updates as rows of windows with all axes of the operand."""
    within = dimensions.update_window_dims
    over = [axis for axis in range(updates.ndim) if axis not in within]
    flat = (*dimensions.inserted_window_dims, *dimensions.operand_batching_dims)
    lengths = iter(updates.shape[axis] for axis in within)
    shape = [1 if axis in flat else next(lengths) for axis in range(operand.ndim)]
    rows = prod(updates.shape[axis] for axis in over)
    return updates.transpose(*over, *within).reshape(rows, *shape)


def _find_starts(dimensions: ScatterDimensionNumbers, operand: Array, indices: Array) -> Array:
    """Find where each row's window begins, along every axis of the operand."""
    over = indices.shape[:-1]
    # Narrower types may not be able to hold the operand's lengths.
    wide = indices if indices.dtype.itemsize >= 4 else indices.astype(jnp.int32)
    columns = [jnp.zeros(over, wide.dtype)] * operand.ndim
    for i, axis in enumerate(dimensions.scatter_dims_to_operand_dims):
        columns[axis] = wide[..., i]
    batching = dimensions.scatter_indices_batching_dims
    for axis, of_indices in zip(dimensions.operand_batching_dims, batching, strict=True):
        columns[axis] = jax.lax.broadcasted_iota(wide.dtype, over, of_indices)
    return jnp.stack([column.reshape(-1) for column in columns], axis=-1)
