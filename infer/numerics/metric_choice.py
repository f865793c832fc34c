"""Decide from the draws of a window whether a metric that varies will pay, and whether it did."""

import numpy as np

from .agreement import join_chains
from .blas import one_blas_thread
from .dependence import measure_link_gains
from .mixing import estimate_ess

# Draws per chain of a window that is judged, and coordinates; it takes 0.1 s with the largest size.
MIN_DRAWS, MAX_SIZE = 100, 300
# Effective draws of the slowest coordinate, as a share of the draws, from which on the metric is
# good enough. It was at most 0.12 on the models below where a varying metric pays.
ENOUGH = 0.2
# Difference between the mean log densities of both halves of a window, in standard deviations of
# the second, from which on the chains are taken to be under way to the posterior. Of a steady rise
# it is 3.5, and 1.7 if one chain of four rises; it was at most 0.7 on the same models.
TRAVELING = 1.5
# Nats of log J that one link must gain in either half. In windows that mixed as slowly it was at
# least 2.0 in horseshoes, 1.2 in funnels, and 0.82 in 7 of 9 of eight schools, written centered; at
# most 0.73 in item response and seeds with learned centering and in models of posteriordb, where
# the varying metric made 0.8 to 1.4 times as many effective draws per gradient.
MIN_GAIN = 0.8
# Ratio of effective draws per gradient from which on the metric is kept. It is above one because
# the metric of the window before was learned from fewer draws.
MIN_RATIO = 1.5


def calls_for_variation(draws: np.ndarray, scores: np.ndarray, levels: np.ndarray) -> bool:
    """Return whether chains are where they belong, mix slowly, and scales follow coordinates.

    Chains that are under way to the posterior seem to have such scales, which a metric should not
    learn. So a link must gain in each half of the window alone.

    Args:
        draws: Shape (chains, draws, size).
        scores: Gradients of the log density at the draws, of the same shape.
        levels: Log densities of the draws, in nats, shape (chains, draws).
    """
    made, size = draws.shape[1:]
    if made < MIN_DRAWS or not 1 < size <= MAX_SIZE:
        return False
    if _count_effective(draws) >= ENOUGH * draws[..., 0].size or _are_traveling(levels):
        return False
    halves = slice(made // 2), slice(made // 2, None)
    each = (measure_link_gains(*(join_chains(a[:, h]) for a in (draws, scores))) for h in halves)
    with one_blas_thread():
        return bool(np.minimum(*each).max() > MIN_GAIN)


def has_paid(before: np.ndarray, steps_before: np.ndarray, draws: np.ndarray, steps: np.ndarray
) -> bool:  # fmt: skip
    """Return whether a window has many more effective draws per gradient than the one before.

    Args:
        before: Draws of the window before, shape (chains, draws, size).
        steps_before: Gradients that each draw took, shape (chains, draws).
        draws: Draws of the window.
        steps: Gradients of each.
    """
    rate, earlier = (
        _count_effective(draws) / steps.sum(),
        _count_effective(before) / steps_before.sum(),
    )
    return bool(rate > MIN_RATIO * earlier)


def _count_effective(draws: np.ndarray) -> float:
    """Estimate the effective number of draws of the slowest coordinate."""
    return float(np.nan_to_num(estimate_ess(draws.transpose(2, 0, 1).astype(np.float64))).min())


def _are_traveling(levels: np.ndarray) -> bool:
    first, second = np.split(levels[:, levels.shape[1] % 2 :].astype(np.float64), 2, axis=1)
    drift = np.abs(second.mean() - first.mean())
    return bool(not drift < TRAVELING * np.sqrt(second.var(1).mean()))
