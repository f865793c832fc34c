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

from typing import NamedTuple

import numpy as np

from .blas import one_blas_thread
from .link_gains import TINY, Whitened, find_link_gains
from .log_spread import fit_slopes

# Parents of one coordinate, and coordinates below one another.
MOST_PARENTS, LEVELS = 4, 2
# Nats of log J below which a dependence is not worth having, and, times the number of rows, below
# which it may be noise: the largest of 2500 gains for a normal of 50 coordinates was 14 to 20.
MIN_GAIN, GAIN_NOISE = 0.1, 25.0
# Links are taken in stages, each with those whose gain is above this share of the largest one: of
# two coordinates that follow the same third, one seems to follow the other until both are linked.
NEAR_LARGEST = 0.5
# Numbers of stages of scales before locations are added. A missing location may look like a parent
# of a scale, and a missing parent of a scale like a location, so both orders are tried, and the one
# that leaves the smaller sum of log J is taken.
ORDERS = ((1,) * 6, (16, 16))
# A parent is taken if its gain is at least this share of the best one's.
NEAR_BEST = 0.7
# A location that is the sum of its parents, or has no offset, is preferred to others if the log of
# the squared error is larger by no more than this, or by the second divided by the number of rows.
# It is a sum only if the free coefficients are within the third of one.
NEARLY, SIMPLER, NEAR_ONE = 0.7, 10.0, 0.25
# Alternations of location and scale, at most, and the change of slopes at which they end.
SWEEPS, SETTLED = 12, 1e-3


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


def learn_dependence(draws: np.ndarray, scores: np.ndarray) -> Dependence:
    """Learn which coordinates depend on which, in float64 on the host.

    Args:
        draws: Shape (rows, size).
        scores: Gradients of the log density at the draws, of the same shape.
    """
    finite = np.isfinite(draws).all(-1) & np.isfinite(scores).all(-1)
    draws, scores = (a[finite].astype(np.float64) for a in (draws, scores))
    if len(draws) < 4:
        return no_dependence(draws.shape[1])
    with np.errstate(all="ignore"), one_blas_thread():
        each = [_Search(draws, scores).run(*stages) for stages in ORDERS]
    search = min(each, key=lambda own: np.nan_to_num(own.spread, nan=np.inf))
    found = _in_units(search.found, search.mean, search.sd)
    return found if all(np.isfinite(a).all() for a in found) else no_dependence(draws.shape[1])


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
        self.found = no_dependence(size)
        self.scores = self.own_scores

    def run(self, *stages: int) -> "_Search":
        """Add scales for so many stages, then locations, and so on."""
        for count in stages:
            for _ in range(count):
                changed = self._add_scales()
                if not changed.any():
                    break
                self._refit(np.flatnonzero(changed))
                self.scores = self._pull_scores()
            for _ in self.sd:
                changed = self._add_location()
                if not changed.any():
                    break
                self._refit(np.flatnonzero(changed))
            self.scores = self._pull_scores()
        return self

    @property
    def spread(self) -> float:
        """The sum of log J of all coordinates, in nats."""
        return float(np.log([(a**2).mean(0) for a in self._whiten()]).sum())

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

    def _add_scales(self) -> np.ndarray:
        """Give each coordinate at most one more parent of its scale; return which got one."""
        gains, changed = self._gain_of_scales(), np.zeros(len(self.sd), bool)
        near = gains >= NEAR_BEST * gains.max(1, keepdims=True)
        for parent in np.argsort(-gains.sum(0), kind="stable"):
            gainers = (gains[:, parent] > 0) & near[:, parent] & self._allowed()[:, parent]
            # Not zero, so that it counts as a parent; the fit that follows sets its value.
            self.found.slopes[gainers, parent] = 1e-6
            gains[gainers] = 0
            changed |= gainers
        return changed

    def _gain_of_scales(self) -> np.ndarray:
        """Compute the gains of links between scales; zero for those much below the largest."""
        residuals, scores = self._whiten()
        own = Whitened(residuals, residuals + self.within, scores, np.exp(self._exponents()))
        gains = find_link_gains(own, self.centered, self._allowed() & (self.found.slopes == 0))
        return np.where(gains > max(self.threshold, NEAR_LARGEST * gains.max()), gains, 0.0)

    def _allowed(self) -> np.ndarray:
        """Return which pairs (child, parent) make no chain of more than `LEVELS` steps."""
        links = self.found.links
        above, below = links.any(1).astype(int), links.any(0).astype(int)
        above, below = above + links[:, above > 0].any(1), below + links[below > 0].any(0)
        fits = above + 1 + below[:, None] <= LEVELS
        np.fill_diagonal(fits, False)
        return fits & (links.sum(1) < MOST_PARENTS)[:, None]

    def _add_location(self) -> np.ndarray:
        """Let locations follow one more parent; return which follow."""
        is_child, links = self.is_child, self.found.links
        gains = np.zeros_like(self.found.slopes)
        gains[is_child] = self._gain_of_locations(np.flatnonzero(is_child))
        # A coordinate that becomes a parent loses those that it has, so no row gets deeper.
        allowed = (links.sum(1) < MOST_PARENTS)[:, None] & (self.found.locations == 0)
        np.fill_diagonal(allowed, False)
        gains = np.where(allowed & (gains > self.threshold), gains, 0.0)
        worth = gains.sum(0) - np.where(is_child, self._own_gains(), 0.0)
        parent = int(worth.argmax())
        if worth[parent] < 2 * self.threshold:
            return np.zeros_like(is_child)
        self._reset(parent)
        changed = gains[:, parent] > 0
        self.found.locations[changed, parent] = 1e-6
        return changed

    def _gain_of_locations(self, children: np.ndarray) -> np.ndarray:
        """Compute by how much each parent lowers the log of the weighted residual variance."""
        residuals = self._residuals()[:, children]
        weights = np.exp(-2 * self._exponents()[:, children])
        weights /= weights.sum(0)
        means = weights.T @ self.draws
        spread = weights.T @ self.draws**2 - means**2
        own = residuals - (weights * residuals).sum(0)
        shared = (weights * own).T @ self.draws
        share = shared**2 / (spread * (weights * own**2).sum(0)[:, None] + TINY)
        return -np.log1p(-np.clip(share, 0, 1 - 1e-12))

    def _own_gains(self) -> np.ndarray:
        residuals, scores = self._whiten()
        before = np.log(self.draws.var(0)) + np.log((self.scores**2).mean(0))
        return before - np.log((residuals**2).mean(0)) - np.log((scores**2).mean(0))

    def _reset(self, parent: int) -> None:
        self.within[:, parent] = self.mean[parent] / self.sd[parent]
        for array in self.found:
            array[parent] = 0

    def _refit(self, children: np.ndarray) -> None:
        """Fit scale and location of each child, from two starts."""
        for child in children:
            parents = np.flatnonzero(self.found.slopes[child])
            whole = self.draws[:, child] - self.found.offset[child]
            whole -= self.draws @ self.found.locations[child]
            # Alternations hardly move if all of y has the scale and its mean is much above its sd.
            ends = []
            for slopes in (self.found.slopes[child, parents], self._fit_slopes(child, whole)):
                self.found.slopes[child, parents] = slopes
                self._alternate(child)
                ends.append((self._spread(child), *(a[child].copy() for a in self._arrays)))
            best = min(ends, key=lambda end: end[0])[1:]
            for array, own in zip(self._arrays, best, strict=True):
                array[child] = own

    @property
    def _arrays(self) -> tuple[np.ndarray, ...]:
        """What is known of each coordinate, with a row for each."""
        return (*self.found, self.within.T)

    def _alternate(self, child: int) -> None:
        before, sweeps = np.inf, 0
        while np.abs(self.found.slopes[child] - before).max() > SETTLED and sweeps < SWEEPS:
            before, sweeps = self.found.slopes[child].copy(), sweeps + 1
            self._fit_location(child)
            self._fit_scale(child)
        self._fit_location(child)

    def _spread(self, child: int) -> float:
        """Compute log J of one coordinate."""
        growth = np.exp(self.centered @ self.found.slopes[child])
        residual = self.draws[:, child] - self.found.offset[child]
        residual = (residual - self.draws @ self.found.locations[child]) / growth
        squares = (residual - self.within[:, child]) ** 2, (self.scores[:, child] * growth) ** 2
        return float(np.log([a.mean() for a in squares]).sum())

    def _fit_location(self, child: int) -> None:
        parents = np.flatnonzero(self.found.locations[child])
        weight = np.exp(-(self.centered @ self.found.slopes[child]))
        whole, score = weight * self.draws[:, child], self.scores[:, child] / weight
        values = weight[:, None] * self.draws[:, parents]
        units = self.sd[parents] / self.sd[child]
        every = np.union1d(parents, np.flatnonzero(self.found.slopes[child]))
        inner = np.column_stack([np.ones_like(weight), self.centered[:, every]])
        # Where the scale is small, what is not zero or one but should be does the most harm.
        fits = [
            _fit_with_scores(inner, np.empty((len(whole), 0)), whole - values @ units, score),
            _fit_with_scores(inner, values, whole, score),
            _fit_with_scores(inner, np.column_stack([values, weight]), whole, score),
        ]
        worst = fits[-1].error * np.exp(max(NEARLY, SIMPLER / len(weight)))
        is_sum = np.abs(fits[1].outer / units - 1).max(initial=0.0) < NEAR_ONE
        simplest = next(i for i in range(3) if i == 2 or (i or is_sum) and fits[i].error <= worst)
        outer = np.append(units, 0.0) if not simplest else np.append(fits[simplest].outer, 0.0)
        self.found.locations[child, parents] = outer[: len(parents)]
        self.found.offset[child] = outer[len(parents)]
        self.within[:, child] = inner @ fits[simplest].inner

    def _fit_scale(self, child: int) -> None:
        residual = self.draws[:, child] - self.found.offset[child]
        residual = residual - self.draws @ self.found.locations[child]
        residual -= self.within[:, child] * np.exp(self.centered @ self.found.slopes[child])
        parents = np.flatnonzero(self.found.slopes[child])
        self.found.slopes[child, parents] = self._fit_slopes(child, residual)

    def _fit_slopes(self, child: int, residual: np.ndarray) -> np.ndarray:
        """Fit the slopes of a child whose distance from its location is this."""
        parents = np.flatnonzero(self.found.slopes[child])
        squares, others = (
            np.log(a[:, None] ** 2 + TINY) for a in (residual, self.scores[:, child])
        )
        start = self.found.slopes[child, None, parents]
        return fit_slopes(squares, others, self.centered[:, None, parents], start)[0][0]

    def _exponents(self) -> np.ndarray:
        return self.centered @ self.found.slopes.T

    def _residuals(self) -> np.ndarray:
        within = self.within * np.exp(self._exponents())
        return self.draws - self.found.offset - self.draws @ self.found.locations.T - within

    def _whiten(self) -> tuple[np.ndarray, np.ndarray]:
        growth = np.exp(self._exponents())
        return self._residuals() / growth, self.scores * growth


class _Fit(NamedTuple):
    """Coefficients of a least-squares fit, and its squared error."""

    inner: np.ndarray
    outer: np.ndarray
    error: float


def _fit_with_scores(
    inner: np.ndarray, outer: np.ndarray, whole: np.ndarray, score: np.ndarray
) -> _Fit:
    """Fit whitened values by least squares on two sets of columns.

    A score times a function of the parents has mean zero, so its multiple that is most correlated
    with the noise is taken from the values first. For a normal no noise remains.
    """
    aim, design = whole, np.column_stack([inner, outer])
    fit = noise = np.zeros(0)
    for _ in range(3):
        fit = np.linalg.lstsq(design, aim, rcond=1e-10)[0]
        noise = whole - design @ fit
        aim = whole - (noise @ score) / (score @ score + TINY) * score
    error = ((aim - design @ fit) ** 2).sum() + 1e-12 * (noise**2).sum()
    return _Fit(fit[: inner.shape[1]], fit[inner.shape[1] :], float(error))


def _in_units(found: Dependence, mean: np.ndarray, sd: np.ndarray) -> Dependence:
    """Return the dependence in the units of the draws, from that of draws in units of `sd`."""
    slopes, locations = found.slopes / sd, found.locations * sd[:, None] / sd
    log_scale = np.where(found.dependent, np.log(sd) - slopes @ mean, 0.0)
    return Dependence(slopes, locations, sd * found.offset, log_scale)
