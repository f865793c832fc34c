"""Explain a log density at a point, term by term."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..calls import check_arguments
from ..counts import as_whole
from ..errors import ModelError
from ..models.model import Model
from ..types import Vector
from .base import LogDensity, log_density
from .chain_starts import assign_starts, read_starts
from .explanation import Explanation, explain_at
from .family import singleton
from .start import search


@check_arguments("infer.explain")
def explain(
    model: Model, at: Any = "uniform", *, jacobian: bool = True, seed: int = 0
) -> Explanation:
    """Evaluate each term of a model's log density at one point.

    Args:
        model: What a front end returned, or a view of it.
        at: The point: constrained values by name, a flat vector, "initial" for the values that
            the model was made with, "mean" or "median" of the priors, or "uniform" or "prior" for
            a start as `sample` would find it (the first one tried, if none is usable).
        jacobian: Whether to add the maps' log-determinants, as `log_density` does.
        seed: Seed of the search for a start.

    Returns:
        A table of terms: print it.

    Raises:
        ModelError: The model cannot be used, or the values do not fit it.
    """
    seed = as_whole("seed", seed, 0)
    density = log_density(model, jacobian=jacobian)
    return explain_at(density, _read_point(density, at, seed))


def _read_point(density: LogDensity, at: Any, seed: int) -> Vector:
    if isinstance(at, Mapping):
        return density.unconstrain(at)
    if isinstance(at, str):
        (start,) = assign_starts(singleton(density), 1, read_starts(at))
        if isinstance(start, Mapping):
            return density.unconstrain(start)
        if at == "initial":
            return density.unconstrain(density.model.initial_values())
        found, _ = search(singleton(density), 1, np.array([0, seed], np.uint32), at)
        return jnp.asarray(found.positions[0])
    if jnp.shape(at) != (density.size,):
        raise ModelError(
            "at",
            f"the point has shape {jnp.shape(at)}",
            f"Give constrained values by name, or a flat vector of {density.size} numbers: "
            f"{', '.join(density.labels()[:12])}.",
        )
    return jnp.asarray(at, float)
