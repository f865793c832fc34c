"""Screen a posterior cheaply for the quantities that mix worst; slower diagnostics judge them."""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import xarray

from .angles import replace_angles

# Maximum number of quantities screened, of their entries in all, and of the worst ones returned.
MAX_NUMBERS, MAX_ENTRIES = 1000, 2**22
MAX_SUSPECTS = 4
BATCHES = 10
# Draws of a chain that give its median accurately enough.
MEDIAN_DRAWS = 250


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
            _name_number(str(name), np.unravel_index(i * stride, array.shape[2:]), coords)
            for i in np.flatnonzero(varying)
        ]
    return Numbers(names, np.concatenate(rows).reshape(-1, *lead))


def _name_number(name: str, place: Sequence[Any], coords: Sequence[xarray.DataArray | None]) -> str:
    labels = [str(i if c is None else c.values[i]) for i, c in zip(place, coords, strict=True)]
    return f"{name}[{','.join(labels)}]" if labels else name


def find_suspects(draws: np.ndarray, fewest: int) -> list[int]:
    """Find the worst few quantities whose effective sample size may be below `fewest`.

    Two indicators are tested for each quantity: whether a draw is above the median, and whether its
    distance from the median is above the median distance. If draws mix slowly, or chains disagree
    in location or scale, the batch means of an indicator differ. Heavy tails do not matter. The
    estimate is off by a fifth or more, so pass a `fewest` above the threshold that counts.

    Args:
        draws: Shape (numbers, chains, draws); none is constant.
        fewest: Effective draws of all chains together.

    Source: Vehtari et al. (2021), Rank-normalization, folding, and localization, for the two
        indicators; Flegal & Jones (2010), Annals of Statistics 38, for batch means.
    """
    if not draws.size:
        return []
    distance = np.abs(draws - _median(draws))
    found = set()
    for series in (draws, distance):
        size = _coarse_ess(series > _median(series))
        worst = np.argsort(size)[:MAX_SUSPECTS]
        found |= {int(i) for i in worst if size[i] < fewest}
    return sorted(found)


def _median(draws: np.ndarray) -> np.ndarray:
    """Compute medians over (numbers, chains, draws) from a subset of the draws of each chain."""
    thinned = draws[..., :: -(-draws.shape[2] // MEDIAN_DRAWS)].reshape(len(draws), -1)
    middle = thinned.shape[1] // 2
    return np.partition(thinned, middle)[:, middle, None, None]


def _coarse_ess(indicators: np.ndarray) -> np.ndarray:
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
