"""How a model's function runs: alone in the process, and without checks of traced arguments."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

from ..errors import ModelError
from .priors.known_only import known_only

# Seconds that a thread waits for one model of another thread, before it takes both for stuck.
LONGEST = 300.0


@contextmanager
def running() -> Iterator[None]:
    """Let no other model run inside the block, and let NumPyro check known arguments only.

    NumPyro keeps the handlers of all threads in one list. A model that runs in another thread would
    see the messages of this one, and count its sites among its own.

    Raises:
        ModelError: One model has run in another thread all the time that this one has waited.
    """
    with _TURN.taken(), known_only():
        yield


class _Turn:
    """A lock whose number says how often it was taken."""

    def __init__(self) -> None:
        self._lock, self._number = RLock(), 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        before = self._number
        while not self._lock.acquire(timeout=LONGEST):
            # JAX traces a function once for all threads: the other one may wait for this trace.
            if self._number == before:
                raise ModelError(
                    "model",
                    f"it waits for a model that has run in another thread for {LONGEST:g} s; if "
                    "both threads call the same compiled function, each may wait for the other",
                    "Evaluate models outside of functions that jax.jit compiles for several "
                    "threads, or in one thread after the other.",
                )
            before = self._number
        self._number += 1
        try:
            yield
        finally:
            self._lock.release()


_TURN = _Turn()
