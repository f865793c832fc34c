"""Do for many densities at once what `retune` does for each, in batches of NumPy and LAPACK.

Every number is the same, bit for bit. Only regular windows are taken: no chain is relocated, all
draws and scores are finite, and there are enough of them for all directions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from scipy.linalg import get_lapack_funcs

from .agreement import MAX_RHAT, MAX_STRETCH
from .blas import one_blas_thread
from .hamiltonian import HamiltonianTuning
from .low_rank import MAX_ROWS, MIN_ROWS, REGULARIZER, SMALLEST_RATIO
from .metric import Diagonal, LowRank, Metric
from .shared_step import (
    MIN_DIVERGENT,
    MIN_DRAWS,
    SHORTEST_STEP,
    STUCK_STEP,
    raise_for_divergences,
    tighten,
)
from .stray import bound_whitened, relocation_gap

# Larger draws and scores might overflow when they are whitened.
LARGEST = 1e100


def find_regular(
    tuning: HamiltonianTuning, draws: Sequence[np.ndarray], scores: Sequence[np.ndarray]
) -> np.ndarray:
    """Return which densities have a regular window, shape (densities,).

    Args:
        tuning: The tuning of each density, along a leading axis.
        draws: Draws of the last windows, each of shape (densities, chains, draws, size).
        scores: Gradients of the log density at the draws.
    """
    count, chains, made, size = draws[-1].shape
    rows = chains * made
    is_plain = type(tuning.metric) in (Diagonal, LowRank)
    if not is_plain or chains < 2 or made < 4 or rows < MIN_ROWS or size > 2 * min(rows, MAX_ROWS):
        return np.zeros(count, bool)
    bounded = [(np.abs(a) < LARGEST).all((1, 2, 3)) for a in (*draws, *scores)]
    return np.all([*bounded, ~np.asarray(tuning.settled), ~np.asarray(tuning.relocated)], axis=0)


def find_stray(
    tuning: HamiltonianTuning,
    draws: np.ndarray,
    scores: np.ndarray,
    stats: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Return for which densities `relocate_chains` may relocate a chain, shape (densities,)."""
    if "lp" not in stats:
        return np.zeros(len(draws), bool)
    levels = stats["lp"].astype(np.float64)
    with one_blas_thread():
        whitened = _whiten(tuning.metric, _rows(draws), _rows(scores))
    positions, slopes = (a.reshape(-1, *draws.shape[2:]) for a in whitened)
    holds = bound_whitened(positions, slopes, levels.reshape(-1, draws.shape[2]))
    lower, upper = (a.reshape(levels.shape[:2]) for a in holds)
    best = lower.argmax(1)[:, None]
    lowest = np.take_along_axis(levels.min(2), best, 1)
    gap = np.take_along_axis(lower, best, 1) - relocation_gap(draws.shape[-1])
    return ((levels.max(2) < lowest) & (upper < gap)).any(1)


def retune_each(
    tuning: HamiltonianTuning,
    draws: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    stats: Mapping[str, np.ndarray],
    remaining: int,
) -> HamiltonianTuning:
    """Return what `retune` returns for each density, along a leading axis.

    Args:
        tuning: The tuning of each density.
        draws: As in `find_regular`; all densities are regular, like those of the other arguments.
        scores: Likewise.
        stats: Statistics of the last window, each of shape (densities, chains, draws).
        remaining: Number of windows still to come.
    """
    steps, dtype = stats["step_size_bar"][..., -1], np.asarray(tuning.step_size).dtype
    target, no = np.asarray(tuning.target_acceptance), np.zeros(len(steps), bool)
    if not remaining:
        chosen, agree = _choose_shared_steps(steps, draws[-1].shape[2])
        raised = _change(target, ~agree, lambda _, old: tighten(old))
        return HamiltonianTuning(chosen.astype(dtype), raised, tuning.metric, no, agree, no)
    with one_blas_thread():
        settled = _are_settled(tuning.metric, draws[-1], scores[-1]) if remaining > 1 else no
        pooled = (np.concatenate([_rows(a) for a in own], axis=1) for own in (draws, scores))
        learned = _learn(tuning.metric, *pooled)
    if "diverging" in stats:
        target = _raise_targets(target, stats["diverging"], settled | (remaining == 1))
    searching = no | (len(draws) == 1)
    return HamiltonianTuning(
        _median_steps(steps).astype(dtype), target, learned, searching, settled, no
    )


def _rows(array: np.ndarray) -> np.ndarray:
    """Join chains and draws: shape (densities, rows, size), contiguous."""
    return np.ascontiguousarray(array.reshape(len(array), -1, array.shape[-1]))


def _median_steps(steps: np.ndarray) -> np.ndarray:
    return np.exp(np.median(np.log(steps.astype(np.float64)), axis=1))


def _choose_shared_steps(steps: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
    shortest, median = steps.min(1).astype(np.float64), _median_steps(steps)
    agree = (draws < MIN_DRAWS) | (shortest >= SHORTEST_STEP * median)
    return np.where(agree | (shortest < STUCK_STEP * median), median, shortest), agree


def _change(targets: np.ndarray, which: np.ndarray, change: Any) -> np.ndarray:
    changed = targets.copy()
    for i in np.flatnonzero(which):
        changed[i] = change(i, targets[i])
    return changed


def _raise_targets(targets: np.ndarray, diverging: np.ndarray, due: np.ndarray) -> np.ndarray:
    late = diverging[..., diverging.shape[2] // 2 :].sum((1, 2))
    change = lambda i, old: raise_for_divergences(old, diverging[i])  # noqa: E731
    return _change(targets, due & (late >= MIN_DIVERGENT), change)


def _are_settled(metric: Metric, draws: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return what `is_settled` returns for each density."""
    enough = _largest_rhats(draws) < MAX_RHAT
    rows, slopes = _whiten(metric, _rows(draws), _rows(scores))
    scale = _fisher_scales(rows, slopes, np.ones((len(rows), rows.shape[2])))
    enough &= ~(np.abs(np.log(scale)).max(1) > np.log(MAX_STRETCH))
    size = rows.shape[2]
    if not isinstance(metric, LowRank) or not enough.any():
        return enough
    if rows.shape[1] < 2 * size:
        return np.zeros_like(enough)
    own, width = np.flatnonzero(enough), scale[enough][:, None]
    ratios = _find_stretches(rows[own] / width, slopes[own] * width)[1]
    with np.errstate(divide="ignore"):
        far = np.abs(np.log(ratios)) > np.log(SMALLEST_RATIO)
    enough[own] = ~(far & (ratios[:, :1] > 0)).any(1)
    return enough


def _largest_rhats(draws: np.ndarray) -> np.ndarray:
    half = draws.shape[2] // 2
    parts = np.concatenate([draws[:, :, :half], draws[:, :, half : 2 * half]], 1).astype(np.float64)
    within = parts.var(2, ddof=1).mean(1)
    between = half * parts.mean(2).var(1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        rhat = np.sqrt((half - 1) / half + between / (half * within))
    return np.nanmax(rhat, axis=1, initial=0.0)


def _whiten(metric: Metric, draws: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whiten draws and scores of shape (densities, rows, size) by the metric of each."""
    diagonal = metric.diagonal if isinstance(metric, LowRank) else metric
    assert isinstance(diagonal, Diagonal)
    scale = np.asarray(diagonal.scale, np.float64)[:, None]
    draws, scores = draws / scale, scores * scale
    if not isinstance(metric, LowRank):
        return draws, scores
    excess = np.asarray(metric.excess, np.float64)[:, None]
    directions = np.asarray(metric.directions, np.float64)
    shrunk = (draws @ directions) * (-excess / (1 + excess))
    stretched = (scores @ directions) * excess
    back = directions.swapaxes(1, 2)
    return draws + shrunk @ back, scores + stretched @ back


def _fisher_scales(draws: np.ndarray, scores: np.ndarray, previous: np.ndarray) -> np.ndarray:
    spread, steepness = (a.astype(np.float64).var(1) for a in (draws, scores))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = (spread / steepness) ** 0.25
    return np.where(np.isfinite(scale) & (scale > 0), np.clip(scale, 1e-10, 1e10), previous)


def _learn(metric: Metric, draws: np.ndarray, scores: np.ndarray) -> Metric:
    """Learn the metric of each density, as `Metric.learn` does."""
    diagonal = metric.diagonal if isinstance(metric, LowRank) else metric
    assert isinstance(diagonal, Diagonal)
    dtype = diagonal.scale.dtype
    found = _fisher_scales(draws, scores, np.asarray(diagonal.scale, np.float64)).astype(dtype)
    if not isinstance(metric, LowRank):
        return _refill(metric, found)
    scale = np.asarray(found, np.float64)[:, None]
    vectors, ratios = _find_stretches(draws / scale, scores * scale)
    with np.errstate(divide="ignore"):
        distances = np.abs(np.log(ratios))
    order = np.argsort(-distances, axis=1)[:, : metric.excess.shape[-1]]
    ordered = np.take_along_axis(ratios, order, 1)
    far = np.take_along_axis(distances, order, 1) > np.log(SMALLEST_RATIO)
    kept = far & (ratios[:, :1] > 0)
    directions, excess = np.zeros_like(metric.directions), np.zeros_like(metric.excess)
    width = order.shape[1]
    chosen = np.take_along_axis(vectors, order[:, None], 2)
    directions[:, :, :width] = np.where(kept[:, None], chosen, 0)
    excess[:, :width] = np.where(kept, np.sqrt(ordered) - 1, 0)
    return _refill(metric, found, directions, excess)


def _refill(metric: Metric, *leaves: np.ndarray) -> Metric:
    """Put other arrays into a stack of metrics."""
    return jax.tree.unflatten(jax.tree.structure(metric), leaves)


def _find_stretches(draws: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvectors and eigenvalues of each density, in ascending order.

    The squares of rows that overflow are not taken for regular; they give eigenvalues of 0.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        spread, steepness = (_sum_squares(_center(a)) for a in (draws, scores))
    sound = np.asarray(np.isfinite(spread).all((1, 2)) & np.isfinite(steepness).all((1, 2)))
    identity = np.eye(draws.shape[2])
    spread, steepness = (np.where(sound[:, None, None], a, identity) for a in (spread, steepness))
    ratios, vectors = np.linalg.eigh(_geometric_means(spread, steepness))
    with np.errstate(invalid="ignore", divide="ignore"):
        return vectors, np.where(sound[:, None], np.maximum(ratios, 0), 0.0)


def _center(rows: np.ndarray) -> np.ndarray:
    return rows.astype(np.float64) - rows.mean(1, dtype=np.float64, keepdims=True)


def _sum_squares(rows: np.ndarray) -> np.ndarray:
    return rows.swapaxes(1, 2) @ rows + REGULARIZER * np.eye(rows.shape[2])


def _geometric_means(spread: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    floor = 1e-12 * np.trace(steepness, axis1=1, axis2=2)[:, None, None]
    factor = np.linalg.cholesky(steepness + floor * np.eye(spread.shape[1]))
    inner, turns = np.linalg.eigh(factor.swapaxes(1, 2) @ spread @ factor)
    fourth = turns * np.maximum(inner, 0.0)[:, None] ** 0.25
    (solve,), half = get_lapack_funcs(("trtrs",), (factor,)), np.empty_like(fourth)
    for i, (own, right) in enumerate(zip(factor, fourth, strict=True)):
        # As `solve_triangular` calls it, without its checks, which take ten times as long.
        half[i] = solve(own.T, right, lower=0, trans=0)[0].T
    return half.swapaxes(1, 2) @ half
