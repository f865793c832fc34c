"""Tell whether warm-up has learned what it can: chains agree, and the metric whitens them."""

import numpy as np

from .low_rank import principal_stretches
from .metric import Metric, fisher_scale

# Split chains of a window may differ by so much: their own means are still noisy.
MAX_RHAT = 1.1
# A scale that is off by less costs little: leapfrogs go with the ratio of the extreme ones.
MAX_STRETCH = 1.5


def is_settled(metric: Metric, draws: np.ndarray, scores: np.ndarray) -> bool:
    """Tell whether a window's draws look alike in all chains, and standard normal in its metric.

    Args:
        metric: In use while they were drawn.
        draws: Shape (chains, draws, size).
        scores: Gradients of the log density there, of the same shape.
    """
    if draws.shape[0] < 2 or draws.shape[1] < 4:
        return False
    if not (np.isfinite(draws).all() and np.isfinite(scores).all()):
        return False
    return bool(largest_rhat(draws) < MAX_RHAT) and _is_whitened(metric, draws, scores)


def largest_rhat(draws: np.ndarray) -> float:
    """Compute the largest split R-hat of any coordinate; 0 where none varies."""
    return float(np.nanmax(split_rhat(draws), initial=0.0))


def split_rhat(draws: np.ndarray) -> np.ndarray:
    """Compute the split R-hat of each coordinate; NaN where it does not vary.

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


def _is_whitened(metric: Metric, draws: np.ndarray, scores: np.ndarray) -> bool:
    size = draws.shape[-1]
    rows, slopes = metric.whiten(draws.reshape(-1, size), scores.reshape(-1, size))
    scale = fisher_scale(rows, slopes, np.ones(size))
    if np.abs(np.log(scale)).max(initial=0.0) > np.log(MAX_STRETCH):
        return False
    if not metric.rank:
        return True
    # Fewer rows do not show the directions that a metric could still learn.
    if len(rows) < 2 * size:
        return False
    directions, _ = principal_stretches(rows / scale, slopes * scale, metric.rank)
    return directions.shape[1] == 0
