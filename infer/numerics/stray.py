"""Find chains of a warm-up that draw where next to nothing of the posterior is."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .blas import one_blas_thread
from .metric import Metric

# In nats; bounds from draws err by some square roots of the number of coordinates.
MIN_GAP, GAP_PER_ROOT_SIZE = 10.0, 2.0
MIN_DRAWS = 10
# Draws of a chain that looks around from another start: to find out of the tails, and there.
SCOUT_DRAWS = 30


class Bounds(NamedTuple):
    """Bounds of what the region of each chain holds, each of shape (chains,).

    They are log masses in nats, up to a constant that all share: size / 2 log(2 pi e) and the
    log-determinant of the metric's map.

    Attributes:
        lower: The region holds no less, but for the error of averages over its draws.
        upper: The region holds no more, likewise.
    """

    lower: np.ndarray
    upper: np.ndarray


def relocate_chains(
    metric: Metric,
    draws: np.ndarray,
    scores: np.ndarray,
    stats: Mapping[str, np.ndarray],
    remaining: int,
) -> np.ndarray:
    """Return for each chain whose place it should take: its own, unless its region holds nothing.

    A chain in a region that holds a millionth of the posterior may take thousands of draws to find
    out of it, and until then counts for as much as any other. A chain is moved only if both of
    these hold: all of its log densities lie below all those of the chain whose region holds most;
    and the most that its region can hold is less than the least that the other one can hold, by
    more than the averages can err. So a chain is left alone if the bounds are too wide to tell.

    Args:
        metric: In use while they were drawn.
        draws: Shape (chains, draws, size).
        scores: Gradients of the log density there, of the same shape.
        stats: Statistics of the same draws, each of shape (chains, draws).
        remaining: Windows still to come; before the last two it is too early to tell.

    Returns:
        A chain for each chain, shape (chains,).
    """
    stay = np.arange(len(draws))
    if remaining > 1 or "lp" not in stats or draws.shape[1] < MIN_DRAWS:
        return stay
    levels = stats["lp"].astype(np.float64)
    holds = bounds(metric, draws, scores, levels)
    best = int(np.argmax(holds.lower))
    below = levels.max(1) < levels[best].min()
    stray = below & (holds.upper < holds.lower[best] - relocation_gap(draws.shape[2]))
    found = stay[~stray]
    # The next one that has found it, so that all of them are followed by as many.
    return np.where(stray, found[np.searchsorted(found, stay) % len(found)], stay)


def relocation_gap(size: int) -> float:
    """Return by how many nats a region must hold less than another for its chain to be moved."""
    return MIN_GAP + GAP_PER_ROOT_SIZE * float(np.sqrt(size))


def bounds(metric: Metric, draws: np.ndarray, scores: np.ndarray, levels: np.ndarray) -> Bounds:
    """Bound what the region of each chain holds, from its draws and the scores there.

    A region that holds Z has log Z = E[log density] + H, where H is the entropy of its draws. A
    normal with the same spreads along the coordinates has the largest, so H is at most
    sum log sd(x_i) + c, with c = size / 2 log(2 pi e). The inequality of Stam, for a vector that
    is scaled so that its Fisher information is the identity, gives H at least
    c - 1/2 log det E[g g'], which Hadamard's bounds by c - 1/2 sum log E[g_i^2]. Both are exact
    for a normal that the metric whitens. The scores do not see a wall at which a density ends; so
    in each coordinate the lower bound takes the smaller of the two.

    Args:
        metric: In use while they were drawn.
        draws: Shape (chains, draws, size).
        scores: Gradients of the log density there, of the same shape.
        levels: Log densities in nats, float64, shape (chains, draws).

    Source: Stam (1959), Some inequalities satisfied by the quantities of information of Fisher and
        Shannon; for vectors Dembo, Cover & Thomas (1991), Information theoretic inequalities, its
        isoperimetric inequality for entropies.
    """
    rows = (-1, draws.shape[-1])
    with one_blas_thread():
        whitened = metric.whiten(draws.reshape(rows), scores.reshape(rows))
    positions, slopes = (a.reshape(draws.shape) for a in whitened)
    with np.errstate(over="ignore", invalid="ignore"):
        spreads = _log(positions.var(1)) / 2
        widths = np.minimum(-_log((slopes**2).mean(1)) / 2, spreads)
    lower, upper = (levels.mean(1) + logs.sum(-1) for logs in (widths, spreads))
    # A score that is not finite tells nothing.
    return Bounds(np.where(np.isnan(lower), -np.inf, lower), upper)


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(values, np.finfo(np.float64).tiny))
