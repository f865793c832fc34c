"""Find tails so heavy that means do not exist, or that chains reach far too rarely."""

from collections.abc import Iterator

import numpy as np

from ...density.base import LogDensity
from ...engines.base import Draws
from ...numerics.quantiles import pick_quantiles
from ..data.pareto import pareto_k
from ..finding import Finding
from .suspects import (
    MAX_ENTRIES,
    MAX_NUMBERS,
    MAX_SUSPECTS,
    Numbers,
    name_worst,
    sort_part,
    sort_worst,
)

# Vehtari et al. (2024), Pareto smoothed importance sampling, section 3: beyond this k, means from
# any practical number of draws are unreliable.
LARGEST_TAIL = 0.7
# Distance of the farthest draw from the median, relative to that of the 1 % or 99 % quantile: about
# 1.6 for a normal, 4 for Student's t with 3 degrees of freedom, 20 for k = 0.7. The tails of
# quantities below this are not fitted.
FAR = 5.0
# By how much the k of all chains may exceed that of the middle one, about two standard errors.
CHAIN_EXCESS = 0.3
# Share of the draws in each tail whose scores are averaged, and standard errors that are added.
TAIL, SURE = 0.02, 3.0
MIN_DRAWS = 20
# Distance of the 2 % or 98 % quantile from the median, relative to that of the quartile: 3 for a
# normal, 4.2 for Student's t with 3 degrees of freedom, 6.6 for k = 0.7, 16 for a Cauchy.
SHOULDER, WIDE = 0.25, 5.0


def find_heavy_tails(
    numbers: Numbers, density: LogDensity | None = None, draws: Draws | None = None
) -> Iterator[Finding]:
    """Report quantities with heavy tails, by their draws or by the slope of the log density.

    Args:
        numbers: Quantities of the posterior.
        density: The log density, which names the coordinates of the flat vector.
        draws: The flat vectors, shape (chains, draws, size), and gradients, if they are known.
    """
    heavy = {numbers.names[i]: k for i, k in _fit_tails(numbers).items()}
    if density and draws and draws.gradients.shape == draws.positions.shape:
        every = _measure_decay(draws.positions, draws.gradients)
        named = {density.labels()[i]: k for i, k in every.items()} if every else {}
        heavy |= {name: max(k, heavy.get(name, k)) for name, k in named.items()}
    heavy = {name: k for name, k in heavy.items() if k > LARGEST_TAIL}
    if heavy:
        yield Finding(
            "heavy_tails",
            f"the tails of {name_worst(heavy)} are heavy (Pareto k up to "
            f"{max(heavy.values()):.2f}, above {LARGEST_TAIL}): means and standard deviations may "
            "not exist, and the chains rarely reach the far tails.",
            "Report medians and quantiles, draw more (draws=), or give priors lighter tails.",
            sort_worst(heavy),
        )


def _fit_tails(numbers: Numbers) -> dict[int, float]:
    """Return the Pareto k of the heavier tail, for the few quantities with the farthest draws."""
    draws = numbers.draws
    if not draws.size:
        return {}
    low, middle, high = numbers.find_quantiles((0.01, 0.5, 0.99))
    with np.errstate(divide="ignore", invalid="ignore"):
        left = (middle - draws.min((1, 2))) / (middle - low)
        right = (draws.max((1, 2)) - middle) / (high - middle)
    far = np.fmax(left, right)
    worst = [int(i) for i in np.argsort(-far)[:MAX_SUSPECTS] if far[i] > FAR]
    return {i: max(_fit_tail(s * (draws[i] - middle[i])) for s in (1, -1)) for i in worst}


def _fit_tail(values: np.ndarray) -> float:
    """Fit a Pareto tail to the positive values of all chains, shape (chains, draws).

    The result is no more than what the middle chain shows by `CHAIN_EXCESS`: one chain that stays
    far out for a while looks like a heavy tail, but is not one.
    """
    each = [_estimate_k(own) for own in values]
    return min(_estimate_k(values.ravel()), float(np.median(each)) + CHAIN_EXCESS)


def _estimate_k(values: np.ndarray) -> float:
    """Estimate the Pareto k of the upper half of values."""
    upper = np.sort(values)[len(values) // 2 :]
    return pareto_k(np.log(np.maximum(upper, np.finfo(float).tiny)))


def _measure_decay(positions: np.ndarray, scores: np.ndarray) -> dict[int, float]:
    """Return the Pareto k of coordinates whose log density falls too slowly in a tail.

    If the density of a coordinate falls like |x|^-(1 + 1/k), its score times x is -(1 + 1/k), and
    the mean of the gradient over draws with equal x is that score. So the tails are known even if
    the chains have hardly explored them. In a lighter tail the product is larger and k smaller.

    Source: Resnick (2007), Heavy-tail phenomena, theorem 2.5 (von Mises' condition).
    """
    found = {}
    for i, (low, middle, high) in _find_wide(positions).items():
        x, g = positions[..., i], scores[..., i]
        each = -(x.astype(np.float64) - middle) * g
        decay = min(_bound_mean(each[x < low]), _bound_mean(each[x > high]))
        # With a bound below one, the density has no integral, or too little is known.
        found[i] = 1 / (decay - 1) if decay > 1 else 0.0
    return found


def has_wide_tails(positions: np.ndarray) -> bool:
    """Return whether some coordinate's tails are so wide that their decay is measured."""
    return bool(_find_wide(positions))


def _find_wide(positions: np.ndarray) -> dict[int, tuple[float, float, float]]:
    """Return the coordinates with wide tails: where the tails begin, with the median between."""
    size = positions.shape[-1]
    stride = -(-size // int(np.clip(MAX_ENTRIES // (positions.size // size), 1, MAX_NUMBERS)))
    few = sort_part(np.moveaxis(positions[..., ::stride], -1, 0))
    shares = (TAIL, SHOULDER, 0.5, 1 - SHOULDER, 1 - TAIL)
    low, left, middle, right, high = pick_quantiles(few, shares)
    with np.errstate(divide="ignore", invalid="ignore"):
        wide = np.fmax((middle - low) / (middle - left), (high - middle) / (right - middle))
    cuts = {int(i): (low[i], middle[i], high[i]) for i in np.flatnonzero(wide > WIDE)}
    return {i * stride: own for i, own in cuts.items()}


def _bound_mean(values: np.ndarray) -> float:
    """Return an upper bound of a mean."""
    if len(values) < MIN_DRAWS:
        return np.inf
    return float(values.mean() + SURE * values.std(ddof=1) / np.sqrt(len(values)))
