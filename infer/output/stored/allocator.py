"""How the C library gives memory back in a worker that Dask has started.

Dask starts workers with MALLOC_TRIM_THRESHOLD_=65536, so that free memory returns to the system at
once. With any such setting, glibc no longer adapts the size from which it maps an array separately:
arrays of 128 KiB or more are then mapped, cleared page by page and unmapped in each operation.
Source: man 3 mallopt; https://distributed.dask.org/en/stable/worker-memory.html.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

VARIABLE = "MALLOC_TRIM_THRESHOLD_"
# Parameters of mallopt, from malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
# Bytes: what glibc sets by itself at most in a process without such a setting, and at first.
LARGEST_MMAP, FIRST_MMAP = 2**25, 2**17


@contextmanager
def reusing_memory() -> Iterator[None]:
    """Reuse freed memory while a shard is sampled, and return it afterwards, as Dask asks.

    This does nothing in a process without the setting, or without glibc.
    """
    library = _find_library()
    asked = os.environ.get(VARIABLE, "")
    if library is None or not asked.isdigit():
        yield
        return
    _set_thresholds(library, 2 * LARGEST_MMAP, LARGEST_MMAP)
    try:
        yield
    finally:
        _set_thresholds(library, int(asked), FIRST_MMAP)
        library.malloc_trim(0)


def _set_thresholds(library: Any, trim: int, mmap: int) -> None:
    library.mallopt(TRIM_THRESHOLD, trim)
    library.mallopt(MMAP_THRESHOLD, mmap)


@cache
def _find_library() -> Any:
    """Return the C library if it is glibc."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None
