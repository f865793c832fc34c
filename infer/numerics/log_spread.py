"""How far a coordinate is from a normal of fixed scale, as a function of the slopes of its scale.

The coordinate divided by its scale, exp(S v), is y, and its score times the scale is g. The log of
E[y^2] E[g^2] is convex in S.
"""

from typing import NamedTuple

import numpy as np

# Halvings of a step of Newton's method.
HALVINGS = 5


def fit_slopes(
    log_squares: np.ndarray, log_slopes: np.ndarray, parents: np.ndarray, slopes: np.ndarray,
    steps: int = 12,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Minimize log J over the slopes of each coordinate, by Newton's method with halved steps.

    Args:
        log_squares: Log of the squared residuals, shape (rows, n).
        log_slopes: Log of the squared scores, likewise.
        parents: Values of the parents of each, shape (rows, n, k).
        slopes: Where to begin, shape (n, k).
        steps: Maximum number of steps.

    Returns:
        The slopes, and log J.
    """
    here = log_spread(log_squares, log_slopes, parents, slopes)
    for _ in range(steps):
        step = np.clip(-np.linalg.solve(here.hessian, here.gradient[..., None])[..., 0], -2, 2)
        for _ in range(HALVINGS):
            there = log_spread(log_squares, log_slopes, parents, slopes + step)
            better = there.value <= here.value
            if better.all():
                break
            step = np.where(better[:, None], step, step / 2)
        else:
            there = log_spread(log_squares, log_slopes, parents, slopes + step)
            better = there.value <= here.value
        slopes = np.where(better[:, None], slopes + step, slopes)
        mask = lambda a, better=better: better.reshape(-1, *(1,) * (a.ndim - 1))  # noqa: E731
        here = Spread(*(np.where(mask(a), b, a) for a, b in zip(here, there, strict=True)))
        if np.abs(here.gradient).max(initial=0) < 1e-6:
            break
    return slopes, here.value


class Spread(NamedTuple):
    """Log J of each coordinate, with its gradient and Hessian in the slopes."""

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray


def log_spread(
    log_squares: np.ndarray, log_slopes: np.ndarray, parents: np.ndarray, slopes: np.ndarray
) -> Spread:
    """Compute log J and a little ridge."""
    rows, count = parents.shape[0], parents.shape[-1]
    exponent = 2 * (parents * slopes).sum(-1)
    value = (slopes**2).sum(-1) / rows
    gradient = 2 * slopes / rows
    hessian = np.zeros((*slopes.shape, count)) + (2 / rows + 1e-9) * np.eye(count)
    for sign, logs in ((-1, log_squares - exponent), (1, log_slopes + exponent)):
        top = logs.max(0)
        weights = np.exp(logs - top)
        total = weights.sum(0)
        weights /= total
        mean = np.einsum("rn,rnk->nk", weights, parents)
        second = np.einsum("rn,rnk,rnl->nkl", weights, parents, parents)
        value = value + top + np.log(total / rows)
        gradient = gradient + 2 * sign * mean
        hessian = hessian + 4 * (second - mean[:, :, None] * mean[:, None, :])
    return Spread(value, gradient, hessian)
