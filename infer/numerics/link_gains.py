"""By how much log J falls if the scale of one coordinate follows another; see `dependence.py`."""

from typing import NamedTuple

import numpy as np

from .log_spread import fit_slopes

# Coordinates that are tried as parents of each coordinate, those with the largest correlation; and
# the correlation, in units of its standard error if there is none, below which none is tried.
TRIED, LEAST_LINK = 3, 3.0
# Steps of Newton's method, which find slopes that are good enough to compare gains.
STEPS = 4
TINY = 1e-300


class Whitened(NamedTuple):
    """Coordinates in units of their scales, each of shape (rows, size).

    Attributes:
        residuals: y without its mean.
        whole: y.
        scores: Gradients of the log density in y.
        scale: What was divided by.
    """

    residuals: np.ndarray
    whole: np.ndarray
    scores: np.ndarray
    scale: np.ndarray


def find_link_gains(own: Whitened, parents: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Compute by how much each link lowers log J of the child and of the parent, in nats.

    Either the distance of the child from its mean is proportional to the new scale, or all of it.
    The score of the parent, when y of the child is held and not x, has an additional term, which
    counts against links that exist by chance.

    Args:
        own: The coordinates.
        parents: Values of the coordinates less their means, shape (rows, size).
        allowed: Which links (child, parent) are allowed, shape (size, size).

    Returns:
        The gains, shape (size, size): zero for links that were not tried.
    """
    gains, log_scores = np.zeros(allowed.shape), np.log(own.scores**2 + TINY)
    least = LEAST_LINK / np.sqrt(len(parents))
    for values in (own.residuals, own.whole):
        squares = np.log(values**2 + TINY)
        link = np.where(allowed, np.abs(correlate(squares - log_scores, parents)), 0.0)
        for parent in np.argsort(-link, 1)[:, :TRIED].T:
            child = np.flatnonzero(link[np.arange(len(link)), parent] > least)
            if child.size:
                tried, logs = parent[child], (squares[:, child], log_scores[:, child])
                found = _gain(own, child, tried, parents[:, tried], *logs)
                gains[child, tried] = np.fmax(gains[child, tried], found)
    return gains


def _gain(
    own: Whitened, child: np.ndarray, parent: np.ndarray, values: np.ndarray,
    squares: np.ndarray, log_scores: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Compute the gain of one parent for each of some children."""
    slopes = fit_slopes(squares, log_scores, values[..., None], np.zeros((len(child), 1)), STEPS)
    growth = np.exp(values * slopes[0][:, 0])
    residuals, whole, scores, _ = (a[:, child] for a in own)
    spread = np.minimum(((residuals / growth) ** 2).mean(0), (whole / growth).var(0))
    of_child = np.log((residuals**2).mean(0) / spread) + _log_ratio(scores, scores * growth)
    passed = own.scale[:, parent] * (scores * whole + 1) * slopes[0][:, 0]
    return of_child + _log_ratio(own.scores[:, parent], own.scores[:, parent] + passed)


def _log_ratio(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.log((before**2).mean(0)) - np.log((after**2).mean(0))


def correlate(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Correlate the columns of two arrays, with the tails of the first cut off."""
    one = np.clip(one, *np.quantile(one, [0.02, 0.98], axis=0))
    one, other = one - one.mean(0), other - other.mean(0)
    scale = np.sqrt((one**2).sum(0))[:, None] * np.sqrt((other**2).sum(0))
    return one.T @ other / (scale + TINY)
