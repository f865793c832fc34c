"""By how much log J falls if the scale of one coordinate follows another; see `dependence.py`."""

from typing import NamedTuple

import numpy as np

from .log_spread import TINY, Logs, fit_slopes

# Coordinates that are tried as parents of each coordinate, those with the largest correlation; and
# the correlation, in units of its standard error if there is none, below which none is tried.
TRIED, LEAST_LINK = 3, 3.0
# Steps of Newton's method, which find slopes that are good enough to compare gains.
STEPS = 4


class Whitened(NamedTuple):
    """Coordinates in units of their scales, each of shape (size, rows).

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


class LinkGains:
    """By how much each link lowers log J of the child and of the parent, in nats.

    Either the distance of the child from its mean is proportional to the new scale, or all of it.
    The score of the parent, when y of the child is held and not x, has an additional term, which
    counts against links that exist by chance.

    What is known of a child is kept until its coordinates change.

    Args:
        parents: Values of the coordinates less their means, shape (size, rows).
    """

    def __init__(self, parents: np.ndarray) -> None:
        self.parents, size = parents, len(parents)
        centered = parents - parents.mean(1, keepdims=True)
        self._units = centered / (np.sqrt((centered**2).sum(1, keepdims=True)) + TINY)
        self._own = Whitened(*np.full((4, *parents.shape), np.nan))
        self._logs = np.zeros((3, *parents.shape))
        # By kind: for the child's distance from its mean, and for the child itself.
        self._links = np.zeros((2, size, size))
        self._slopes = np.full((2, size, size), np.nan)
        self._of_child = np.zeros((2, size, size))

    def find(self, own: Whitened, allowed: np.ndarray) -> np.ndarray:
        """Compute the gains, shape (size, size): zero for links that were not tried.

        Args:
            own: The coordinates.
            allowed: Which links (child, parent) are allowed, shape (size, size).
        """
        self._forget(own)
        gains = np.zeros(allowed.shape)
        least = LEAST_LINK / np.sqrt(own.scores.shape[1])
        for kind in range(2):
            link = np.where(allowed, self._links[kind], 0.0)
            tried = np.argsort(-link, 1)[:, :TRIED]
            enough = np.take_along_axis(link, tried, 1) > least
            child, parent = np.nonzero(enough)[0], tried[enough]
            if child.size:
                self._compare(kind, child, parent)
                of_child, slopes = (a[kind][child, parent] for a in (self._of_child, self._slopes))
                found = of_child + self._of_parent(child, parent, slopes)
                gains[child, parent] = np.fmax(gains[child, parent], found)
        return gains

    def _forget(self, own: Whitened) -> None:
        """Forget what was computed for children that have changed since."""
        same = [(a == b).all(1) for a, b in zip(own[:3], self._own[:3], strict=True)]
        new = ~np.logical_and.reduce(same)
        self._own = own
        self._logs[:, new] = np.log(np.stack([a[new] for a in own[:3]]) ** 2 + TINY)
        for kind in range(2):
            values = self._logs[kind, new] - self._logs[2, new]
            self._links[kind, new] = np.abs(self._correlate(values))
        self._slopes[:, new] = np.nan

    def _correlate(self, values: np.ndarray) -> np.ndarray:
        """Correlate rows with the parents, the tails of the rows cut off."""
        values = np.clip(values, *np.quantile(values, [0.02, 0.98], axis=1)[..., None])
        values = values - values.mean(1, keepdims=True)
        scale = np.sqrt((values**2).sum(1, keepdims=True))
        return values @ self._units.T / (scale + TINY)

    def _compare(self, kind: int, child: np.ndarray, parent: np.ndarray) -> None:
        """Fit the slopes of pairs that are not known, and compute the gain of the child."""
        new = np.isnan(self._slopes[kind][child, parent])
        child, parent = child[new], parent[new]
        values = self.parents[parent]
        logs = Logs(self._logs[kind, child], self._logs[2, child], values[:, None])
        slopes = fit_slopes(logs, np.zeros((len(child), 1)), STEPS)
        growth = np.exp(values * slopes)
        residuals, whole, scores, _ = (a[child] for a in self._own)
        spread = np.minimum(((residuals / growth) ** 2).mean(1), (whole / growth).var(1))
        gain = np.log((residuals**2).mean(1) / spread) + _log_ratio(scores, scores * growth)
        self._slopes[kind][child, parent], self._of_child[kind][child, parent] = slopes[:, 0], gain

    def _of_parent(self, child: np.ndarray, parent: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        _, whole, scores, scale = self._own
        passed = scale[parent] * (scores[child] * whole[child] + 1) * slopes[:, None]
        return _log_ratio(scores[parent], scores[parent] + passed)


def _log_ratio(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.log((before**2).mean(1)) - np.log((after**2).mean(1))
