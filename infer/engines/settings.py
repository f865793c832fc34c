"""Check the settings of an engine when it is made."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..calls import refuse_misfit
from ..counts import is_whole
from ..errors import EngineError


def refuse_settings(engine: type, settings: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Raise if an engine does not take the given settings."""
    wanted = signature(engine.__init__)
    try:
        given = wanted.bind_partial(None, *settings, **named).arguments
    except TypeError:
        refuse_misfit(engine.__name__, wanted, (None, *settings), named)
        raise
    for name, value in given.items():
        kind = wanted.parameters[name].annotation
        if kind in (int, int | None) and value is not None and not _is_count(value):
            raise EngineError(engine.__name__, f"{name} is {value!r}", "Give a whole number.")
        if kind in (float, float | None) and value is not None and not _is_number(value):
            raise EngineError(engine.__name__, f"{name} is {value!r}", "Give a number.")


def _is_count(value: Any) -> bool:
    # Settings are hashable, so they are not arrays.
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    floats = getattr(value, "dtype", None) is not None and np.shape(value) == ()
    floats = floats and jnp.issubdtype(value.dtype, jnp.floating)
    return isinstance(value, float) or floats or is_whole(value)


def check_step_settings(
    engine: str, target_acceptance: float, step_size: float | None, rank: int | None
) -> None:
    """Raise an error if a setting of the step size or the metric is invalid."""
    if rank is not None and rank < 0:
        raise EngineError(
            engine, f"rank is {rank}", "Give 0 for a diagonal metric, or a positive number."
        )
    if not 0 < target_acceptance < 1:
        raise EngineError(
            engine,
            f"target_acceptance is {target_acceptance}",
            "Give a number between 0 and 1, such as 0.8.",
        )
    if step_size is not None and not step_size > 0:
        raise EngineError(
            engine, f"step_size is {step_size}", "Give a positive number, or leave it out."
        )
