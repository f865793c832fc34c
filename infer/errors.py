"""Errors and warnings of `infer`: each says where, what was found and how to mend it."""

import sys
import warnings
from typing import Any

from bijectors.errors import ExplainedError as ExplainedError

# What may stand between the user's code and ours.
_OWN = frozenset(
    ("infer", "bijectors", "equinox", "jax", "numpyro", "contextlib", "jaxtyping", "beartype")
)


class ModelError(ExplainedError):
    """A model that cannot be used as it stands; `where` names the site."""


class StartError(ExplainedError):
    """No usable starting point; `where` names the site or term at fault."""


class EngineError(ExplainedError):
    """An engine that cannot run on this density, or settings that make no sense."""


class CallError(ExplainedError, TypeError):
    """A call whose arguments do not fit; the message names the one that was meant."""


class SamplingWarning(UserWarning):
    """Something is wrong with a run's draws; see `infer.verdict`."""


class ModelWarning(UserWarning):
    """A model that works, but probably not as it was meant; it begins with the name at fault."""


class FitWarning(UserWarning):
    """A mode or an approximation is not what it should be; see its `findings`."""


class RunError(ExplainedError):
    """A run that cannot go on as asked.

    Attributes:
        run: The run whose draws are kept, if they could not be made a result; else None.
    """

    run: Any = None


def warn(message: str, category: type[Warning] = SamplingWarning) -> None:
    """Warn at the line of the user's code that is running, however many of ours lie between."""
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _OWN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def warn_of_model(where: str, found: str, mend: str) -> None:
    """Warn of a model, at the line of the user's code that is running."""
    warn(f"{where}: {found}. {mend}", ModelWarning)
