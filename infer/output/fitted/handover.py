"""Begin a sampler from an approximation: where its chains start, and with which metric."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from ...density.base import LogDensity
from ...engines.base import Engine
from ...engines.whitened import Whitened
from ...errors import EngineError
from ...numerics.families.base import Distribution
from ...numerics.metric import Metric
from ...programs.native import call_compiled

# Draws whose scores give the metric; it is exact for a normal once they span the space.
DRAWS = 512


def make_tuning_from(
    density: LogDensity, distribution: Distribution, positions: np.ndarray, engine: Engine
) -> Any:
    """Make the tuning of a sampler whose metric whitens the approximation.

    Args:
        density: The log density to sample.
        distribution: The approximation.
        positions: Draws of it, shape (draws, size).
        engine: The sampler.

    Raises:
        EngineError: The engine has no metric.
    """
    if not isinstance(engine, Whitened):
        raise EngineError(
            type(engine).__name__,
            "it has no metric that an approximation could begin",
            "Choose infer.NUTS() or infer.HMC(), or give only starts=fit.starts(chains).",
        )
    scores = np.asarray(call_compiled(_scores, distribution, positions, form="fast_compile"))
    tuning = engine.first_tuning(density, positions, scores)
    return eqx.tree_at(_metric, tuning, _metric(tuning).learn(positions, scores))


def _metric(tuning: Any) -> Metric:
    return getattr(tuning, "shared", tuning).metric


def _scores(distribution: Distribution, positions: Array) -> Array:
    return jax.vmap(jax.grad(distribution.log_density))(positions)
