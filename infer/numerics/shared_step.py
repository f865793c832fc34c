"""Choose the step size and the target acceptance that all chains share, after a window."""

import numpy as np

# For each of these shares of divergent draws that is exceeded, the last window halves the distance
# of the target acceptance to 1, if at least MIN_DIVERGENT draws diverged. In a horseshoe regression
# 4 % of the draws diverged at 0.8, and chains got stuck in regions that need short steps: at 0.95
# its smallest ESS was 258 instead of 19 (medians of five).
DIVERGENT_SHARES = 0.02, 0.04
MIN_DIVERGENT = 5
# If all chains sampled the same posterior, the shortest step size of a last window of 30 draws was
# 0.77 to 0.99 of the median, on eight models; if a chain began to sample in the neck of a funnel,
# it was 0.14 to 0.35. With fewer than MIN_DRAWS draws the result of dual averaging is noisier. A
# step size below STUCK_STEP of the median suits that chain only.
SHORTEST_STEP = 0.5
STUCK_STEP = 0.03
MIN_DRAWS = 20
HIGHEST_TARGET = 0.95


def median_step(steps: np.ndarray) -> float:
    """Compute the median step size, which one stuck chain hardly changes."""
    return float(np.exp(np.median(np.log(steps.astype(np.float64)))))


def choose_shared_step(steps: np.ndarray, draws: int) -> tuple[float, bool]:
    """Choose one step size for all chains, and return whether it suits each of them.

    A chain in the neck of a funnel that takes steps much longer than it learned diverges and gets
    stuck. So if one chain's step size is much shorter than the median, all chains use the shortest,
    unless that would cost the others more than it can gain.

    Args:
        steps: Averaged step size of each chain, shape (chains,).
        draws: Number of draws from which each step size was learned.
    """
    shortest, median = float(steps.min()), median_step(steps)
    agree = draws < MIN_DRAWS or shortest >= SHORTEST_STEP * median
    return (median if agree or shortest < STUCK_STEP * median else shortest), agree


def raise_for_divergences(target: np.ndarray, diverging: np.ndarray) -> np.ndarray:
    """Raise the target acceptance if draws diverge, since chains get stuck if steps are too long.

    Args:
        target: Target acceptance of the window.
        diverging: Which draws of the window diverged, shape (chains, draws); only its second half
            counts.
    """
    late = diverging[:, diverging.shape[1] // 2 :]
    if late.sum() < MIN_DIVERGENT:
        return target
    halvings = sum(late.mean() > share for share in DIVERGENT_SHARES)
    for _ in range(halvings):
        target = tighten(target)
    return target


def tighten(target: np.ndarray) -> np.ndarray:
    """Halve the distance of the target acceptance to 1, but to no less than 0.05."""
    halved = max(float(target), min(1 - (1 - float(target)) / 2, HIGHEST_TARGET))
    return np.asarray(halved, target.dtype)
