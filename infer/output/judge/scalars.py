"""All scalar numbers of a posterior: screened together, judged by ArviZ one by one."""

from collections.abc import Callable, Iterator
from math import prod
from typing import NamedTuple

import arviz as az
import numpy as np
import xarray

from ...numerics.agreement import split_rhat
from ..data.angles import replace_angles
from .suspects import BATCHES, estimate_coarse_ess, name_number

# Entries that are screened at a time, so that memory is flat in the size of the posterior.
MAX_ENTRIES = 2**21
# Numbers that ArviZ judges, at 4 ms each, out of all that are screened: at least and at most.
FEWEST, MAX_JUDGED = 4, 200
# A coarse estimate is off by a half or so.
MARGIN = 3
# Draws of a chain that give quantiles accurately enough for the screening.
QUANTILE_DRAWS = 250
# The shares of draws whose indicators are screened: both tails and the median.
SHARES = (0.05, 0.5, 0.95)


class Mixing(NamedTuple):
    """ArviZ's diagnostics of one scalar number.

    Attributes:
        name: The number, such as "theta[2]".
        rhat: Rank-normalized split R-hat; NaN for a single chain.
        bulk: Bulk effective sample size of all chains together.
        tail: The smaller of those of the 5 % and the 95 % quantile.

    Source: Vehtari et al. (2021), Rank-normalization, folding, and localization.
    """

    name: str
    rhat: float
    bulk: float
    tail: float


class Scalars:
    """The scalar numbers of a posterior; angles are replaced by their cosines and sines."""

    def __init__(self, posterior: xarray.Dataset) -> None:
        variables = replace_angles(posterior)
        self._arrays = {n: a.transpose("chain", "draw", ...) for n, a in variables.items()}
        self._coords = posterior.coords
        self._lead = posterior.sizes["chain"], posterior.sizes["draw"]
        self._ends = np.cumsum([a.size // prod(self._lead) for a in self._arrays.values()])

    def rank(self, estimate_need: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> list[int]:
        """Return the indices of the numbers that ArviZ is to judge, the worst first.

        Numbers that do not vary or that have draws which are not finite are left out.

        Args:
            estimate_need: Estimates how many times as many draws each number needs, from R-hat and
                ESS. Here they are coarse, so numbers that need a third of their draws or less are
                left out, except for the worst few.
        """
        rhat, ess = np.concatenate([np.zeros((2, 0)), *self._screen()], axis=1)
        need = np.where(np.isfinite(ess), estimate_need(rhat, ess), -np.inf)
        order = [int(i) for i in np.argsort(-need)[:MAX_JUDGED] if need[i] > -np.inf]
        return order[:FEWEST] + [i for i in order[FEWEST:] if MARGIN * need[i] > 1]

    def _screen(self) -> Iterator[np.ndarray]:
        width = max(MAX_ENTRIES // prod(self._lead), 1)
        for array in self._arrays.values():
            flat = np.asarray(array).reshape(prod(self._lead), -1)
            for begin in range(0, flat.shape[1], width):
                part = np.ascontiguousarray(flat[:, begin : begin + width].T, dtype=np.float64)
                draws = part.reshape(-1, *self._lead)
                yield np.stack([split_rhat(np.moveaxis(draws, 0, -1)), estimate_ess(draws)])

    def measure(self, index: int) -> Mixing:
        """Compute ArviZ's diagnostics of a number."""
        which = int(np.searchsorted(self._ends, index, side="right"))
        name, array = list(self._arrays.items())[which]
        within = index - int(self._ends[which]) + array.size // prod(self._lead)
        place = np.unravel_index(within, array.shape[2:])
        own = np.asarray(array[(slice(None), slice(None), *place)], np.float64)
        tail = float(az.ess(own, method="tail", prob=(SHARES[0], SHARES[-1])))
        rhat = float(az.rhat(own)) if len(own) > 1 else np.nan
        coords = [self._coords.get(dim) for dim in array.dims[2:]]
        return Mixing(name_number(name, place, coords), rhat, float(az.ess(own)), tail)


def estimate_ess(draws: np.ndarray) -> np.ndarray:
    """Estimate effective sample sizes of numbers (numbers, chains, draws) by batch means.

    Returns:
        The smallest of four indicators of each number: below its median and both tails, and nearer
        to the median than half of the draws. It is infinite for a number that does not vary, or
        that has draws which are not finite, and 0 if there are too few draws for batches.
    """
    low, high = draws.min((1, 2)), draws.max((1, 2))
    with np.errstate(invalid="ignore"):
        is_judged = np.isfinite(low) & np.isfinite(high) & (low < high)
        if draws.shape[2] < 2 * BATCHES:
            return np.where(is_judged, 0.0, np.inf)
        cuts = _find_quantiles(draws, SHARES)
        distance = np.abs(draws - cuts[1])
        (middle,) = _find_quantiles(distance, (0.5,))
    sizes = [estimate_coarse_ess(draws <= cut) for cut in cuts] + [
        estimate_coarse_ess(distance <= middle)
    ]
    # That of an indicator which does not vary, as of a number with few values, is infinite.
    largest = np.float64(draws[0].size * BATCHES)
    return np.where(is_judged, np.minimum(np.min(sizes, 0), largest), np.inf)


def _find_quantiles(draws: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Find quantiles of each number from a part of its draws, shape (shares, numbers, 1, 1)."""
    part = draws[..., :: -(-draws.shape[2] // QUANTILE_DRAWS)].reshape(len(draws), -1)
    return np.quantile(part, shares, axis=1)[..., None, None]
