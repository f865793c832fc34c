"""Choose how far entries and vectors are centered, from draws and their scores."""

from collections.abc import Sequence

import numpy as np

# Degrees that are compared. A degree of 0.1 of a few entries of eight schools gained a tenth of the
# ESS, and had several times as many divergences.
GRID = np.array([0.0, *np.linspace(0.2, 1.0, 9)])
# Steps of a bisection for a power.
HALVINGS = 20


def choose_degrees(
    y: np.ndarray,
    scores: np.ndarray,
    location: np.ndarray,
    log_scale: np.ndarray,
    degrees: np.ndarray,
    weights: np.ndarray | None = None,
    alike: Sequence[slice] = (),
) -> np.ndarray:
    """Choose the degree of each entry for which its coordinate looks most like a normal.

    A coordinate y and its score g satisfy E[y g] = -1, up to the mean of y, so
    J = Var(y) Var(g) >= 1 by Cauchy and Schwarz, with equality for a normal. Draws made in
    coordinates of one degree tell J for all others:

        y_c = s^(c - d) (y_d - d m) + c m,    g_c = s^(d - c) g_d.

    Args:
        y: The coordinates of the draws, shape (*members, rows, entries).
        scores: Their scores, of the same shape.
        location: Location m of the prior at each draw, likewise.
        log_scale: Log of the scale s, likewise.
        degrees: The degrees d with which the draws were made, shape (*members, entries).
        weights: Weight of each draw, shape (rows,), if they do not count alike; of one member.
        alike: Entries that all get one degree, that with the smallest mean of log J.

    Returns:
        The degrees with the smallest J; the old one where no J is finite.
    """
    with np.errstate(all="ignore"):
        criteria = np.stack(
            [np.log(_spread(y, scores, location, log_scale, degrees, c, weights)) for c in GRID]
        )
        for entries in alike:
            criteria[..., entries] = _mean_of_finite(criteria[..., entries])
    criteria = np.where(np.isfinite(criteria), criteria, np.inf)
    best = GRID[criteria.argmin(0)]
    return np.where(np.isfinite(criteria).any(0), best, degrees).astype(degrees.dtype)


def _mean_of_finite(criteria: np.ndarray) -> np.ndarray:
    is_finite = np.isfinite(criteria)
    total = np.where(is_finite, criteria, 0.0).sum(-1, keepdims=True)
    return total / is_finite.sum(-1, keepdims=True)


def _spread(y, scores, location, log_scale, degrees, new, weights) -> np.ndarray:
    degrees = degrees[..., None, :]
    growth = np.exp((new - degrees) * log_scale)
    moved = growth * (y - degrees * location) + new * location
    return _variance(moved, weights) * _variance(scores / growth, weights)


def _variance(rows: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    if weights is None:
        return rows.var(-2)
    mean = np.average(rows, 0, weights)
    return np.average((rows - mean) ** 2, 0, weights)


def temper_ratios(log_ratios: np.ndarray, share: float) -> np.ndarray:
    """Return importance weights, to the largest power up to one that keeps a share effective.

    Args:
        log_ratios: Logarithms of the importance ratios, shape (rows,).
        share: Effective rows (sum w)^2 / sum w^2, relative to their number.
    """
    log_ratios = np.where(np.isfinite(log_ratios), log_ratios, -1e300)
    log_ratios, low, high = log_ratios - log_ratios.max(), 0.0, 1.0
    weights = np.exp(log_ratios)
    if _is_effective(weights, share):
        return weights
    for _ in range(HALVINGS):
        power = 0.5 * (low + high)
        weights = np.exp(power * log_ratios)
        low, high = (power, high) if _is_effective(weights, share) else (low, power)
    return weights


def _is_effective(weights: np.ndarray, share: float) -> bool:
    return bool(weights.sum() ** 2 >= share * len(weights) * (weights**2).sum())


def choose_ends(y: np.ndarray, scores: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Choose for each vector whether it is whitened (0) or not (1).

    The degree with the smallest maximum of J over the entries of the vector, for J as in
    `choose_degrees`: the mean over the entries chose wrong for counts of a Gaussian process
    (`benchmarks/results/whitening.md`).

    Args:
        y: The coordinates of the draws with degrees 0 and 1, shape (2, rows, *batch, n).
        scores: Their scores, of the same shape.
        degrees: The degrees with which the draws were made, shape (*batch, n).

    Returns:
        The degrees, shape (*batch, n); the old ones where no J is finite.
    """
    with np.errstate(all="ignore"):
        criteria = np.log(y.var(1) * scores.var(1)).max(-1)
    known = np.isfinite(criteria)
    best = np.where(known, criteria, np.inf).argmin(0)
    return np.where(known.any(0)[..., None], best[..., None], degrees).astype(degrees.dtype)
