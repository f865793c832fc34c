"""All scalar numbers of a posterior: how well each one mixes, and which need the most draws."""

from collections.abc import Callable, Iterator
from math import prod
from typing import NamedTuple

import numpy as np
import xarray

from ...numerics.mixing import compare_halves, measure_mixing
from ..data.angles import replace_angles
from .suspects import (
    BATCHES,
    Numbers,
    estimate_coarse_ess,
    indicate,
    name_numbers,
    read_labels,
)

# Entries that are screened at a time, so that memory is flat in the size of the posterior.
MAX_ENTRIES = 2**21
# Entries up to which all numbers are judged, in some 30 ms. If there are more, the
# screening picks at least and at most so many.
FEW_ENTRIES, FEWEST, MAX_JUDGED = 2**17, 4, 200
# A coarse estimate is off by a half or so.
MARGIN = 3

Estimate = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Mixing(NamedTuple):
    """How well one scalar number mixes; as ArviZ computes it.

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
        self._posterior = posterior
        self._lead = posterior.sizes["chain"], posterior.sizes["draw"]
        self._ends = np.cumsum([a.size // prod(self._lead) for a in self._arrays.values()])

    def judge(self, estimate_need: Estimate) -> list[Mixing]:
        """Measure how the numbers mix, those first that need the most draws.

        Numbers that do not vary or that have draws which are not finite are left out. In a large
        posterior, all numbers are screened coarsely, and those that may need more draws are
        measured.

        Args:
            estimate_need: Estimates how many times as many draws each number needs, from R-hat and
                ESS.
        """
        picked = self._pick(estimate_need)
        if not len(picked):
            return []
        rhat, bulk, tail = measure_mixing(self._read(picked))
        need = estimate_need(rhat, np.minimum(bulk, tail))
        return [
            Mixing(self._name(int(picked[i])), float(rhat[i]), float(bulk[i]), float(tail[i]))
            for i in np.argsort(-need, kind="stable")
        ]

    def _pick(self, estimate_need: Estimate) -> np.ndarray:
        """Pick the numbers to measure, in ascending order."""
        if self._ends[-1] * prod(self._lead) <= FEW_ENTRIES:
            return np.flatnonzero(np.concatenate([_find_judged(draws) for draws in self._cut()]))
        rhat, ess = np.concatenate([_screen(draws) for draws in self._cut()], axis=1)
        # Numbers that need a third of their draws or less are left out, but for the worst few.
        need = np.where(np.isfinite(ess), estimate_need(rhat, ess), -np.inf)
        order = np.argsort(-need)[:MAX_JUDGED]
        order = order[need[order] > -np.inf]
        return np.sort(order[(np.arange(len(order)) < FEWEST) | (MARGIN * need[order] > 1)])

    def _read(self, picked: np.ndarray) -> np.ndarray:
        """Read numbers, shape (numbers, chains, draws); each variable of a store once."""
        rows, begin = [], 0
        for draws in self._cut():
            own = picked[(begin <= picked) & (picked < begin + len(draws))]
            rows.append(draws[own - begin])
            begin += len(draws)
        return np.concatenate(rows)

    def _cut(self) -> Iterator[np.ndarray]:
        """Cut the draws into parts of shape (numbers, chains, draws)."""
        width = max(MAX_ENTRIES // prod(self._lead), 1)
        for array in self._arrays.values():
            flat = np.asarray(array).reshape(prod(self._lead), -1)
            for begin in range(0, flat.shape[1], width):
                part = np.ascontiguousarray(flat[:, begin : begin + width].T, dtype=np.float64)
                yield part.reshape(-1, *self._lead)

    def _name(self, index: int) -> str:
        which = int(np.searchsorted(self._ends, index, side="right"))
        name, array = list(self._arrays.items())[which]
        shape = array.shape[2:]
        place = np.unravel_index([index - int(self._ends[which]) + prod(shape)], shape or (1,))
        return name_numbers(name, place, read_labels(self._posterior, array.dims[2:]))[0]


def _find_judged(draws: np.ndarray) -> np.ndarray:
    """Return which numbers vary and have finite draws only."""
    low, high = draws.min((1, 2)), draws.max((1, 2))
    with np.errstate(invalid="ignore"):
        return np.isfinite(low) & np.isfinite(high) & (low < high)


def _screen(draws: np.ndarray) -> np.ndarray:
    """Estimate R-hat and effective sample sizes coarsely, shape (2, numbers)."""
    return np.stack([compare_halves(draws), estimate_ess(draws)])


def estimate_ess(draws: np.ndarray) -> np.ndarray:
    """Estimate effective sample sizes of numbers (numbers, chains, draws) by batch means.

    Returns:
        The smallest of four indicators of each number: below its median and both tails, and nearer
        to the median than half of the draws. It is infinite for a number that does not vary, or
        that has draws which are not finite, and 0 if there are too few draws for batches.
    """
    judged = _find_judged(draws)
    if draws.shape[2] < 2 * BATCHES:
        return np.where(judged, 0.0, np.inf)
    with np.errstate(invalid="ignore"):
        sizes = [estimate_coarse_ess(own) for own in indicate(Numbers([], draws))]
    # That of an indicator which does not vary, as of a number with few values, is infinite.
    largest = np.float64(draws[0].size * BATCHES)
    return np.where(judged, np.minimum(np.min(sizes, 0), largest), np.inf)
