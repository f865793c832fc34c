"""Check that a model says the same whenever its Python code runs."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..errors import ModelError
from .base import LogDensity
from .family import Family
from .start import Evaluate

# Differences of two programs, in nats, that change no draw and may be rounding.
SMALL = 0.05
# Rounding of one log density, in units of the last place of its size.
ROUNDING = 1e3
MEND = "Draw random numbers before, and pass them as data; take no state from outside."


def refuse_unless_reproduced(
    family: Family, positions: np.ndarray, recorded: np.ndarray, evaluate: Evaluate
) -> None:
    """Compare what two programs say, each of which ran the model's Python code when it was traced.

    Rounding may differ much between programs. So the model is run again, and once more, only if
    they disagree, and what it says then decides.

    Args:
        family: The log densities.
        positions: One draw of each lane, shape (lanes, size).
        recorded: The log densities that the program of the chains recorded there, shape (lanes,).
        evaluate: Evaluates points by the program of the starts.

    Raises:
        ModelError: The model says something else when it runs again.
    """
    found = evaluate(positions[None]).log_densities[0]
    both = np.isfinite(found) & np.isfinite(recorded)
    apart = both & (np.abs(found - recorded) > np.maximum(SMALL, _rounding_of(found)))
    if apart.any():
        lane = int(np.argmax(apart))
        member = family.member(lane * family.count // len(positions))
        refuse_unless_deterministic(member, jnp.asarray(positions[lane]))


def refuse_unless_deterministic(density: LogDensity, point: Array) -> float:
    """Run the model's own Python code twice, not one program twice; return its log density.

    Raises:
        ModelError: It says something else the second time.
    """
    once, again = (float(density.components(point).value) for _ in range(2))
    if abs(once - again) > _rounding_of(np.asarray(once, point.dtype)):
        raise ModelError("model", f"its log density is {once:.6g}, then {again:.6g}", MEND)
    return once


def _rounding_of(log_density: np.ndarray) -> Any:
    return ROUNDING * np.finfo(log_density.dtype).eps * np.maximum(1.0, np.abs(log_density))
