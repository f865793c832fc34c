"""One BLAS thread: small matrices lose more by waiting for threads than they win by sharing."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = Lock()
# The limits of the blocks that were entered and not left: all of them share the first one's.
_inside: list[Any] = []


@cache
def _controller() -> ThreadpoolController:
    """Find the BLAS libraries that are loaded, once."""
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread inside the block; results then depend on no number of threads.

    The number belongs to the process, so it is restored at the end of the last of several blocks
    that overlap, of one thread or of many.

    Learning the metric of 88 coordinates took 4.6 ms with one thread, and 81 with two on a
    machine whose cores were busy.
    """
    with _lock:
        _inside.append(_inside[0] if _inside else _controller().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            limit = _inside.pop()
            if not _inside:
                limit.restore_original_limits()
