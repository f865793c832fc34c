"""How a model's function runs: alone in the process, and without checks of traced arguments."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

from .priors.known_only import known_only

_lock = RLock()


@contextmanager
def running() -> Iterator[None]:
    """Let no other model run inside the block, and let NumPyro check known arguments only.

    NumPyro keeps the handlers of all threads in one list. A model that runs in another thread would
    see the messages of this one, and count its sites among its own.
    """
    with _lock, known_only():
        yield
