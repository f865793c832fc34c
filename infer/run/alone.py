"""One thread of one process at a time advances a run."""

from collections.abc import Callable
from functools import wraps
from threading import get_ident
from typing import Any

from ..errors import RunError

# The thread that advances a run, by the identity of the run.
_threads: dict[int, int] = {}


class Unpickled:
    """What holds compiled programs, so that it is neither copied nor pickled."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RunError(
            "run",
            "a run cannot be copied or pickled, since it holds compiled programs",
            "Pickle its state, run.state, and go on by infer.start(model, engine, state=state); or "
            "give store= to infer.sample, and go on by infer.resume.",
        )


def claim(run: Any) -> bool:
    """Let this thread alone advance a run; return whether it could not do so already.

    Raises:
        RunError: Another thread advances it.
    """
    me = get_ident()
    is_new = _threads.get(id(run)) != me
    # Again if the other thread has just let it go.
    while _threads.setdefault(id(run), me) != me:
        refuse_if_claimed(run)
    return is_new


def release(run: Any) -> None:
    """Let other threads advance a run, if this thread did."""
    if _threads.get(id(run)) == get_ident():
        del _threads[id(run)]


def refuse_if_claimed(run: Any) -> None:
    """Raise if any thread advances a run.

    Raises:
        RunError: One does.
    """
    if id(run) in _threads:
        raise RunError(
            "run",
            "another thread is advancing it",
            "Wait until it is done; or pause or stop the handle of infer.sample_in_background, or "
            "make another run.",
        )


def alone(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method of a run be called by one thread at a time; it may call others of its kind."""

    @wraps(method)
    def call(run: Any, *arguments: Any, **named: Any) -> Any:
        is_new = claim(run)
        try:
            return method(run, *arguments, **named)
        finally:
            if is_new:
                release(run)

    return call
