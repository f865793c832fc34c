"""Spare NumPyro's distributions the checks whose answers nobody reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps

from jax.core import Tracer
from numpyro.distributions import Distribution

_known_only: ContextVar[bool] = ContextVar("known_only", default=False)
_validate_args = Distribution.validate_args


@contextmanager
def known_only() -> Iterator[None]:
    """Let NumPyro check, of the arguments of distributions made inside, only those it can know.

    Of a traced argument it works the check out and forgets the answer. That of a covariance
    compiles some forty programs and traces a decomposition: 1.4 s of the 4.8 s of a Gaussian
    process's cold start. Wrong numbers are still refused, and values outside a support still
    have no density.
    """
    before = _known_only.set(True)
    try:
        yield
    finally:
        _known_only.reset(before)


@wraps(_validate_args)
def _checked(self: Distribution, strict: bool = True) -> None:
    if strict or not _known_only.get():
        return _validate_args(self, strict)
    known = {n: a for n, a in self.get_args().items() if not isinstance(a, Tracer)}
    self.get_args = lambda: known
    try:
        _validate_args(self, strict=False)
    finally:
        del self.get_args


Distribution.validate_args = _checked
