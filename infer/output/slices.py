"""Map a program over draws slice by slice: of one size, so that memory stays flat."""

from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from typing import Any

import jax
import numpy as np

# Numbers in one slice.
SLICE_NUMBERS = 2**18
LARGEST_SLICE = 1024


def rows_of(numbers: int) -> int:
    """Return how many draws of so many numbers each make a slice."""
    return int(np.clip(SLICE_NUMBERS // max(numbers, 1), 1, LARGEST_SLICE))


def cut(arrays: Any, rows: int) -> Iterator[Any]:
    """Cut arrays of shape (any, ...) into slices of so many rows, the last one filled up."""
    count = len(jax.tree.leaves(arrays)[0])
    for begin in range(0, count, rows):
        own = np.minimum(np.arange(begin, begin + rows), count - 1)
        yield jax.tree.map(lambda a, own=own: a[own], arrays)


def mapped(call: Callable[[Any], Any], slices: Iterator[Any], count: int) -> Any:
    """Call a program on every slice and join what it returns, on the host.

    Args:
        call: Takes a slice, and returns a pytree of arrays of as many rows.
        slices: As `cut` returns them.
        count: Number of rows before the last slice was filled up.
    """
    # The next slice is on its way while one goes to the host; a device may not hold them all.
    ahead = pairwise(chain(map(call, slices), (None,)))
    each = [jax.tree.map(np.asarray, made) for made, _ in ahead]
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *each)
