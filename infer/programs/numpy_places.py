"""Slices, gathers and scatters of JAX, said once more with NumPy."""

from typing import Any

import numpy as np
from jax.lax import GatherScatterMode


def cut(a: np.ndarray, *, start_indices: Any, limit_indices: Any, strides: Any, **_: Any):
    """Take a slice with given limits and strides."""
    steps = strides or (1,) * a.ndim
    return a[tuple(map(slice, start_indices, limit_indices, steps))]


def dynamic_slice(a: np.ndarray, *starts: Any, slice_sizes: Any, **_: Any) -> np.ndarray:
    """Take a window, moved inside if it begins outside."""
    return a[_window(a.shape, starts, slice_sizes)]


def dynamic_update_slice(a: np.ndarray, new: np.ndarray, *starts: Any, **_: Any) -> np.ndarray:
    """Replace a window, moved inside if it begins outside."""
    made = a.copy()
    made[_window(a.shape, starts, new.shape)] = new
    return made


def _window(shape: Any, starts: Any, sizes: Any) -> tuple[slice, ...]:
    begins = [int(np.clip(s, 0, n - w)) for s, n, w in zip(starts, shape, sizes, strict=True)]
    return tuple(slice(begin, begin + w) for begin, w in zip(begins, sizes, strict=True))


def gather(
    a: np.ndarray, indices: np.ndarray, *, dimension_numbers: Any, slice_sizes: Any, mode: Any,
    fill_value: Any, **_: Any,
) -> np.ndarray:  # fmt: skip
    """Take windows of an array, at the places that the indices give."""
    places, inside = _locate(
        a.shape, indices, dimension_numbers.offset_dims, dimension_numbers.collapsed_slice_dims,
        dimension_numbers.start_index_map, dimension_numbers.operand_batching_dims,
        dimension_numbers.start_indices_batching_dims, slice_sizes,
        is_clipped=mode in (GatherScatterMode.CLIP, GatherScatterMode.PROMISE_IN_BOUNDS),
    )  # fmt: skip
    if fill_value is None:
        fill_value = np.nan if a.dtype.kind in "fcV" else extreme(a.dtype, -(a.dtype.kind == "i"))
    return np.where(inside, a[places], np.asarray(fill_value, a.dtype))


def scatter(
    combine: Any, a: np.ndarray, indices: np.ndarray, updates: np.ndarray, *,
    dimension_numbers: Any, mode: Any, **_: Any,
) -> np.ndarray:  # fmt: skip
    """Combine windows of an array with updates, in order; without a function, replace them."""
    inserted = dimension_numbers.inserted_window_dims
    batching = dimension_numbers.operand_batching_dims
    own = iter(updates.shape[i] for i in dimension_numbers.update_window_dims)
    sizes = [1 if i in (*inserted, *batching) else next(own) for i in range(a.ndim)]
    places, inside = _locate(
        a.shape, indices, dimension_numbers.update_window_dims, inserted,
        dimension_numbers.scatter_dims_to_operand_dims, batching,
        dimension_numbers.scatter_indices_batching_dims, sizes,
        is_clipped=mode == GatherScatterMode.CLIP,
    )  # fmt: skip
    made, kept = a.copy(), np.broadcast_to(inside, updates.shape)
    where = tuple(np.broadcast_to(place, updates.shape)[kept] for place in places)
    if combine is None:
        made[where] = updates[kept]
    else:
        combine.at(made, where, updates[kept])
    return made


def _locate(
    shape: Any, indices: np.ndarray, windows: Any, absent: Any, mapped: Any, batching: Any,
    index_batching: Any, sizes: Any, *, is_clipped: bool,
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:  # fmt: skip
    """Find which entries of an operand the windows of a gather or scatter consist of.

    Args:
        shape: Shape of the operand.
        indices: Where each window begins, along the last axis.
        windows: Axes of the result that run along a window.
        absent: Axes of the operand that windows do not have.
        mapped: Axis of the operand for each number of an index.
        batching: Axes of the operand that run along with axes of the indices.
        index_batching: Those axes of the indices.
        sizes: Size of a window along each axis of the operand.
        is_clipped: Whether windows are moved inside.

    Returns:
        Indices of entries along each axis of the operand, and whether the window is inside.
    """
    count = indices.ndim - 1 + len(windows)
    others = [i for i in range(count) if i not in windows]
    along = [i for i in range(len(shape)) if i not in (*absent, *batching)]
    lead = indices.shape[:-1]
    inside, places = np.ones([1] * count, bool), []
    for axis, size in enumerate(shape):
        start = np.zeros([1] * len(lead), np.int64)
        if axis in mapped:
            start = indices[..., list(mapped).index(axis)].astype(np.int64)
        elif axis in batching:
            own = index_batching[list(batching).index(axis)]
            start = np.arange(lead[own]).reshape([-1 if i == own else 1 for i in range(len(lead))])
        last = size - sizes[axis]
        wide = np.ones(count, int)
        wide[others] = start.shape
        start = start.reshape(wide)
        inside = inside & (is_clipped | ((start >= 0) & (start <= last)))
        place = np.clip(start, 0, last)
        if axis in along:
            run = [1] * count
            run[windows[along.index(axis)]] = sizes[axis]
            place = place + np.arange(sizes[axis]).reshape(run)
        places.append(place)
    return tuple(places), inside


def extreme(dtype: np.dtype, sign: int) -> Any:
    """Return the largest or the smallest number of a type."""
    if dtype.kind == "b":
        return sign > 0
    if dtype.kind in "iu":
        return np.iinfo(dtype).max if sign > 0 else np.iinfo(dtype).min
    return dtype.type(sign * np.inf)
