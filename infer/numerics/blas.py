"""One BLAS thread: small matrices lose more by waiting for threads than they win by sharing."""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    """Find the BLAS libraries that are loaded, once."""
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager:
    """Keep BLAS to one thread inside the block; results then depend on no number of threads.

    Learning the metric of 88 coordinates took 4.6 ms with one thread, and 81 with two on a
    machine whose cores were busy.
    """
    return _controller().limit(limits=1, user_api="blas")
