"""Learn the tuning of HMC and NUTS from the draws of a window: for one density, or for many."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .agreement import is_settled, join_chains, shows_directions
from .blas import one_blas_thread
from .hamiltonian import HamiltonianTuning
from .low_rank import LARGE
from .metric import Metric
from .shared_step import choose_shared_step, median_step, raise_for_divergences, tighten

# Maximum number of numbers in the pooled rows of a large target, 128 MiB, which are copied a few
# times; but some 100 rows are kept, as fewer than 3 teach nothing. Scales of 10^6 coordinates that
# are correlated by 0.9 in pairs differ by 3.6 times with 17 rows, 1.6 with 100 and 1.4 with 200.
MAX_NUMBERS, FEWEST_ROWS = 2**24, 100


def retune(
    tuning: HamiltonianTuning,
    draws: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    stats: Mapping[str, np.ndarray],
    remaining: int,
    has_moved: bool = False,
) -> HamiltonianTuning:
    """Pool what all chains learned in a window, in float64, in the order of the chains.

    All arrays, and those of the tuning, may have leading axes of densities, each of which then
    learns what it would alone, bit for bit.

    Args:
        tuning: The tuning used in the window that has ended.
        draws: Draws of the last windows, each of shape (*densities, chains, draws, size).
        scores: Gradients of the log density at the draws.
        stats: Statistics of the last window, each of shape (*densities, chains, draws).
        remaining: Number of windows still to come. The last window learns only the step size, and
            aims at a higher acceptance if it is repeated.
        has_moved: Whether a chain was relocated, and is not among these.
    """
    target, dtype = np.asarray(tuning.target_acceptance), np.asarray(tuning.step_size).dtype
    metric, steps, no = tuning.metric, stats["step_size_bar"][..., -1], np.zeros(target.shape, bool)
    moved = no | has_moved
    if not remaining:
        chosen, agree = choose_shared_step(steps, draws[-1].shape[-2])
        target = np.where(agree, target, tighten(target))
        return _as_tuning(metric, chosen.astype(dtype), target, no, agree, moved)
    # The first window may be made with the metric of a fit or of an earlier run that settled.
    is_first = no | (len(draws) == 1)
    is_known = is_first & tuning.settled & ~np.asarray(tuning.relocated)
    with one_blas_thread():
        # Just before the last window there is no window to skip.
        enough = is_settled(metric, draws[-1], scores[-1], is_known) if remaining > 1 else no
        is_kept = is_known & enough & (not shows_directions(draws[-1]))
        learned = metric if is_kept.all() else metric.learn(pool_rows(draws), pool_rows(scores))
    if "diverging" in stats:
        raised = raise_for_divergences(target, stats["diverging"])
        target = np.where(enough | (remaining == 1), raised, target)
    step_size = median_step(steps).astype(dtype)
    # The first learned metric changes the units of the step size; later ones hardly do.
    learned = _keep(metric, learned, is_kept)
    return _as_tuning(learned, step_size, target, is_first, enough, moved)


def _as_tuning(metric: Metric, step_size: Any, target: Any, *flags: Any) -> HamiltonianTuning:
    """Make a tuning of arrays; NumPy gives numbers if there are no leading axes."""
    step_size, target = np.asarray(step_size), np.asarray(target)
    return HamiltonianTuning(step_size, target, metric, *map(np.asarray, flags))


def _keep(metric: Metric, learned: Metric, is_kept: np.ndarray) -> Metric:
    """Keep the metrics of some densities."""
    if is_kept.all() or not is_kept.any():
        return learned
    axes = lambda a: is_kept.reshape(is_kept.shape + (1,) * (a.ndim - is_kept.ndim))  # noqa: E731
    return jax.tree.map(lambda old, new: np.where(axes(new), old, new), metric, learned)


def pool_rows(windows: Sequence[np.ndarray]) -> np.ndarray:
    """Join the rows of all chains of all windows, in order: shape (*densities, rows, size).

    Those of a large target are thinned to `MAX_NUMBERS`, or to `FEWEST_ROWS` if those are more.
    """
    rows = [join_chains(window) for window in windows]
    size, count = rows[0].shape[-1], sum(own.shape[-2] for own in rows)
    most = max(MAX_NUMBERS // size, FEWEST_ROWS)
    every = max(-(-count // most), 1) if size > LARGE else 1
    return np.concatenate([own[..., ::every, :] for own in rows], axis=-2)
