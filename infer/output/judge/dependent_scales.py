"""Find coordinates whose scale follows others, in runs that had trouble with a constant metric."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from ...density.funnels import find_funnel_sites
from ...engines.base import Draws
from ...models.inputs.names import join_names
from ...numerics.dependence import bend
from ...numerics.learn_dependence import IN_TURN, learn_dependence
from ...run.coordinates import densities_own, move_all
from ...run.run import Run
from ..data.metric import name_engine
from ..finding import Finding
from ..remedy import advise_non_centered
from .flat_vectors import compute_gradients

# Findings that a scale which follows other coordinates may explain.
SYMPTOMS = frozenset(
    ("divergences", "low_bfmi", "high_rhat", "low_ess", "short_steps", "trajectories_cut_short")
)
# Draws from which scales are learned, and the maximum number of coordinates: from 250 draws of 200
# coordinates in 20 funnels 0.1 s, of the 42 of a horseshoe 0.06 s.
MAX_DRAWS, MAX_SIZE = 250, 200
# Factor between the 5 % and 95 % quantiles of a scale from which on no constant metric fits. It was
# 11 to 120 in runs of funnels, eight schools and a horseshoe that were in trouble, where the
# hierarchical metric makes at least 7 times as many effective draws per gradient.
LARGEST_FACTOR = 5.0
QUANTILES = (0.05, 0.95)
# Maximum number of coordinates that are named.
MAX_NAMED = 5


class Scales(NamedTuple):
    """Coordinates whose scale follows others.

    Attributes:
        children: Their indices.
        parents: Indices of the coordinates that they follow.
        factor: The largest factor between the 5 % and 95 % quantiles of a scale.
    """

    children: np.ndarray
    parents: np.ndarray
    factor: float


def find_dependent_scales(
    run: Run, draws: Draws | None, findings: Collection[Finding]
) -> Iterator[Finding]:
    """Report scales that follow other coordinates, if something else was found that they explain.

    Sites whose priors say so are left to the advice on those priors.

    Args:
        run: A run of one model.
        draws: Its draws, or some of them.
        findings: What else was found.
    """
    density, engine = run.density, name_engine(run)
    fits = getattr(engine, "metric", "") == "euclidean" and getattr(engine, "energy", "") == "value"
    suspect = fits and draws is not None and any(f.kind in SYMPTOMS for f in findings)
    if not suspect or not 1 < density.size <= MAX_SIZE or not density.has_value:
        return
    if find_funnel_sites(density) and advise_non_centered(density, engine):
        return
    assert draws is not None
    found = measure_scales(*_take_points(run, draws))
    if found is None:
        return
    labels = run.density.labels()
    children, parents = (
        join_names([labels[i] for i in own], MAX_NAMED) for own in (found.children, found.parents)
    )
    yield Finding(
        "dependent_scales",
        f"the scale of {children} follows {parents}: between its 5 % and 95 % quantiles it changes "
        f"by a factor of {found.factor:.2g}, so no constant metric fits everywhere.",
        f'Let warm-up learn that: infer.{type(engine).__name__}(metric="hierarchical").',
        tuple(labels[i] for i in found.children),
    )


def _take_points(run: Run, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Return some draws in the coordinates of the chains, and their scores, shape (rows, size)."""
    every = -(-draws.positions[..., 0].size // MAX_DRAWS)
    positions, scores = draws.positions[:, ::every, : run.density.size], draws.gradients[:, ::every]
    if scores.shape != positions.shape:
        scores = compute_gradients(run, positions)
    centering = run.warmup.centering
    if centering is not None and scores.shape == positions.shape:
        own = densities_own(centering)
        moved = move_all(run.family, own, centering, positions, scores)
        positions, scores = moved.position, moved.gradient
    return tuple(a.reshape(-1, a.shape[-1]) for a in (positions, scores))  # pyright: ignore


def measure_scales(positions: np.ndarray, scores: np.ndarray) -> Scales | None:
    """Find the coordinates whose scale follows others by more than a constant metric allows.

    Args:
        positions: Draws, shape (rows, size).
        scores: Gradients of the log density there, likewise.
    """
    if scores.shape != positions.shape:
        return None
    # One order finds the same scales; the other one is for locations that remain.
    found = learn_dependence(positions, scores, (IN_TURN,))
    log_scales, _ = bend(positions @ found.slopes.T, found.bends, np)
    low, high = np.quantile(log_scales, QUANTILES, axis=0)
    factors = np.exp(high - low)
    children = np.flatnonzero(factors >= LARGEST_FACTOR)
    if not len(children):
        return None
    parents = np.flatnonzero(found.slopes[children].any(0))
    return Scales(children, parents, float(factors.max()))
