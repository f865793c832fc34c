"""Skip NumPyro's checks of traced arguments, whose results are never used."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

from jax.core import Tracer

from . import distributions as dist
from .distributions import is_imported

_is_inside: ContextVar[bool] = ContextVar("is_inside_known_only", default=False)


@contextmanager
def known_only() -> Iterator[None]:
    """Make NumPyro check only the known arguments of distributions that are made inside.

    For a traced argument it computes the check and discards the result. The check of a covariance
    compiles about forty programs and traces a decomposition: 1.4 s of the 4.8 s of a Gaussian
    process's cold start. Known arguments that are wrong are still refused, and values outside a
    support still have density zero. Outside the block, and in other threads, NumPyro is unchanged.
    """
    before = _is_inside.set(True)
    _PATCH.acquire()
    try:
        yield
    finally:
        _PATCH.release()
        _is_inside.reset(before)


class _Patch:
    """Replaces `Distribution.validate_args` while any thread is inside `known_only`.

    It does nothing before somebody has imported NumPyro.
    """

    def __init__(self) -> None:
        self._lock, self._users, self._is_set = Lock(), 0, False
        # Kept at the end, since a check in another thread may be under way.
        self.original: Any = None

    def acquire(self) -> None:
        with self._lock:
            self._users += 1
            if not self._is_set and is_imported():
                self._is_set, self.original = True, dist.Distribution.validate_args
                dist.Distribution.validate_args = _validate_known

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users and self._is_set:
                self._is_set, dist.Distribution.validate_args = False, self.original


_PATCH = _Patch()


def _validate_known(self: Any, strict: bool = True) -> None:
    validate = _PATCH.original
    if strict or not _is_inside.get():
        return validate(self, strict)
    known = {n: a for n, a in self.get_args().items() if not isinstance(a, Tracer)}
    self.get_args = lambda: known
    try:
        validate(self, strict=False)
    finally:
        del self.get_args
