"""How far a coordinate is from a normal of fixed scale, as a function of the slopes of its scale.

The coordinate divided by its scale, exp(S v), is y, and its score times the scale is g. The log of
E[y^2] E[g^2] is convex in S.
"""

from typing import NamedTuple

import numpy as np

# Halvings of a step of Newton's method, and the gradient at which it ends.
HALVINGS, FLAT = 5, 1e-6
TINY = 1e-300


class Logs(NamedTuple):
    """What log J of some coordinates is computed from.

    Attributes:
        squares: Log of the squared residuals, shape (n, rows).
        scores: Log of the squared scores, likewise.
        parents: Values of the parents of each, shape (n, k, rows).
    """

    squares: np.ndarray
    scores: np.ndarray
    parents: np.ndarray

    def of(self, some: np.ndarray) -> "Logs":
        """Return the logs of some of the coordinates."""
        return self if some.all() else Logs(*(a[some] for a in self))


def fit_slopes(logs: Logs, slopes: np.ndarray, steps: int = 12) -> np.ndarray:
    """Minimize log J over the slopes of each coordinate, by Newton's method with halved steps.

    Each coordinate is left alone as soon as it is at its minimum, or no step makes it better.

    Args:
        logs: Log scales of n coordinates with k parents each.
        slopes: Where to begin, shape (n, k).
        steps: Maximum number of steps.
    """
    slopes, going = slopes.copy(), np.ones(len(slopes), bool)
    here = log_spread(logs, slopes)
    for _ in range(steps):
        step = -np.linalg.solve(here.hessian, here.gradient[..., None])[..., 0]
        found, there, better = _descend(logs.of(going), slopes[going], np.clip(step, -2, 2), here)
        slopes[going] = found
        steep = better & (np.abs(there.gradient).max(1, initial=0) >= FLAT)
        going[going] = steep
        if not steep.any():
            break
        here = there.of(steep)
    return slopes


class Spread(NamedTuple):
    """Log J of each coordinate, with its gradient and Hessian in the slopes."""

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray

    def of(self, some: np.ndarray) -> "Spread":
        """Return what belongs to some of the coordinates."""
        return Spread(*(a[some] for a in self))


def _descend(
    logs: Logs, slopes: np.ndarray, step: np.ndarray, here: Spread
) -> tuple[np.ndarray, Spread, np.ndarray]:
    """Halve each step until log J rises no more; return what is there, and which are better."""
    slopes, there = slopes.copy(), Spread(*(a.copy() for a in here))
    left = np.ones(len(slopes), bool)
    for _ in range(HALVINGS + 1):
        tried = slopes[left] + step[left]
        found = log_spread(logs.of(left), tried)
        better = found.value <= here.value[left]
        taken = np.flatnonzero(left)[better]
        slopes[taken], left[taken] = tried[better], False
        for array, own in zip(there, found, strict=True):
            array[taken] = own[better]
        if not left.any():
            break
        step = step / 2
    return slopes, there, ~left


def log_spread(logs: Logs, slopes: np.ndarray) -> Spread:
    """Compute log J and a little ridge."""
    parents = logs.parents
    (count, rows), of_rows = parents.shape[1:], parents.transpose(0, 2, 1)
    exponent = 2 * (slopes[:, None] @ parents)[:, 0]
    value = (slopes**2).sum(-1) / rows
    gradient = 2 * slopes / rows
    hessian = np.zeros((*slopes.shape, count)) + (2 / rows + 1e-9) * np.eye(count)
    for sign, own in ((-1, logs.squares - exponent), (1, logs.scores + exponent)):
        top = own.max(1)
        weights = np.exp(own - top[:, None])
        total = weights.sum(1)
        weights /= total[:, None]
        weighted = weights[:, None] * parents
        mean = weighted.sum(-1)
        value = value + top + np.log(total / rows)
        gradient = gradient + 2 * sign * mean
        hessian = hessian + 4 * (weighted @ of_rows - mean[:, :, None] * mean[:, None])
    return Spread(value, gradient, hessian)
