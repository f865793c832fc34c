"""Pareto smoothing of importance ratios, by ArviZ: how heavy their tail is, and their weights."""

import numpy as np

from .versions import HAS_DATA_TREE

# With fewer ratios, the tail that is smoothed has fewer than five, and its shape stays unknown.
FEWEST = 25


def pareto_k(log_ratios: np.ndarray) -> float:
    """Estimate the Pareto shape k of importance ratios in double precision, by ArviZ.

    For ratios that are equal up to rounding k is minus infinity; ArviZ returns no value then. If a
    ratio is infinite or NaN, more than half of them are zero, or there are fewer than 25, k is
    infinity.

    Source: Vehtari et al. (2024), Pareto smoothed importance sampling.
    """
    return _smooth(np.asarray(log_ratios, np.float64))[1]


def smooth_weights(log_ratios: np.ndarray) -> np.ndarray:
    """Compute importance weights whose largest ones follow a Pareto distribution; they sum to one.

    Weights of ratios that are infinite or NaN are zero. If all of them are, all weights are equal.

    Source: Vehtari et al. (2024), Pareto smoothed importance sampling.
    """
    ratios = np.asarray(log_ratios, np.float64)
    usable = np.isfinite(ratios)
    if not usable.any():
        return np.full(ratios.size, 1 / ratios.size)
    log_weights = np.full_like(ratios, -np.inf)
    log_weights[usable] = _smooth(ratios[usable])[0]
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum()


def smooth_ratios(log_ratios: np.ndarray) -> tuple[np.ndarray, float]:
    """Return what `smooth_weights` and `pareto_k` return; if all are finite, smooth them once."""
    ratios = np.asarray(log_ratios, np.float64)
    if not np.isfinite(ratios).all():
        return smooth_weights(ratios), pareto_k(ratios)
    log_weights, k = _smooth(ratios)
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum(), k


def _smooth(ratios: np.ndarray) -> tuple[np.ndarray, float]:
    """Return log weights up to a constant, and k."""
    zero = np.isneginf(ratios)
    if ratios.size < FEWEST or not np.isfinite(ratios[~zero]).all() or zero.mean() > 0.5:
        return ratios, np.inf
    rounding = 1e-9 + 1e3 * np.finfo(np.float64).eps * float(np.abs(ratios[~zero]).max())
    if not zero.any() and np.ptp(ratios) <= rounding:
        return ratios, -np.inf
    ratios = np.where(zero, -1e30, ratios)
    if HAS_DATA_TREE:
        from arviz_stats.base import array_stats  # pyright: ignore[reportMissingImports]

        # ArviZ 1 takes log likelihoods, which are minus the log ratios of leave-one-out.
        weights, k = array_stats.psislw(-ratios)
    else:
        import arviz

        weights, k = arviz.psislw(ratios)
    return np.asarray(weights), float(k)
