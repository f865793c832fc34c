"""Learn from draws and scores which coordinates have a location and scale that follow others."""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np

from .bent_scale import bend_scales
from .blas import one_blas_thread
from .dependence import Dependence, no_dependence
from .parent_search import MIN_GAIN, Search
from .shared_parents import improve

# Stages of scales before locations are added, after a first one that is shared. A missing location
# may look like a parent of a scale, and a missing parent of a scale like a location, so both orders
# are tried. One is better if the sum of log J is smaller, by at least what each slope and location
# that it has more must gain.
SCALES_FIRST, IN_TURN = (15, 16), (0, *(1,) * 5)


def learn_dependence(
    draws: np.ndarray,
    scores: np.ndarray,
    orders: Sequence[tuple[int, ...]] = (SCALES_FIRST, IN_TURN),
) -> Dependence:
    """Learn which coordinates depend on which, in float64 on the host.

    Args:
        draws: Shape (rows, size).
        scores: Gradients of the log density at the draws, of the same shape.
        orders: In which scales and locations are added. The next one is left out if one finds no
            location, and noise hides none that is worth having.
    """
    finite = np.isfinite(draws).all(-1) & np.isfinite(scores).all(-1)
    draws, scores = (a[finite].astype(np.float64) for a in (draws, scores))
    if len(draws) < 4:
        return no_dependence(draws.shape[1])
    with np.errstate(all="ignore"), one_blas_thread():
        first = Search(draws, scores)
        if not first.add_scales():
            return no_dependence(draws.shape[1])
        search = _search_in_orders(first, orders)
        bend_scales(search)
    found = _in_units(search.found, search.mean, search.sd)
    return found if all(np.isfinite(a).all() for a in found[:-1]) else no_dependence(draws.shape[1])


def _search_in_orders(first: Search, orders: Sequence[tuple[int, ...]]) -> Search:
    """Go on with a search in each of these orders; of equal results, the last is the best."""
    each: list[Search] = []
    for stages in orders:
        each.append(improve(deepcopy(first).run(*stages)))
        if first.threshold <= MIN_GAIN and not each[-1].found.locations.any():
            break
    return min(reversed(each), key=lambda own: np.nan_to_num(own.cost, nan=np.inf))


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
        return np.nan_to_num(Search(*own).gain_of_scales())


def _in_units(found: Dependence, mean: np.ndarray, sd: np.ndarray) -> Dependence:
    """Return the dependence in the units of the draws, from that of draws in units of `sd`."""
    slopes, locations = found.slopes / sd, found.locations * sd[:, None] / sd
    # The search is for slopes times parents less their means.
    shift = slopes @ mean
    log_scale = np.where(found.dependent, np.log(sd) - shift, 0.0)
    return Dependence(slopes, locations, sd * found.offset, log_scale, found.bends + shift)
