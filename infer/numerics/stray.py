"""Find chains whose warm-up draws lie in a region of negligible posterior mass."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .agreement import join_chains
from .blas import one_blas_thread
from .metric import Metric

# In nats; the error of bounds computed from draws grows with the square root of the size.
MIN_GAP, GAP_PER_ROOT_SIZE = 10.0, 2.0
MIN_DRAWS = 10
# Draws of a scout, a chain from another start: enough to leave the tails and then to sample.
SCOUT_DRAWS = 30


class Bounds(NamedTuple):
    """Bounds on the posterior mass of each chain's region, each of shape (*densities, chains).

    They are log masses in nats, up to a constant shared by all chains: size / 2 log(2 pi e) plus
    the log-determinant of the metric's map.

    Attributes:
        lower: Lower bound, up to the error of averages over the draws.
        upper: Upper bound, likewise.
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
    """Return for each chain the chain whose position it should take: itself, unless it is stray.

    A chain in a region with a millionth of the posterior mass may take thousands of draws to leave
    it, and until then counts as much as any other. A chain is moved only if both of these hold: all
    of its log densities lie below all those of the chain whose region has the largest lower bound;
    and its own region's upper bound is below that lower bound by more than the error of the
    averages. So a chain stays where it is if the bounds are too wide to decide.

    Args:
        metric: The metric with which the draws were made.
        draws: Shape (chains, draws, size).
        scores: Gradients of the log density at the draws, of the same shape.
        stats: Statistics of the draws, each of shape (chains, draws).
        remaining: Number of windows still to come; before the last two it is too early to decide.

    Returns:
        The index of a chain for each chain, shape (chains,).
    """
    stay, stray = np.arange(len(draws)), find_stray(metric, draws, scores, stats, remaining)
    found = stay[~stray]
    # Each stray chain takes the position of the next chain that is not, which spreads them evenly.
    return np.where(stray, found[np.searchsorted(found, stay) % len(found)], stay)


def find_stray(
    metric: Metric,
    draws: np.ndarray,
    scores: np.ndarray,
    stats: Mapping[str, np.ndarray],
    remaining: int,
) -> np.ndarray:
    """Return which chains `relocate_chains` moves, shape (*densities, chains).

    The arguments are those of `relocate_chains`, and may have leading axes of densities.
    """
    if remaining > 1 or "lp" not in stats or draws.shape[-2] < MIN_DRAWS:
        return np.zeros(draws.shape[:-2], bool)
    levels = stats["lp"].astype(np.float64)
    lower, upper = bound_masses(metric, draws, scores, levels)
    best = lower.argmax(-1)[..., None]
    lowest = np.take_along_axis(levels.min(-1), best, -1)
    gap = np.take_along_axis(lower, best, -1) - relocation_gap(draws.shape[-1])
    return (levels.max(-1) < lowest) & (upper < gap)


def relocation_gap(size: int) -> float:
    """Return the gap in log mass, in nats, beyond which the chain of the lesser region is moved."""
    return MIN_GAP + GAP_PER_ROOT_SIZE * float(np.sqrt(size))


def bound_masses(
    metric: Metric, draws: np.ndarray, scores: np.ndarray, levels: np.ndarray
) -> Bounds:
    """Bound the posterior mass of each chain's region, from its draws and their scores.

    A region of mass Z has log Z = E[log density] + H, where H is the entropy of the draws. For
    given standard deviations of the coordinates, an independent normal has the largest entropy, so
    H is at most sum log sd(x_i) + c, with c = size / 2 log(2 pi e). Stam's inequality, for a vector
    scaled so that its Fisher information is the identity, says that H is at least
    c - 1/2 log det E[g g'], which by Hadamard's inequality is at least c - 1/2 sum log E[g_i^2].
    Both bounds are exact for a normal that the metric whitens. Scores do not show a wall at which
    the density ends, so in each coordinate the lower bound takes the smaller of the two terms.

    Args:
        metric: The metric with which the draws were made.
        draws: Shape (*densities, chains, draws, size).
        scores: Gradients of the log density at the draws, of the same shape.
        levels: Log densities in nats, float64, shape (*densities, chains, draws).

    Source: Stam (1959), Some inequalities satisfied by the quantities of information of Fisher and
        Shannon; for vectors Dembo, Cover & Thomas (1991), Information theoretic inequalities, its
        isoperimetric inequality for entropies.
    """
    with one_blas_thread():
        whitened = metric.whiten(join_chains(draws), join_chains(scores))
    if (volumes := metric.log_volume(draws)) is not None:
        levels = levels + volumes
    positions, slopes = (a.reshape(draws.shape) for a in whitened)
    with np.errstate(over="ignore", invalid="ignore"):
        spreads = _log(positions.var(-2)) / 2
        widths = np.minimum(-_log((slopes**2).mean(-2)) / 2, spreads)
    lower, upper = (levels.mean(-1) + logs.sum(-1) for logs in (widths, spreads))
    # Scores that are not finite give no lower bound.
    return Bounds(np.where(np.isnan(lower), -np.inf, lower), upper)


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(values, np.finfo(np.float64).tiny))
