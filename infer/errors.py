"""Errors and warnings of `infer`: each says where, what was found and how to mend it."""

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from bijectors.errors import ExplainedError as ExplainedError

# Packages whose frames may lie between the user's code and the warning.
_OWN = frozenset(
    ("infer", "bijectors", "equinox", "jax", "numpyro", "contextlib", "jaxtyping", "beartype")
)


class ModelError(ExplainedError):
    """The model cannot be used as it stands; `where` names the site."""


class StartError(ExplainedError):
    """There is no usable starting point; `where` names the site or term at fault."""


class EngineError(ExplainedError):
    """The engine cannot run on this density, or its settings make no sense."""


class CallError(ExplainedError, TypeError):
    """The arguments of a call do not fit; the message names the one that was meant."""


class SamplingWarning(UserWarning):
    """Something is wrong with a run's draws; see `infer.verdict`."""


class ModelWarning(UserWarning):
    """The model works, but probably not as intended; the message begins with the name at fault."""


class FitWarning(UserWarning):
    """A mode or an approximation has problems; see `infer.verdict`."""


class RunError(ExplainedError):
    """The run cannot continue as requested.

    Attributes:
        run: The run that holds the draws, if they could not be turned into a result; else None.
    """

    run: Any = None


class Interrupted(KeyboardInterrupt):
    """A call was interrupted; nothing that it had computed is lost.

    If nobody caught it, an interactive Python keeps it as `sys.last_value`.

    Attributes:
        run: The run, which can go on: `run.advance(draws)`.
        resume: Goes on where the call stopped, bit for bit, and returns what the call would have.
    """

    def __init__(self, message: str, run: Any, resume: Callable[[], Any]) -> None:
        super().__init__(message)
        self.run, self.resume = run, resume


# Warnings for another process to give, if this thread collects them.
_collected: ContextVar[list[tuple[str, type[Warning]]]] = ContextVar("collected")


@contextmanager
def collecting_warnings() -> Iterator[list[tuple[str, type[Warning]]]]:
    """Collect what this thread would warn of: messages and their categories."""
    said: list[tuple[str, type[Warning]]] = []
    token = _collected.set(said)
    try:
        yield said
    finally:
        _collected.reset(token)


def warn(message: str, category: type[Warning] = SamplingWarning) -> None:
    """Warn at the line of the user's code that is running, skipping frames of the library."""
    if (said := _collected.get(None)) is not None:
        said.append((message, category))
        return
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _OWN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def warn_of_model(where: str, found: str, mend: str) -> None:
    """Warn about a model, at the line of the user's code that is running."""
    warn(f"{where}: {found}. {mend}", ModelWarning)


def warn_of_findings(findings: Sequence[Sequence[str]]) -> None:
    """Warn of what was found wrong with each of several modes or approximations."""
    for index, own in enumerate(findings):
        for finding in own:
            which = f"models[{index}]: " if len(findings) > 1 else ""
            warn(which + finding, FitWarning)
