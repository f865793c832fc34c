"""Call a program on many rows in slices of one size, so that it compiles once for any number.

Memory on the device stays bounded, since results go to the host slice by slice.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, pairwise
from typing import Any, Literal

import jax
import numpy as np

# Maximum number of entries, of bytes, and of rows, in a slice of draws.
MAX_NUMBERS = 2**18
MAX_BYTES = 2**24
MAX_ROWS = 1024
# Entries of a draw up to which the program of a slice compiles fast.
FEW_ENTRIES = 32


def choose_rows(numbers: int) -> int:
    """Return how many draws, of `numbers` entries each, make up a slice."""
    return int(np.clip(MAX_NUMBERS // max(numbers, 1), 1, MAX_ROWS))


def choose_form(numbers: int) -> Literal["kernels", "fast_compile"]:
    """Return the form of the program of a slice, for draws of `numbers` entries each.

    XLA takes 50 ms for a few kernels, and half of that or less for the fast form. But a call of
    kernels takes a quarter of the time of the other, which counts if a draw has many entries.
    """
    return "fast_compile" if numbers <= FEW_ENTRIES else "kernels"


def choose_rows_for(size: int) -> int:
    """Return how many draws make up a slice, if a program needs `size` bytes for each of them."""
    return int(np.clip(MAX_BYTES // max(size, 1), 1, MAX_ROWS))


def call_in_slices(call: Callable[[Any], Any], arrays: Any, rows: int, into: Any = None) -> Any:
    """Call a program on slices of `rows` rows and join its results, on the host.

    Args:
        call: Maps a slice of the arrays to a pytree of arrays with as many rows.
        arrays: A pytree of arrays, all with the same number of rows, at least one.
        rows: Size of all slices; the last one is padded by repeating the last row.
        into: Arrays for the results, if there are some; by default new ones are made.
    """
    count = len(jax.tree.leaves(arrays)[0])
    # The next slice is computed while one goes to the host; the device might not hold all of them.
    ahead = pairwise(chain(map(call, _slices(arrays, count, rows)), (None,)))
    made = (jax.tree.map(np.asarray, results) for results, _ in ahead)
    return join_slices(zip(range(0, count, rows), made, strict=True), count, into)


def join_slices(slices: Iterable[tuple[int, Any]], count: int, whole: Any = None) -> Any:
    """Join results, each with its place among `count` rows, in `whole` if it is given."""
    for begin, own in slices:
        whole = _make_room(own, count) if whole is None else whole
        jax.tree.map(lambda into, part: _put(into, part, begin), whole, own)  # noqa: B023
    return whole


def _make_room(results: Any, count: int) -> Any:
    """Return empty arrays for the results of all rows, so that slices are not kept and joined."""
    return jax.tree.map(lambda a: np.empty((count, *a.shape[1:]), a.dtype), results)


def _put(into: np.ndarray, part: np.ndarray, begin: int) -> None:
    into[begin : begin + len(part)] = part[: len(into) - begin]


def _slices(arrays: Any, count: int, rows: int) -> Iterator[Any]:
    for begin in range(0, count, rows):
        own = np.minimum(np.arange(begin, begin + rows), count - 1)
        yield jax.tree.map(lambda a, own=own: a[own], arrays)
