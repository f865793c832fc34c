"""Call a program on rows of many members: parts of few rows, each of one member, many in a call.

A call for each member would take longer than its rows.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from .slices import call_in_slices, choose_rows

# Parts in a call, all of which together have as many rows as a slice.
PARTS = 16


def choose_part(numbers: int) -> int:
    """Return how many rows, of `numbers` entries each, make up a part."""
    return max(choose_rows(numbers) // PARTS, 1)


def call_in_parts(call: Callable[[np.ndarray, Any], Any], arrays: Any, rows: int) -> Any:
    """Call a program on parts of `rows` rows and join its results, on the host.

    Args:
        call: Maps the members of 16 parts, shape (16,), and arrays of shape (16, rows, ...) to
            arrays of such a shape.
        arrays: A pytree of arrays of shape (members, n, ...).
        rows: Rows of a part; the last one of a member is padded by repeating its last row.

    Returns:
        Arrays of shape (members, n, ...).
    """
    members, count = jax.tree.leaves(arrays)[0].shape[:2]
    each = -(-count // rows)
    padded = np.minimum(np.arange(each * rows), count - 1)
    parts = jax.tree.map(lambda a: _cut(a, padded, rows), arrays)
    of = np.repeat(np.arange(members), each)
    found = call_in_slices(lambda own: call(*own), (of, parts), PARTS)
    return jax.tree.map(lambda a: a.reshape(members, each * rows, *a.shape[2:])[:, :count], found)


def _cut(array: np.ndarray, padded: np.ndarray, rows: int) -> np.ndarray:
    return array[:, padded].reshape(-1, rows, *array.shape[2:])
