"""Screen a posterior cheaply for the quantities that mix worst; slower diagnostics judge them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import xarray

from ...numerics.quantiles import pick_quantiles
from ..data.angles import replace_angles

# Maximum number of quantities screened, of their entries in all, and of the worst ones returned.
MAX_NUMBERS, MAX_ENTRIES = 1000, 2**22
MAX_SUSPECTS = 4
BATCHES = 10
# Draws of a chain that give its quantiles accurately enough, and the share of each tail.
QUANTILE_DRAWS, TAIL = 250, 0.05
# Maximum number of quantities that are named.
MAX_NAMED = 5


@dataclass(frozen=True)
class Numbers:
    """Scalar quantities of a posterior, in rows.

    Attributes:
        names: Name of each.
        draws: Shape (numbers, chains, draws), float64.
    """

    names: list[str]
    draws: np.ndarray

    @cached_property
    def ordered(self) -> np.ndarray:
        """A part of the draws of each, enough for quantiles, in ascending order."""
        return sort_part(self.draws)

    def find_quantiles(self, shares: Sequence[float]) -> np.ndarray:
        """Find quantiles of each, shape (shares, numbers)."""
        return pick_quantiles(self.ordered, shares)


def lay_out_numbers(posterior: xarray.Dataset) -> Numbers:
    """Lay out the quantities of a posterior that vary; evenly spaced ones if there are over 1000.

    Angles are replaced by their cosines and sines.
    """
    lead = posterior.sizes["chain"], posterior.sizes["draw"]
    plain = replace_angles(posterior).items()
    arrays = {name: array.transpose("chain", "draw", ...) for name, array in plain}
    whole = sum(array.size for array in arrays.values()) // prod(lead)
    stride = -(-whole // int(np.clip(MAX_ENTRIES // prod(lead), 1, MAX_NUMBERS)))
    names, rows = [], []
    for name, array in arrays.items():
        flat = np.asarray(array).reshape(prod(lead), -1)[:, ::stride]
        own = np.ascontiguousarray(flat.T, dtype=np.float64)
        # Non-finite values show up in the extremes.
        low, high = own.min(1), own.max(1)
        varying = np.isfinite(low) & np.isfinite(high) & (low < high)
        rows.append(own[varying])
        kept = np.unravel_index(np.flatnonzero(varying) * stride, array.shape[2:] or (1,))
        names += name_numbers(str(name), kept, read_labels(posterior, array.dims[2:]))
    return Numbers(names, np.concatenate(rows).reshape(-1, *lead))


def read_labels(posterior: xarray.Dataset, dims: Sequence[Any]) -> list[np.ndarray | None]:
    """Read the labels along dimensions; None for one that has no coordinates."""
    return [posterior.coords[dim].values if dim in posterior.coords else None for dim in dims]


def name_numbers(
    name: str, places: Sequence[np.ndarray], labels: Sequence[np.ndarray | None]
) -> list[str]:
    """Name entries of a variable by their coordinates, such as "theta[school 3]".

    Args:
        name: The variable.
        places: Indices of the entries along each of its dimensions.
        labels: Labels along each dimension; empty for a scalar.
    """
    if not labels:
        return [name] * len(places[0])
    known = [p if own is None else own[p] for p, own in zip(places, labels, strict=True)]
    return [f"{name}[{','.join(map(str, entry))}]" for entry in zip(*known, strict=True)]


def find_suspects(numbers: Numbers, fewest: int) -> list[int]:
    """Find the worst few quantities whose effective sample size may be below `fewest`.

    Four indicators are tested for each quantity: whether a draw is above the median, whether its
    distance from the median is above the median distance, and whether it is in the lowest or in the
    highest twentieth. If draws mix slowly, or chains disagree in location or scale, the batch
    means of an indicator differ. Heavy tails do not matter. The estimate is off by a fifth or
    more, so pass a `fewest` above the threshold that counts.

    Args:
        numbers: The quantities; none is constant.
        fewest: Effective draws of all chains together.

    Source: Vehtari et al. (2021), Rank-normalization, folding, and localization, for the
        indicators; Flegal & Jones (2010), Annals of Statistics 38, for batch means.
    """
    if not numbers.draws.size:
        return []
    found = set()
    for indicators in indicate(numbers):
        size = estimate_coarse_ess(indicators)
        worst = np.argsort(size)[:MAX_SUSPECTS]
        found |= {int(i) for i in worst if size[i] < fewest}
    return sorted(found)


def indicate(numbers: Numbers) -> Iterator[np.ndarray]:
    """Compute the indicators of draws, one kind after the other."""
    draws = numbers.draws
    low, middle, high = numbers.find_quantiles((TAIL, 0.5, 1 - TAIL))[..., None, None]
    yield draws > middle
    distance = np.abs(draws - middle)
    yield distance > pick_quantiles(sort_part(distance), (0.5,))[0, :, None, None]
    yield draws < low
    yield draws > high


def sort_part(draws: np.ndarray) -> np.ndarray:
    """Sort enough draws of each quantity for its quantiles, shape (numbers, part)."""
    every = -(-draws.shape[2] // QUANTILE_DRAWS)
    return np.sort(draws[..., ::every].reshape(len(draws), -1), axis=1)


def estimate_coarse_ess(indicators: np.ndarray) -> np.ndarray:
    """Estimate effective sample sizes of indicators (numbers, chains, draws) by batch means."""
    numbers, chains, count = indicators.shape
    size = count // BATCHES
    batches = indicators[..., : size * BATCHES].reshape(numbers, chains * BATCHES, size)
    # A matrix product counts exactly, and is several times as fast as a sum of booleans.
    means = (batches.astype(np.float32) @ np.ones(size, np.float32)) / np.float64(size)
    share = means.mean(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ess = chains * BATCHES * share * (1 - share) / means.var(1, ddof=1)
    return np.nan_to_num(ess, nan=np.inf)


def sort_worst(found: Mapping[str, float]) -> tuple[str, ...]:
    """Sort the names of quantities, those with the largest values first."""
    return tuple(sorted(found, key=lambda name: -found[name]))


def name_worst(found: Mapping[str, float]) -> str:
    """Name the quantities with the largest values first."""
    names = sort_worst(found)
    return ", ".join(names[:MAX_NAMED]) + (" and others" if len(names) > MAX_NAMED else "")
