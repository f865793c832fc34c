"""Refuse, before anything compiles, what a run could not carry out."""

from typing import Any

import numpy as np

from ..engines.base import Engine
from ..errors import EngineError, RunError
from ..target import Target


def refuse_unless_offered(target: Target, engine: Engine) -> None:
    """Raise where an engine needs what the density does not offer.

    Raises:
        EngineError: Something is missing, or the target is empty.
    """
    missing = engine.needs - target.offers
    if missing:
        raise EngineError(
            type(engine).__name__,
            f"it needs the density's {', '.join(sorted(missing))}, which the model does not offer",
            "Choose an engine that works without.",
        )
    if target.size == 0:
        raise EngineError(
            type(engine).__name__,
            "the flat vector has length 0, since every latent site is fixed by its constraint",
            "Add a latent site with at least one free coordinate.",
        )


def refuse_number(name: str, number: Any, least: int) -> None:
    """Raise where a number is not whole, or is below the least that makes sense."""
    whole = isinstance(number, int | np.integer)
    if not whole or number < least:
        raise RunError(name, f"{number!r} is asked for", f"Give a whole number from {least} on.")
