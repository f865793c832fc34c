"""Decide from draws whether a metric that depends on the position will pay, and whether it did."""

import numpy as np

from .agreement import join_chains
from .blas import one_blas_thread
from .learn_dependence import measure_link_gains
from .mixing import estimate_ess

# Draws per chain of a window that is judged, and coordinates; it takes 0.1 s with the largest size.
MIN_DRAWS, MAX_SIZE = 100, 300
# Smallest ESS, as a share of the draws, above which the metric is good enough. It was at most 0.18
# in the windows (`python -m benchmarks.metric_choice`) after which a metric that varies paid.
MAX_ESS_SHARE = 0.2
# Drift of the mean log density between the halves of a window, in standard deviations of the second
# half, above which the chains have not converged yet. A steady rise of all chains gives sqrt(12),
# that of one chain of four half as much; the same windows at most 1.3.
MAX_DRIFT = 1.5
# Nats of log J that one link must gain in each half. In the same windows the gain was 1.99 or more
# in horseshoes and funnels, above 0.8 in 13 of 14 of eight schools, written centered, and at most
# 0.56 on three levels, where the metric did not change.
MIN_GAIN = 0.8
# Keep the metric above this ratio of effective draws per gradient. It is above one because the
# metric of the window before was learned from fewer draws.
MIN_RATIO = 1.5


def needs_hierarchical_metric(
    draws: np.ndarray, scores: np.ndarray, log_densities: np.ndarray
) -> bool:
    """Return whether chains have converged, mix slowly, and have scales that depend on coordinates.

    Chains that still drift show such dependences falsely, so that a link must gain in each half of
    the window alone.

    Args:
        draws: Shape (chains, draws, size).
        scores: Gradients of the log density at the draws, of the same shape.
        log_densities: Log densities of the draws, in nats, shape (chains, draws).
    """
    made, size = draws.shape[1:]
    if made < MIN_DRAWS or not 1 < size <= MAX_SIZE:
        return False
    if _smallest_ess(draws) >= MAX_ESS_SHARE * draws[..., 0].size or _are_drifting(log_densities):
        return False
    gains = np.inf
    with one_blas_thread():
        for half in (slice(made // 2), slice(made // 2, None)):
            own = measure_link_gains(*(join_chains(a[:, half]) for a in (draws, scores)))
            gains = np.minimum(gains, own)
            # Most models end here after the first half.
            if not (gains > MIN_GAIN).any():
                return False
    return True


def is_more_efficient(
    before: np.ndarray, steps_before: np.ndarray, draws: np.ndarray, steps: np.ndarray
) -> bool:
    """Return whether a window has many more effective draws per gradient than the one before.

    Args:
        before: Draws of the window before, shape (chains, draws, size).
        steps_before: Gradients that each draw took, shape (chains, draws).
        draws: Draws of the window.
        steps: Gradients of each.
    """
    rate, earlier = (
        _smallest_ess(draws) / steps.sum(),
        _smallest_ess(before) / steps_before.sum(),
    )
    return bool(rate > MIN_RATIO * earlier)


def _smallest_ess(draws: np.ndarray) -> float:
    """Estimate the effective number of draws of the slowest coordinate."""
    return float(np.nan_to_num(estimate_ess(draws.transpose(2, 0, 1).astype(np.float64))).min())


def _are_drifting(log_densities: np.ndarray) -> bool:
    first, second = np.split(
        log_densities[:, log_densities.shape[1] % 2 :].astype(np.float64), 2, axis=1
    )
    drift = np.abs(second.mean() - first.mean())
    return bool(not drift < MAX_DRIFT * np.sqrt(second.var(1).mean()))
