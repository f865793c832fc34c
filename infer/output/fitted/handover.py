"""Begin a sampler from an approximation: where its chains start, and with which metric."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from ...density.base import LogDensity
from ...density.family import singleton
from ...density.recentered import complete_degrees, find_centering, recenter
from ...engines.base import Draws, Engine
from ...engines.whitened import Whitened
from ...errors import EngineError
from ...numerics.families.base import Distribution
from ...numerics.hamiltonian import HamiltonianTuning
from ...numerics.metric import Metric
from ...programs.native import call_compiled
from ...run.coordinates import densities_own, move_all
from ...run.recentering import begin_centering, choose_centering
from ...run.tuned import TuningAtDegrees, join_tuning
from .ratios import BATCH

# Draws whose scores give the metric; it is exact for a normal once they span the space.
DRAWS = 512


def make_tuning_from(
    density: LogDensity, distribution: Distribution, positions: np.ndarray, engine: Engine
) -> Any:
    """Make the tuning of a sampler whose metric whitens the approximation.

    Args:
        density: The log density that was fitted, in the coordinates of the fit.
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
    centering = find_centering(density)
    if centering is not None and not _learns_centering(engine):
        family, rows = singleton(density), (positions[None], scores[None])
        moved = move_all(family, centering, densities_own(centering), *rows)
        positions, scores, centering = moved.position[0], moved.gradient[0], None
    tuning = engine.first_tuning(density, positions, scores)
    made = eqx.tree_at(_metric, tuning, _metric(tuning).learn(positions, scores))
    return join_tuning(made, centering)


class Handover(NamedTuple):
    """What a sampler begins with.

    Attributes:
        tuning: Its tuning; the metric counts as known, so that chains only judge it.
        degrees: How far sites are centered in the coordinates of the tuning, if it is learned.
        gradients: Gradients of the log density that this took.
    """

    tuning: Any
    degrees: np.ndarray | None = None
    gradients: int = 0


def hand_over(
    density: LogDensity, fitted: LogDensity, distribution: Distribution, positions: np.ndarray,
    engine: Engine,
) -> Handover:  # fmt: skip
    """Make the tuning of a sampler, in the coordinates that suit the draws if these are learned.

    Args:
        density: The log density to sample.
        fitted: The one that was fitted, in the coordinates of the fit.
        distribution: The approximation.
        positions: Draws of it, shape (draws, size).
        engine: The sampler.
    """
    made = make_tuning_from(fitted, distribution, positions, engine)
    tuning = made.tuning if isinstance(made, TuningAtDegrees) else made
    settled = np.ones_like(_shared(tuning).settled)
    tuning = eqx.tree_at(lambda tuning: _shared(tuning).settled, tuning, settled)
    family = singleton(density)
    first = begin_centering(family) if _learns_centering(engine) else None
    if first is None:
        return Handover(tuning)
    own, known = densities_own(first), find_centering(fitted)
    if known is not None:
        own = own._replace(degrees=complete_degrees(own.pieces, known.degrees))
    here = recenter(family, own).member(0)
    scores = np.asarray(call_compiled(_posterior_scores, here, positions, form="fast_compile"))
    rows = positions[None], scores[None]
    new = choose_centering(family, own, Draws(*rows, {}))
    moved = move_all(family, own, new, *rows)
    learned = _metric(tuning).learn(moved.position[0], moved.gradient[0])
    return Handover(eqx.tree_at(_metric, tuning, learned), new.degrees, len(positions))


def _learns_centering(engine: Engine) -> bool:
    return engine.plan_warmup(1).recenters


def _metric(tuning: Any) -> Metric:
    return _shared(tuning).metric


def _shared(tuning: Any) -> HamiltonianTuning:
    return getattr(tuning, "shared", tuning)


def _posterior_scores(density: LogDensity, positions: Array) -> Array:
    return jax.lax.map(lambda q: density.evaluate(q)[1], positions, batch_size=BATCH)


def _scores(distribution: Distribution, positions: Array) -> Array:
    return jax.vmap(jax.grad(distribution.log_density))(positions)
