"""Estimate by ArviZ how heavy the tail of importance ratios is."""

import arviz
import numpy as np

from .versions import HAS_DATA_TREE


def pareto_k(log_ratios: np.ndarray) -> float:
    """Estimate the Pareto shape k of importance ratios in double precision, by ArviZ.

    For ratios that are equal up to rounding k is minus infinity; ArviZ returns no value then. If a
    ratio is infinite or NaN, or more than half of them are zero, k is infinity.

    Source: Vehtari et al. (2024), Pareto smoothed importance sampling.
    """
    ratios = np.asarray(log_ratios, np.float64)
    zero = np.isneginf(ratios)
    if not np.isfinite(ratios[~zero]).all() or zero.mean() > 0.5:
        return np.inf
    rounding = 1e-9 + 1e3 * np.finfo(np.float64).eps * float(np.abs(ratios[~zero]).max())
    if not zero.any() and np.ptp(ratios) <= rounding:
        return -np.inf
    ratios = np.where(zero, -1e30, ratios)
    if HAS_DATA_TREE:
        from arviz_stats.base import array_stats  # pyright: ignore[reportMissingImports]

        # ArviZ 1 takes log likelihoods, which are minus the log ratios of leave-one-out.
        return float(array_stats.psislw(-ratios)[1])
    return float(arviz.psislw(ratios)[1])
