"""Decide whether the metric has settled: the chains agree, and it whitens their draws."""

import numpy as np

from .fisher_scale import fisher_scale
from .low_rank import find_principal_stretches
from .metric import Metric

# Upper limit for the split R-hat of a window; the means of its half chains are still noisy.
MAX_RHAT = 1.1
# A scale wrong by less costs little: the number of leapfrog steps grows with the ratio of the
# largest scale to the smallest.
MAX_STRETCH = 1.5


def is_settled(
    metric: Metric, draws: np.ndarray, scores: np.ndarray, is_known: bool = False
) -> bool:
    """Return whether chains agree in a window and their whitened draws look standard normal.

    Args:
        metric: The metric with which the draws were made.
        draws: Shape (chains, draws, size).
        scores: Gradients of the log density at the draws, of the same shape.
        is_known: Whether the metric was not learned from few draws, so that scales alone judge it.
    """
    if draws.shape[0] < 2 or draws.shape[1] < 4:
        return False
    if not (np.isfinite(draws).all() and np.isfinite(scores).all()):
        return False
    if largest_rhat(draws) >= MAX_RHAT:
        return False
    return _is_whitened(metric, draws, scores, is_known)


def largest_rhat(draws: np.ndarray) -> float:
    """Compute the largest split R-hat of all coordinates; 0 if none varies."""
    return float(np.nanmax(split_rhat(draws), initial=0.0))


def split_rhat(draws: np.ndarray) -> np.ndarray:
    """Compute the split R-hat of each coordinate; NaN if it does not vary.

    Args:
        draws: Shape (chains, draws, size).

    Source: Gelman et al. (2013), Bayesian Data Analysis, equation 11.4, on halved chains.
    """
    half = draws.shape[1] // 2
    parts = np.concatenate([draws[:, :half], draws[:, half : 2 * half]]).astype(np.float64)
    within = parts.var(1, ddof=1).mean(0)
    between = half * parts.mean(1).var(0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((half - 1) / half + between / (half * within))


def shows_directions(draws: np.ndarray) -> bool:
    """Return whether draws of shape (chains, draws, size) are enough to see all directions."""
    return draws.shape[0] * draws.shape[1] >= 2 * draws.shape[2]


def _is_whitened(metric: Metric, draws: np.ndarray, scores: np.ndarray, is_known: bool) -> bool:
    size = draws.shape[-1]
    rows, slopes = metric.whiten(draws.reshape(-1, size), scores.reshape(-1, size))
    scale = fisher_scale(rows, slopes, np.ones(size))
    if np.abs(np.log(scale)).max(initial=0.0) > np.log(MAX_STRETCH):
        return False
    if is_known or not metric.rank:
        return True
    if not shows_directions(draws):
        return False
    directions, _ = find_principal_stretches(rows / scale, slopes * scale, metric.rank)
    return directions.shape[1] == 0
