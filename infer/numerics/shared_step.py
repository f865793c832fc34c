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


def median_step(steps: np.ndarray) -> np.ndarray:
    """Compute the median step size of the chains, which one stuck chain hardly changes.

    Args:
        steps: Shape (*densities, chains).
    """
    return np.exp(np.median(np.log(steps.astype(np.float64)), axis=-1))


def choose_shared_step(steps: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose one step size for all chains, and return whether it suits each of them.

    A chain in the neck of a funnel that takes steps much longer than it learned diverges and gets
    stuck. So if one chain's step size is much shorter than the median, all chains use the shortest,
    unless that would cost the others more than it can gain.

    Args:
        steps: Averaged step size of each chain, shape (*densities, chains).
        draws: Number of draws from which each step size was learned.
    """
    shortest, median = steps.min(-1).astype(np.float64), median_step(steps)
    agree = (draws < MIN_DRAWS) | (shortest >= SHORTEST_STEP * median)
    return np.where(agree | (shortest < STUCK_STEP * median), median, shortest), agree


def raise_for_divergences(target: np.ndarray, diverging: np.ndarray) -> np.ndarray:
    """Raise the target acceptance if draws diverge, since chains get stuck if steps are too long.

    Args:
        target: Target acceptance of the window, shape (*densities,).
        diverging: Which draws of the window diverged, shape (*densities, chains, draws); only its
            second half counts.
    """
    late = diverging[..., diverging.shape[-1] // 2 :]
    many, share = late.sum((-2, -1)) >= MIN_DIVERGENT, late.mean((-2, -1))
    for limit in DIVERGENT_SHARES:
        target = np.where(many & (share > limit), tighten(target), target)
    return target


def tighten(target: np.ndarray) -> np.ndarray:
    """Halve the distance of the target acceptance to 1, but to no less than 0.05."""
    exact = target.astype(np.float64)
    halved = np.maximum(exact, np.minimum(1 - (1 - exact) / 2, HIGHEST_TARGET))
    return halved.astype(target.dtype)
