"""Decide whether the metric has settled: the chains agree, and it whitens their draws."""

from typing import Any

import numpy as np

from .fisher_scale import fisher_scale
from .low_rank import LARGE, find_principal_stretches
from .metric import Metric

# Upper limit for the split R-hat of a window; the means of its half chains are still noisy.
MAX_RHAT = 1.1
# A scale wrong by less costs little: the number of leapfrog steps grows with the ratio of the
# largest scale to the smallest.
MAX_STRETCH = 1.5


def is_settled(
    metric: Metric, draws: np.ndarray, scores: np.ndarray, is_known: Any = False
) -> np.ndarray:
    """Return whether chains agree in a window and their whitened draws look standard normal.

    Args:
        metric: The metric with which the draws were made.
        draws: Shape (*densities, chains, draws, size).
        scores: Gradients of the log density at the draws, of the same shape.
        is_known: Whether the metric was not learned from few draws, so that scales alone judge it.
    """
    axes = (-3, -2, -1)
    enough = np.isfinite(draws).all(axes) & np.isfinite(scores).all(axes)
    if draws.shape[-3] < 2 or draws.shape[-2] < 4 or not enough.any():
        return np.zeros_like(enough)
    enough &= largest_rhat(draws) < MAX_RHAT
    return _is_whitened(metric, draws, scores, is_known, enough) if enough.any() else enough


def largest_rhat(draws: np.ndarray) -> np.ndarray:
    """Compute the largest split R-hat of all coordinates; 0 if none varies."""
    with np.errstate(invalid="ignore"):
        return np.nanmax(split_rhat(draws), axis=-1, initial=0.0)


def split_rhat(draws: np.ndarray) -> np.ndarray:
    """Compute the split R-hat of each coordinate; NaN if it does not vary.

    Args:
        draws: Shape (*densities, chains, draws, size).

    Source: Gelman et al. (2013), Bayesian Data Analysis, equation 11.4, on halved chains.
    """
    half = draws.shape[-2] // 2
    halves = draws[..., :half, :], draws[..., half : 2 * half, :]
    parts = np.concatenate(halves, axis=-3).astype(np.float64)
    within = parts.var(-2, ddof=1).mean(-2)
    between = half * parts.mean(-2).var(-2, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((half - 1) / half + between / (half * within))


def shows_directions(draws: np.ndarray) -> bool:
    """Return whether draws of shape (*, chains, draws, size) are enough to see all directions."""
    chains, made, size = draws.shape[-3:]
    return chains * made >= 2 * size


def join_chains(draws: np.ndarray) -> np.ndarray:
    """Join chains and draws: shape (*densities, rows, size)."""
    return draws.reshape(*draws.shape[:-3], -1, draws.shape[-1])


def _is_whitened(
    metric: Metric, draws: np.ndarray, scores: np.ndarray, is_known: Any, enough: np.ndarray
) -> np.ndarray:
    rows, slopes = metric.whiten(join_chains(draws), join_chains(scores))
    scale = fisher_scale(rows, slopes, np.ones((*rows.shape[:-2], rows.shape[-1])))
    far = np.abs(np.log(scale)).max(-1, initial=0.0) > np.log(MAX_STRETCH)
    enough = enough & ~far
    if not metric.rank or not (enough & ~np.asarray(is_known)).any():
        return enough
    # The draws of a large target never span the space; what they show must be enough.
    if not shows_directions(draws) and draws.shape[-1] <= LARGE:
        return enough & is_known
    scale = scale[..., None, :]
    _, stretch = find_principal_stretches(rows / scale, slopes * scale, metric.rank)
    return enough & (is_known | (stretch == 1).all(-1))
