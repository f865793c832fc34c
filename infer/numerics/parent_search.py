"""A greedy search for the parents of coordinates, in draws and scores.

A coordinate and its score g satisfy J = Var(y) Var(g) >= 1, with equality for a normal (Cauchy and
Schwarz). For a given location log J is convex in the slopes S, so that Newton's method finds the
best ones; for given slopes the best location is a weighted least-squares fit. Parents are added as
long as they lower log J by more than noise does. For the notation see `dependence.py`.
"""

from collections.abc import Callable

import numpy as np

from .dependence import no_dependence
from .link_gains import LinkGains, Whitened
from .location_scale import Children, Fit, fit_children
from .log_spread import TINY

# Parents of one coordinate, and coordinates below one another.
MOST_PARENTS, LEVELS = 4, 2
# Nats of log J below which a dependence is not worth having, and, times the number of rows, below
# which it may be noise: the largest of 2500 gains for a normal of 50 coordinates was 14 to 20.
MIN_GAIN, GAIN_NOISE = 0.1, 25.0
# Links are taken in stages, each with those whose gain is above this share of the largest one: of
# two coordinates that follow the same third, one seems to follow the other until both are linked.
NEAR_LARGEST = 0.5
# A parent is taken if its gain is at least this share of the best one's.
NEAR_BEST = 0.7


class Search:
    """A greedy search, in standardized coordinates."""

    def __init__(self, draws: np.ndarray, scores: np.ndarray) -> None:
        rows, size = draws.shape
        mean, sd = draws.mean(0), draws.std(0)
        self.mean, self.sd = mean, np.where(sd > 0, sd, 1.0)
        # The location of the origin stays, so that an offset of zero means the same.
        self.draws, self.own_scores = draws / self.sd, scores * self.sd
        self.centered = self.draws - mean / self.sd
        # The mean of y given the parents, which the metric of y allows for.
        self.within = np.broadcast_to(mean / self.sd, draws.shape).copy()
        self.threshold = max(MIN_GAIN, GAIN_NOISE / rows)
        self.gains = LinkGains(np.ascontiguousarray(self.centered.T))
        self.found = no_dependence(size)
        self.scores = self.own_scores

    def run(self, *stages: int) -> "Search":
        """Add scales in this many stages, then locations; repeat for each number of stages."""
        for index, count in enumerate(stages):
            scales = _repeat(self.add_scales, count)
            locations = _repeat(self._add_location, len(self.sd))
            self.scores = self._pull_scores()
            if index and not scales | locations:
                break
        return self

    def add_scales(self) -> bool:
        """Give each coordinate at most one more parent of its scale; return whether one got one."""
        changed = self._link_scales()
        if changed.any():
            self.refit(np.flatnonzero(changed))
            self.scores = self._pull_scores()
        return bool(changed.any())

    @property
    def cost(self) -> float:
        """The sum of log J of all coordinates, and what slopes and locations must gain, in nats."""
        return float(self.costs.sum())

    @property
    def costs(self) -> np.ndarray:
        """What each coordinate adds to the cost, shape (size,)."""
        return self.spreads + self.threshold * self.parents.sum((1, 2))

    @property
    def spreads(self) -> np.ndarray:
        """Log J of each coordinate, shape (size,)."""
        own = self.whiten()
        return np.log([(a**2).mean(0) for a in (own.residuals, own.scores)]).sum(0)

    @property
    def parents(self) -> np.ndarray:
        """Which parents scale and location of each coordinate follow, shape (size, 2, size)."""
        return np.stack([self.found.slopes != 0, self.found.locations != 0], 1)

    @property
    def has_levels(self) -> bool:
        """Whether no chain of links has more than `LEVELS` steps."""
        return not np.linalg.matrix_power(self.found.links.astype(int), LEVELS + 1).any()

    def save(self) -> tuple[np.ndarray, ...]:
        """Copy what is known of each coordinate, with a row for each."""
        return tuple(a.copy() for a in (*self.found, self.within.T))

    def put_back(
        self, saved: tuple[np.ndarray, ...], which: np.ndarray | slice = slice(None)
    ) -> None:
        """Put back what was known of some coordinates."""
        for array, old in zip((*self.found, self.within.T), saved, strict=True):
            array[which] = old[which]
        self.pull()

    def pull(self) -> None:
        """Compute the scores again, once links have changed."""
        self.scores = self._pull_scores()

    def fits_below(self, parents: np.ndarray) -> np.ndarray:
        """Return which coordinates may have these parents alone, shape (size,)."""
        above, below = self._depths()
        return above[parents].max() + 1 + below <= LEVELS

    @property
    def is_child(self) -> np.ndarray:
        """Which coordinates depend on others."""
        return self.found.dependent

    def _pull_scores(self) -> np.ndarray:
        """Compute the scores when the coordinates y of those below are held, and not their x."""
        pulled, location = self.own_scores, self.draws @ self.found.locations.T + self.found.offset
        for _ in range(LEVELS):
            of_scale = pulled * (self.draws - location) + 1
            pulled = self.own_scores + of_scale @ self.found.slopes + pulled @ self.found.locations
        return pulled

    def _link_scales(self) -> np.ndarray:
        """Let scales follow one more parent each; return which ones changed."""
        gains, changed = self.gain_of_scales(), np.zeros(len(self.sd), bool)
        near = gains >= NEAR_BEST * gains.max(1, keepdims=True)
        for parent in np.argsort(-gains.sum(0), kind="stable"):
            gainers = (gains[:, parent] > 0) & near[:, parent]
            if not gainers.any():
                continue
            gainers &= self._allowed()[:, parent]
            # Not zero, so that it counts as a parent; the fit that follows sets its value.
            self.found.slopes[gainers, parent] = 1e-6
            gains[gainers] = 0
            changed |= gainers
        return changed

    def gain_of_scales(self) -> np.ndarray:
        """Compute the gains of links between scales; zero for those much below the largest."""
        own = Whitened(*(np.ascontiguousarray(a.T) for a in self.whiten()))
        gains = self.gains.find(own, self._allowed() & (self.found.slopes == 0))
        return np.where(gains > max(self.threshold, NEAR_LARGEST * gains.max()), gains, 0.0)

    def _allowed(self) -> np.ndarray:
        """Return which pairs (child, parent) make no chain of more than `LEVELS` steps."""
        above, below = self._depths()
        fits = above + 1 + below[:, None] <= LEVELS
        np.fill_diagonal(fits, False)
        return fits & (self.found.links.sum(1) < MOST_PARENTS)[:, None]

    def _depths(self) -> tuple[np.ndarray, np.ndarray]:
        """Return how many links are above each coordinate, and below it."""
        links = self.found.links
        above, below = links.any(1).astype(int), links.any(0).astype(int)
        return above + links[:, above > 0].any(1), below + links[below > 0].any(0)

    def _add_location(self) -> bool:
        """Let locations follow one more parent; return whether any does."""
        is_child, links, own = self.is_child, self.found.links, self.whiten()
        gains = np.zeros_like(self.found.slopes)
        gains[is_child] = self._gain_of_locations(np.flatnonzero(is_child), own)
        # A coordinate that becomes a parent loses those that it has, so no row gets deeper.
        allowed = (links.sum(1) < MOST_PARENTS)[:, None] & (self.found.locations == 0)
        np.fill_diagonal(allowed, False)
        gains = np.where(allowed & (gains > self.threshold), gains, 0.0)
        worth = gains.sum(0) - np.where(is_child, self._own_gains(own), 0.0)
        parent = int(worth.argmax())
        if worth[parent] < 2 * self.threshold:
            return False
        self.reset(parent)
        changed = gains[:, parent] > 0
        self.found.locations[changed, parent] = 1e-6
        if changed.any():
            self.refit(np.flatnonzero(changed))
        return bool(changed.any())

    def _gain_of_locations(self, children: np.ndarray, own: Whitened) -> np.ndarray:
        """Compute by how much each parent lowers the log of the weighted residual variance."""
        residuals, _, _, growth = (a[:, children] for a in own)
        return self.explain(residuals * growth, growth)

    def explain(self, residuals: np.ndarray, growth: np.ndarray) -> np.ndarray:
        """Compute by how much each coordinate lowers the log of the variance of residuals.

        Args:
            residuals: A column for each child, shape (rows, children).
            growth: Their scales, by whose inverse squares rows are weighted, of the same shape.

        Returns:
            A row for each child, shape (children, size).
        """
        weights = growth**-2.0
        weights /= weights.sum(0)
        means = weights.T @ self.draws
        spread = weights.T @ self.draws**2 - means**2
        residuals = residuals - (weights * residuals).sum(0)
        shared = (weights * residuals).T @ self.draws
        share = shared**2 / (spread * (weights * residuals**2).sum(0)[:, None] + TINY)
        return -np.log1p(-np.clip(share, 0, 1 - 1e-12))

    def _own_gains(self, own: Whitened) -> np.ndarray:
        residuals, _, scores, _ = own
        before = np.log(self.draws.var(0)) + np.log((self.scores**2).mean(0))
        return before - np.log((residuals**2).mean(0)) - np.log((scores**2).mean(0))

    def reset(self, parent: int) -> None:
        self.within[:, parent] = self.mean[parent] / self.sd[parent]
        for array in self.found[:-1]:
            array[parent] = 0

    def refit(self, children: np.ndarray) -> None:
        """Fit scale and location of each child."""
        links = self.found.links[children]
        count = links.sum(1).max(initial=0)
        if not count:
            return
        # Each child's parents first, then others that count as zero.
        parents = np.argsort(~links, 1, kind="stable")[:, :count]
        at = children[:, None], parents
        is_parent = links[np.arange(len(links))[:, None], parents][..., None]
        own = Children(
            self.draws.T[children],
            self.scores.T[children],
            np.where(is_parent, self.draws.T[parents], 0.0),
            np.where(is_parent, self.centered.T[parents], 0.0),
            self.sd[parents] / self.sd[children, None],
            self.found.slopes[at] != 0,
            self.found.locations[at] != 0,
        )
        start = Fit(self.found.slopes[at], self.found.locations[at], self.found.offset[children],
                    self.within.T[children])  # fmt: skip
        fit = fit_children(own, start)
        self.found.slopes[at], self.found.locations[at] = fit.slopes, fit.locations
        self.found.offset[children], self.within[:, children] = fit.offset, fit.within.T

    def whiten(self) -> Whitened:
        """Compute y and its scores."""
        growth = np.exp(self.centered @ self.found.slopes.T)
        whole = self.draws - self.found.offset - self.draws @ self.found.locations.T
        whole /= growth
        return Whitened(whole - self.within, whole, self.scores * growth, growth)


def _repeat(step: Callable[[], bool], most: int) -> bool:
    """Repeat a step as long as it changes something; return whether it did."""
    for done in range(most):
        if not step():
            return done > 0
    return most > 0
