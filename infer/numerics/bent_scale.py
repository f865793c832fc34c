"""Find out which log scales bend, once a search has found their parents; see `dependence.py`."""

import numpy as np

from .dependence import bend
from .log_spread import TINY, Logs, fit_slopes
from .parent_search import GAIN_NOISE, Search

# The search is for straight log scales, with a slope between those below the bend and above it. So
# the fit begins with slopes of this multiple, and with the bend at the mean of the parents.
STEEPER = 2.0
# Fits of the mean of y; before each, steps for the scale; and trials of each, halved until log J
# rises no more. Twice as many of each changed log J by at most 0.008 for 16 coordinates together.
SWEEPS, STEPS, TRIALS = 2, 3, 5
# Minimum gain of a bend, in nats, times the number of rows: twice that of a link, since new slopes
# and a new mean of y come with it. With the minimum of a link, noise in 100 rows made a bend.
BEND_NOISE = 2 * GAIN_NOISE


def bend_scales(search: Search) -> None:
    """Bend the scales that gain by it more than noise does, and change their slopes likewise."""
    found = search.found
    children = np.flatnonzero(found.slopes.any(1))
    if not children.size:
        return
    links = found.slopes[children] != 0
    parents = np.argsort(~links, 1, kind="stable")[:, : links.sum(1).max()]
    slopes = found.slopes[at := (children[:, None], parents)]
    own = search.whiten()
    fit, spread = _fit(
        (own.whole * own.scale).T[children],
        np.log(search.scores.T[children] ** 2 + TINY),
        np.where((slopes != 0)[..., None], search.centered.T[parents], 0.0),
        slopes,
    )
    least = max(search.threshold, BEND_NOISE / len(search.draws))
    better = search.spreads[children] - spread > least
    found.slopes[at] = np.where(better[:, None] & (slopes != 0), fit[:, :-1], slopes)
    found.bends[children] = np.where(better, fit[:, -1], np.inf)


def _fit(
    whole: np.ndarray, scores: np.ndarray, parents: np.ndarray, slopes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit slopes and bends of n children at once.

    Args:
        whole: Their distances from their locations, shape (n, rows).
        scores: Logs of their squared scores, likewise.
        parents: Their parents less the means, shape (n, k, rows).
        slopes: Slopes without a bend, shape (n, k).

    Returns:
        Slopes, with the bend as the last column, and log J.
    """
    fit = np.concatenate([STEEPER * slopes, np.zeros((len(slopes), 1))], 1)
    logs = _logs_of(whole, scores, parents, fit)
    for _ in range(SWEEPS):
        for _ in range(STEPS):
            fit = _step(logs, fit)
        logs = _logs_of(whole, scores, parents, fit)
    return fit, _log_spread(logs, fit)


def _logs_of(whole: np.ndarray, scores: np.ndarray, parents: np.ndarray, fit: np.ndarray) -> Logs:
    """Subtract the mean of y given the parents, by least squares, from the distances."""
    scale = np.exp(_bend(parents, fit)[0])
    y, design = whole / scale, np.concatenate([np.ones_like(whole)[:, None], parents], 1)
    inverse = np.linalg.pinv(design @ design.transpose(0, 2, 1), hermitian=True)
    mean = (y[:, None] @ design.transpose(0, 2, 1) @ inverse @ design)[:, 0]
    return Logs(np.log(((y - mean) * scale) ** 2 + TINY), scores, parents)


def _step(logs: Logs, fit: np.ndarray) -> np.ndarray:
    """Take a step of Newton's method for log scales that are linear in slopes and bend."""
    bent, follow = _bend(logs.parents, fit)
    slopes = np.concatenate([follow[:, None] * logs.parents, 1 - follow[:, None]], 1)
    rest = 2 * (bent - _combine(fit, slopes))
    tangent = Logs(logs.squares - rest, logs.scores + rest, slopes)
    step, here = fit_slopes(tangent, fit, 1) - fit, _log_spread(logs, fit)
    worse = np.ones(len(fit), bool)
    for _ in range(TRIALS):
        worse = ~(_log_spread(logs, fit + step) <= here)
        if not worse.any():
            break
        step[worse] /= 2
    return np.where(worse[:, None], fit, fit + step)


def _log_spread(logs: Logs, fit: np.ndarray) -> np.ndarray:
    """Compute log J of each child."""
    double = 2 * _bend(logs.parents, fit)[0]
    return _log_mean(logs.squares - double) + _log_mean(logs.scores + double)


def _log_mean(values: np.ndarray) -> np.ndarray:
    top = values.max(1)
    return top + np.log(np.exp(values - top[:, None]).mean(1))


def _bend(parents: np.ndarray, fit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return bend(_combine(fit[:, :-1], parents), fit[:, -1:], np)


def _combine(coefficients: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum values of shape (n, k, rows) over k."""
    return (coefficients[:, None] @ values)[:, 0]
