"""Fit location and scale of some coordinates whose parents are known, all at once.

A coordinate is x = a + L v + exp(S v) y. For given slopes S, the location a + L v and the mean of y
given v follow from least squares; for given locations, S minimizes log J (see `log_spread.py`).
"""

from typing import NamedTuple

import numpy as np

from .log_spread import TINY, Logs, fit_slopes

# A location that is the sum of its parents, or has no offset, is preferred to others if the log of
# the squared error is larger by no more than this, or by the second divided by the number of rows.
# It is a sum only if the free coefficients are within the third of one.
NEARLY, SIMPLER, NEAR_ONE = 0.7, 10.0, 0.25
# Share of the variance of y that a simpler location may add; ratios of smaller errors mean little.
HARMLESS = 0.01
# Alternations of location and scale, at most, and the change of slopes at which they end.
SWEEPS, SETTLED = 12, 1e-3


class Children(NamedTuple):
    """Coordinates that have parents: n, with up to k each.

    Attributes:
        draws: In units of their standard deviations, shape (n, rows).
        scores: Gradients of the log density, likewise.
        parents: Draws of the parents, shape (n, k, rows).
        centered: Draws of the parents less their means, likewise.
        units: Locations that make the coordinate the sum of its parents, shape (n, k).
        in_scale: Which parents its scale follows, likewise.
        in_location: Which parents its location follows, likewise.
    """

    draws: np.ndarray
    scores: np.ndarray
    parents: np.ndarray
    centered: np.ndarray
    units: np.ndarray
    in_scale: np.ndarray
    in_location: np.ndarray

    def of(self, some: np.ndarray) -> "Children":
        """Return some of the children, by index or mask."""
        return Children(*(a[some] for a in self))


class Fit(NamedTuple):
    """Slopes and locations of n children, shape (n, k); offset, (n,); mean of y, (n, rows)."""

    slopes: np.ndarray
    locations: np.ndarray
    offset: np.ndarray
    within: np.ndarray


def fit_children(own: Children, start: Fit) -> Fit:
    """Fit scale and location of each child, from two starts."""
    # Alternations hardly move if all of y has the scale and its mean is much above its sd.
    whole = own.draws - start.offset[:, None] - _combine(start.locations, own.parents)
    other = start._replace(slopes=_fit_scale(own, start.slopes, whole))
    twice = Children(*(np.concatenate([a, a]) for a in own))
    fit = _alternate(twice, Fit(*map(np.concatenate, zip(start, other, strict=True))))
    count = len(own.draws)
    spread = np.nan_to_num(_spread(twice, fit), nan=np.inf).reshape(2, count)
    best = np.arange(count) + count * spread.argmin(0)
    return Fit(*(a[best] for a in fit))


def _alternate(own: Children, fit: Fit) -> Fit:
    """Fit location and scale in turn, each child until its slopes settle."""
    fit, going = Fit(*(a.copy() for a in fit)), np.arange(len(own.draws))
    for _ in range(SWEEPS):
        some = own.of(going)
        found = _fit_location(some, fit.slopes[going])
        slopes = _fit_scale(some, found.slopes, _residuals(some, found))
        moved = np.abs(slopes - found.slopes).max(1) > SETTLED
        fit.slopes[going], going = slopes, going[moved]
        if not going.size:
            break
    return _fit_location(own, fit.slopes)


def _combine(coefficients: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum values of shape (n, k, rows) over k."""
    return (coefficients[:, None] @ values)[:, 0]


def _residuals(own: Children, fit: Fit) -> np.ndarray:
    whole = own.draws - fit.offset[:, None] - _combine(fit.locations, own.parents)
    return whole - fit.within * np.exp(_combine(fit.slopes, own.centered))


def _spread(own: Children, fit: Fit) -> np.ndarray:
    """Compute log J of each."""
    growth = np.exp(_combine(fit.slopes, own.centered))
    squares = (_residuals(own, fit) / growth) ** 2, (own.scores * growth) ** 2
    return np.log([a.mean(1) for a in squares]).sum(0)


def _fit_scale(own: Children, slopes: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """Fit the slopes of children whose distances from their locations are these."""
    squares, scores = (np.log(a**2 + TINY) for a in (residuals, own.scores))
    # The slope of a parent whose values are all zero stays as it is.
    parents = own.centered * own.in_scale[..., None]
    return fit_slopes(Logs(squares, scores, parents), slopes)


def _fit_location(own: Children, slopes: np.ndarray) -> Fit:
    """Fit the locations and the mean of y of each child, given its slopes.

    All fits take the columns of one matrix, so they are made with those of its triangular factor:
    lengths and angles are the same.
    """
    weight = np.exp(-_combine(slopes, own.centered))
    whole, score = weight * own.draws, own.scores / weight
    inner = np.concatenate([np.ones_like(whole)[:, None], own.centered], 1)
    values = weight[:, None] * own.parents * own.in_location[..., None]
    stack = [inner, values, weight[:, None], whole[:, None], score[:, None]]
    factor = np.asarray(np.linalg.qr(np.concatenate(stack, 1).transpose(0, 2, 1), mode="r"))
    count = slopes.shape[1]
    design, whole, score = factor[..., :-2], factor[..., -2], factor[..., -1]
    # Where the scale is small, what is not zero or one but should be does the most harm: fits are
    # made with locations that are sums, then free ones, then those with an offset.
    zero, units = np.zeros((len(slopes), 1 + count)), np.where(own.in_location, own.units, 0.0)
    sums = np.concatenate([zero, units, zero[:, :1]], 1)
    used = np.arange(2 + 2 * count) <= np.array([count, 2 * count, 1 + 2 * count])[:, None]
    rest = np.stack([whole - (design @ sums[..., None])[..., 0], whole, whole])
    fits, error = _fit_with_scores(design * used[:, None, None], rest, score)
    worst = error[2] * np.exp(max(NEARLY, SIMPLER / own.draws.shape[1]))
    far = np.abs(fits[1, :, 1 + count : -1] / own.units - 1)
    is_sum = np.where(own.in_location, far, 0.0).max(1) < NEAR_ONE
    fits[0] += sums
    usable = np.stack([is_sum & (error[0] <= worst), error[1] <= worst, np.ones_like(is_sum)])
    chosen = fits[usable.argmax(0), np.arange(len(units))]
    locations = np.where(own.in_location, chosen[:, 1 + count : -1], 0.0)
    return Fit(slopes, locations, chosen[:, -1], _combine(chosen[:, : 1 + count], inner))


def _fit_with_scores(
    design: np.ndarray, whole: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit whitened values by least squares; return coefficients and squared errors.

    A score times a function of the parents has mean zero, so its multiple that is most correlated
    with the noise is taken from the values first. For a normal no noise remains.

    Args:
        design: Columns, shape (..., rows, columns); unused ones are zero.
        whole: Values, shape (..., rows).
        score: Scores, likewise.
    """
    finite = np.isfinite(design).all((-2, -1), keepdims=True)
    inverse = np.linalg.pinv(np.where(finite, design, 0.0), rcond=1e-10)
    aim, square = whole, (score**2).sum(-1) + TINY
    fit = fitted = noise = np.zeros(0)
    for _ in range(3):
        fit = (inverse @ aim[..., None])[..., 0]
        fitted = (design @ fit[..., None])[..., 0]
        noise = whole - fitted
        aim = whole - ((noise * score).sum(-1) / square)[..., None] * score
    return fit, ((aim - fitted) ** 2).sum(-1) + HARMLESS * (noise**2).sum(-1)
