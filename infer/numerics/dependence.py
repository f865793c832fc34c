"""Learn, from draws and scores, coordinates whose location and scale depend on other coordinates.

Some coordinates x depend on others, their parents v, which depend on none, or on such as depend on
none:

    x = a + L v + exp(b + S v) y,

and it is y that should look like a normal of fixed scale. A coordinate and its score g satisfy
J = Var(y) Var(g) >= 1, with equality for a normal (Cauchy and Schwarz). For a given location log J
is convex in the slopes S, so that Newton's method finds the best ones; for given slopes the best
location is a weighted least-squares fit. Parents are added as long as they lower log J by more than
noise does.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import NamedTuple

import numpy as np

from .blas import one_blas_thread
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
# Stages of scales before locations are added, after a first one that is shared. A missing location
# may look like a parent of a scale, and a missing parent of a scale like a location, so both orders
# are tried. One is better if the sum of log J is smaller, by at least what each slope and location
# that it has more must gain.
IN_TURN, SCALES_FIRST = (0, *(1,) * 5), (15, 16)
# A parent is taken if its gain is at least this share of the best one's.
NEAR_BEST = 0.7


class Dependence(NamedTuple):
    """Which coordinates depend on which, in the units of the draws.

    Attributes:
        slopes: S, shape (size, size): a row for each coordinate, zero except at its parents.
        locations: L, likewise.
        offset: a, shape (size,); 0 for a coordinate without parents.
        log_scale: b, likewise.
    """

    slopes: np.ndarray
    locations: np.ndarray
    offset: np.ndarray
    log_scale: np.ndarray

    @property
    def dependent(self) -> np.ndarray:
        """Which coordinates have parents, shape (size,)."""
        return np.asarray(self.links.any(1))

    @property
    def links(self) -> np.ndarray:
        """Which coordinate, by row, has which parent, shape (size, size)."""
        return np.logical_or(self.slopes, self.locations)


def no_dependence(size: int) -> Dependence:
    """Return the dependence of coordinates that are left as they are."""
    return Dependence(*np.zeros((2, size, size)), *np.zeros((2, size)))


def learn_dependence(
    draws: np.ndarray,
    scores: np.ndarray,
    orders: Sequence[tuple[int, ...]] = (IN_TURN, SCALES_FIRST),
) -> Dependence:
    """Learn which coordinates depend on which, in float64 on the host.

    Args:
        draws: Shape (rows, size).
        scores: Gradients of the log density at the draws, of the same shape.
        orders: In which scales and locations are added; one alone takes half as long as two.
    """
    finite = np.isfinite(draws).all(-1) & np.isfinite(scores).all(-1)
    draws, scores = (a[finite].astype(np.float64) for a in (draws, scores))
    if len(draws) < 4:
        return no_dependence(draws.shape[1])
    with np.errstate(all="ignore"), one_blas_thread():
        first = _Search(draws, scores)
        if not first.add_scales():
            return no_dependence(draws.shape[1])
        each = [deepcopy(first).run(*stages) for stages in orders]
        search = min(each, key=lambda own: np.nan_to_num(own.cost, nan=np.inf))
    found = _in_units(search.found, search.mean, search.sd)
    return found if all(np.isfinite(a).all() for a in found) else no_dependence(draws.shape[1])


def measure_link_gains(draws: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Measure by how much log J falls, in nats, if the scale of one coordinate follows another.

    Args:
        draws: Shape (rows, size).
        scores: Gradients of the log density at the draws, of the same shape.

    Returns:
        A row for each coordinate, shape (size, size); 0 for links that noise may explain, or whose
        gain is much below the largest.
    """
    finite = np.isfinite(draws).all(-1) & np.isfinite(scores).all(-1)
    if finite.sum() < 4:
        return np.zeros((draws.shape[1],) * 2)
    with np.errstate(all="ignore"):
        own = (a[finite].astype(np.float64) for a in (draws, scores))
        return np.nan_to_num(_Search(*own)._gain_of_scales())


class _Search:
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

    def run(self, *stages: int) -> "_Search":
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
            self._refit(np.flatnonzero(changed))
            self.scores = self._pull_scores()
        return bool(changed.any())

    @property
    def cost(self) -> float:
        """The sum of log J of all coordinates, and what slopes and locations must gain, in nats."""
        own, found = self._whiten(), self.found
        count = np.count_nonzero([found.slopes, found.locations])
        spread = np.log([(a**2).mean(0) for a in (own.residuals, own.scores)]).sum()
        return float(spread + self.threshold * count)

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
        gains, changed = self._gain_of_scales(), np.zeros(len(self.sd), bool)
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

    def _gain_of_scales(self) -> np.ndarray:
        """Compute the gains of links between scales; zero for those much below the largest."""
        own = Whitened(*(np.ascontiguousarray(a.T) for a in self._whiten()))
        gains = self.gains.find(own, self._allowed() & (self.found.slopes == 0))
        return np.where(gains > max(self.threshold, NEAR_LARGEST * gains.max()), gains, 0.0)

    def _allowed(self) -> np.ndarray:
        """Return which pairs (child, parent) make no chain of more than `LEVELS` steps."""
        links = self.found.links
        above, below = links.any(1).astype(int), links.any(0).astype(int)
        above, below = above + links[:, above > 0].any(1), below + links[below > 0].any(0)
        fits = above + 1 + below[:, None] <= LEVELS
        np.fill_diagonal(fits, False)
        return fits & (links.sum(1) < MOST_PARENTS)[:, None]

    def _add_location(self) -> bool:
        """Let locations follow one more parent; return whether any does."""
        is_child, links, own = self.is_child, self.found.links, self._whiten()
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
        self._reset(parent)
        changed = gains[:, parent] > 0
        self.found.locations[changed, parent] = 1e-6
        if changed.any():
            self._refit(np.flatnonzero(changed))
        return bool(changed.any())

    def _gain_of_locations(self, children: np.ndarray, own: Whitened) -> np.ndarray:
        """Compute by how much each parent lowers the log of the weighted residual variance."""
        residuals, _, _, growth = (a[:, children] for a in own)
        residuals, weights = residuals * growth, growth**-2.0
        weights /= weights.sum(0)
        means = weights.T @ self.draws
        spread = weights.T @ self.draws**2 - means**2
        residuals -= (weights * residuals).sum(0)
        shared = (weights * residuals).T @ self.draws
        share = shared**2 / (spread * (weights * residuals**2).sum(0)[:, None] + TINY)
        return -np.log1p(-np.clip(share, 0, 1 - 1e-12))

    def _own_gains(self, own: Whitened) -> np.ndarray:
        residuals, _, scores, _ = own
        before = np.log(self.draws.var(0)) + np.log((self.scores**2).mean(0))
        return before - np.log((residuals**2).mean(0)) - np.log((scores**2).mean(0))

    def _reset(self, parent: int) -> None:
        self.within[:, parent] = self.mean[parent] / self.sd[parent]
        for array in self.found:
            array[parent] = 0

    def _refit(self, children: np.ndarray) -> None:
        """Fit scale and location of each child."""
        links = self.found.links[children]
        count = links.sum(1).max()
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

    def _whiten(self) -> Whitened:
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


def _in_units(found: Dependence, mean: np.ndarray, sd: np.ndarray) -> Dependence:
    """Return the dependence in the units of the draws, from that of draws in units of `sd`."""
    slopes, locations = found.slopes / sd, found.locations * sd[:, None] / sd
    log_scale = np.where(found.dependent, np.log(sd) - slopes @ mean, 0.0)
    return Dependence(slopes, locations, sd * found.offset, log_scale)
