"""Find chains of a warm-up that wander where next to nothing of the posterior is."""

from collections.abc import Mapping

import numpy as np

from .blas import one_blas_thread
from .metric import Metric

# In nats; what a region holds is known within some square roots of the number of coordinates.
LEAST_GAP, GAP_OF_A_COORDINATE = 10.0, 2.0
FEWEST_DRAWS = 10
# Draws of a chain that looks around from another start: to find out of the tails, and there.
SCOUTED = 30


def places(
    metric: Metric, draws: np.ndarray, stats: Mapping[str, np.ndarray], remaining: int
) -> np.ndarray:
    """Tell for each chain whose place it should take: its own, unless it has gone astray.

    A chain in a region that holds a millionth of the posterior may take thousands of draws to find
    out of it, and until then counts for as much as any other. What a region holds is estimated from
    a window of draws, as the mean density times the volume, a product of whitened spreads; so the
    wide and the narrow end of a funnel hold the same. A chain is astray where all of its log
    densities lie below all those of the chain whose region holds most, and its region holds less by
    more than those estimates can err.

    Args:
        metric: In use while they were drawn.
        draws: Shape (chains, draws, size).
        stats: Statistics of the same draws, each of shape (chains, draws).
        remaining: Windows still to come; before the last two it is too early to tell.

    Returns:
        A chain for each chain, shape (chains,).
    """
    stay = np.arange(len(draws))
    if remaining > 1 or "lp" not in stats or draws.shape[1] < FEWEST_DRAWS:
        return stay
    levels = stats["lp"].astype(np.float64)
    with one_blas_thread():
        holds = levels.mean(1) + _log_volumes(metric, draws)
    best = int(np.argmax(holds))
    gap = LEAST_GAP + GAP_OF_A_COORDINATE * np.sqrt(draws.shape[2])
    astray = (levels.max(1) < levels[best].min()) & (holds < holds[best] - gap)
    found = stay[~astray]
    # The next one that has found it, so that all of them are followed by as many.
    return np.where(astray, found[np.searchsorted(found, stay) % len(found)], stay)


def _log_volumes(metric: Metric, draws: np.ndarray) -> np.ndarray:
    rows = draws.reshape(-1, draws.shape[-1])
    whitened, _ = metric.whitened(rows, np.zeros_like(rows))
    spreads = whitened.reshape(draws.shape).std(1)
    return np.log(np.maximum(spreads, np.finfo(np.float64).tiny)).sum(-1)
