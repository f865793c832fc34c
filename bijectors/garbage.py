"""Postpone garbage collection while modules are imported and programs are traced."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

# A handler of signals may run while its own thread holds it.
_lock = RLock()
# For each block that a thread is in, whether collection was on before the first.
_inside: list[bool] = []
# After this many first pauses, new objects are not searched. After later pauses they are, since
# what many runs leave behind would wait for a collection of all objects, which becomes rare.
UNSEARCHED = 16
_ended: list[None] = []


@contextmanager
def pause_collection() -> Iterator[None]:
    """Disable garbage collection inside the block, in all threads, until the last leaves its own.

    Tracing and importing create many objects, few of them garbage and none large, but they trigger
    collections that traverse everything ever imported, at up to 0.2 s each.
    """
    with _lock:
        _inside.append(_inside[0] if _inside else gc.isenabled())
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            was_on = _inside.pop()
            if was_on and not _inside:
                _promote()
                gc.enable()


def _promote() -> None:
    """Make all objects count as old after the first pauses; searching the new ones takes 0.05 s."""
    if len(_ended) >= UNSEARCHED:
        return
    _ended.append(None)
    # Counting what the user has frozen takes 40 ms for a million objects.
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
