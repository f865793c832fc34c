"""Leave Python quickly: do not look for cycles among modules at the end of a process.

When a process ends, Python looks through all objects for cycles several times, and frees them one
by one: 0.85 s of CPU after README's ten lines, of which 0.65 are those of jax, numpyro and arviz.
That is left out if it would only free memory. If any object that is alive would do more, such as
write what a file has in its buffer, or has a `__del__`, the process ends as usual.
"""

import atexit
import gc
import io
from inspect import GEN_SUSPENDED, getgeneratorstate
from types import GeneratorType
from typing import Any

STANDARD_STREAMS = (0, 1, 2)


@atexit.register
def leave_quickly() -> None:
    """Exempt all objects from further collections, unless one of them does more than free memory.

    Called after the exit handlers that were registered later, and before modules are cleared.
    """
    try:
        objects = gc.get_objects()
        finalized = {kind for kind in set(map(type, objects)) if hasattr(kind, "__del__")}
        if not any(type(each) in finalized and is_at_work(each) for each in objects):
            gc.freeze()
    except Exception:  # Of an object that is asked; the process then ends as usual.
        return


def is_at_work(value: Any) -> bool:
    """Return whether an object with a finalizer does more than free memory in the end."""
    if isinstance(value, io.FileIO | io.BytesIO | io.StringIO):
        # Without a buffer that would have to be written.
        return type(value) not in (io.FileIO, io.BytesIO, io.StringIO)
    if isinstance(value, io.IOBase):
        return not value.closed and value.writable() and value.fileno() not in STANDARD_STREAMS
    if isinstance(value, GeneratorType):
        return getgeneratorstate(value) == GEN_SUSPENDED
    return type(value).__module__.split(".")[0] != "jaxlib"
