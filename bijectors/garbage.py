"""Postpone garbage collection while modules are imported and programs are traced."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pause_collection() -> Iterator[None]:
    """Disable garbage collection inside the block, in all threads.

    Tracing and importing create many objects, few of them garbage and none large, but they trigger
    collections that traverse everything ever imported, at up to 0.2 s each.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
