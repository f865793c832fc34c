"""Check that a model's log density is the same each time its Python code runs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..errors import ModelError
from ..programs.kernels import compile_as_kernels
from .base import LogDensity
from .family import Family
from .points import Evaluate

# Difference between two programs, in nats, that may be rounding and changes no draw.
SMALL = 0.05
# Rounding error of one log density, in units of its last place.
ROUNDING = 1e3
MEND = "Draw random numbers beforehand and pass them as data; read no state from outside."


def refuse_unless_reproduced(
    family: Family, positions: np.ndarray, recorded: np.ndarray, evaluate: Evaluate
) -> None:
    """Compare the log densities of two programs, each of which traced the model's Python code.

    Rounding may differ much between programs. So if they disagree, the model's Python code is run
    twice more, and the error is raised only if these two runs disagree.

    Args:
        family: The log densities.
        positions: One draw of each lane, shape (lanes, size).
        recorded: The log densities that the sampling program recorded there, shape (lanes,).
        evaluate: Evaluates points by the program that evaluated the starts.

    Raises:
        ModelError: The log density differs when the model runs again.
    """
    found = evaluate(positions[None]).log_densities[0]
    both = np.isfinite(found) & np.isfinite(recorded)
    apart = both & (np.abs(found - recorded) > np.maximum(SMALL, _rounding_of(found)))
    if apart.any():
        lane = int(np.argmax(apart))
        member = family.member(lane * family.count // len(positions))
        refuse_unless_deterministic(member, jnp.asarray(positions[lane]))


def refuse_unless_deterministic(density: LogDensity, point: Array) -> float:
    """Run the model's Python code twice, not one program twice; return its log density.

    Raises:
        ModelError: The log density differs the second time.
    """
    # JAX traces a new function again, so each of the two programs has seen the Python code run.
    runs = [jax.jit(lambda d, q: d.components(q).value).lower(density, point) for _ in range(2)]
    once, again = (float(compile_as_kernels(run).call(density, point)) for run in runs)
    if abs(once - again) > _rounding_of(np.asarray(once, point.dtype)):
        raise ModelError(
            "model", f"its log density was {once:.6g}, and {again:.6g} when run again", MEND
        )
    return once


def _rounding_of(log_density: np.ndarray) -> Any:
    return ROUNDING * np.finfo(log_density.dtype).eps * np.maximum(1.0, np.abs(log_density))
