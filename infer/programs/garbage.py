"""Put garbage collection off while a run is put together."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pause_collection() -> Iterator[None]:
    """Collect no garbage inside the block, nor let another thread do so.

    Tracing makes many objects, of which few are garbage and none is large; what they set off are
    collections that go through all that was ever imported, at some 0.2 s each.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
