"""Screen a posterior cheaply for the quantities that mix worst; slower diagnostics judge them."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import xarray

from ..data.angles import replace_angles

# Maximum number of quantities screened, of their entries in all, and of the worst ones returned.
MAX_NUMBERS, MAX_ENTRIES = 1000, 2**22
MAX_SUSPECTS = 4
BATCHES = 10
# Draws of a chain that give its quantiles accurately enough, and the share of each tail.
QUANTILE_DRAWS, TAIL = 250, 0.05
# Maximum number of quantities that are named.
MAX_NAMED = 5


class Numbers(NamedTuple):
    """Scalar quantities of a posterior, in rows.

    Attributes:
        names: Name of each.
        draws: Shape (numbers, chains, draws), float64.
    """

    names: list[str]
    draws: np.ndarray


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
        coords = [posterior.coords.get(dim) for dim in array.dims[2:]]
        names += [
            name_number(str(name), np.unravel_index(i * stride, array.shape[2:]), coords)
            for i in np.flatnonzero(varying)
        ]
    return Numbers(names, np.concatenate(rows).reshape(-1, *lead))


def name_number(name: str, place: Sequence[Any], coords: Sequence[xarray.DataArray | None]) -> str:
    """Name one entry of a variable by its coordinates, such as "theta[school 3]"."""
    labels = [str(i if c is None else c.values[i]) for i, c in zip(place, coords, strict=True)]
    return f"{name}[{','.join(labels)}]" if labels else name


def find_suspects(draws: np.ndarray, fewest: int) -> list[int]:
    """Find the worst few quantities whose effective sample size may be below `fewest`.

    Four indicators are tested for each quantity: whether a draw is above the median, whether its
    distance from the median is above the median distance, and whether it is in the lowest or in the
    highest twentieth. If draws mix slowly, or chains disagree in location or scale, the batch
    means of an indicator differ. Heavy tails do not matter. The estimate is off by a fifth or
    more, so pass a `fewest` above the threshold that counts.

    Args:
        draws: Shape (numbers, chains, draws); none is constant.
        fewest: Effective draws of all chains together.

    Source: Vehtari et al. (2021), Rank-normalization, folding, and localization, for the
        indicators; Flegal & Jones (2010), Annals of Statistics 38, for batch means.
    """
    if not draws.size:
        return []
    found = set()
    for indicators in _indicate(draws):
        size = estimate_coarse_ess(indicators)
        worst = np.argsort(size)[:MAX_SUSPECTS]
        found |= {int(i) for i in worst if size[i] < fewest}
    return sorted(found)


def _indicate(draws: np.ndarray) -> Iterator[np.ndarray]:
    """Compute the indicators of draws (numbers, chains, draws), one kind after the other."""
    own = thin(draws)
    ranks = [int(own.shape[1] * share) for share in (TAIL, 0.5, 1 - TAIL)]
    low, middle, high = np.partition(own, ranks, axis=1)[:, ranks].T[..., None, None]
    yield draws > middle
    distance = np.abs(draws - middle)
    yield distance > np.partition(thin(distance), ranks[1], axis=1)[:, ranks[1], None, None]
    yield draws < low
    yield draws > high


def thin(draws: np.ndarray) -> np.ndarray:
    """Return enough draws of each quantity for its quantiles, shape (numbers, thinned)."""
    return draws[..., :: -(-draws.shape[2] // QUANTILE_DRAWS)].reshape(len(draws), -1)


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
