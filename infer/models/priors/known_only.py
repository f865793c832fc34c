"""Skip NumPyro's checks of traced arguments, whose results are never used."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from threading import Lock

from jax.core import Tracer
from numpyro.distributions import Distribution

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
    """Replaces `Distribution.validate_args` while any thread is inside `known_only`."""

    def __init__(self) -> None:
        self._lock, self._users = Lock(), 0
        self.original = Distribution.validate_args

    def acquire(self) -> None:
        with self._lock:
            if not self._users:
                self.original = Distribution.validate_args
                Distribution.validate_args = _validate_known
            self._users += 1

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                Distribution.validate_args = self.original


_PATCH = _Patch()


@wraps(Distribution.validate_args)
def _validate_known(self: Distribution, strict: bool = True) -> None:
    validate = _PATCH.original
    if strict or not _is_inside.get():
        return validate(self, strict)
    known = {n: a for n, a in self.get_args().items() if not isinstance(a, Tracer)}
    self.get_args = lambda: known
    try:
        validate(self, strict=False)
    finally:
        del self.get_args
