"""Find the numbers of a posterior that mix worst, cheaply, for slower diagnostics to judge."""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import xarray

from .angles import replace_angles

# Numbers that are looked at, and entries of all of them; and how many of the worst are named.
MAX_NUMBERS, MAX_ENTRIES = 1000, 2**22
MAX_JUDGED = 4
BATCHES = 10
# Draws of a chain that tell its median well enough, since only the side of each draw is asked.
MEDIAN_DRAWS = 250


class Numbers(NamedTuple):
    """Numbers of a posterior, in rows.

    Attributes:
        names: Of each.
        draws: Shape (numbers, chains, draws), float64.
    """

    names: list[str]
    draws: np.ndarray


def lay_out_numbers(posterior: xarray.Dataset) -> Numbers:
    """Lay out the numbers of a posterior that vary; of more than a thousand, evenly spaced ones.

    Angles are laid out as their cosines and sines.
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
        # Whatever is not finite shows in the extremes.
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
    """Find the numbers whose effective sample size may be below `fewest`, the worst few of them.

    Asked are, of each number, its place above or below the median, and its distance from the median
    above or below the median distance: where draws go slowly from one side to the other, or chains
    disagree, in place or in spread, the means of batches differ. Tails, however heavy, do not
    matter. The estimate is off by a fifth or more, so ask for a `fewest` above the one that counts.

    Args:
        draws: Shape (numbers, chains, draws), of which none is constant.
        fewest: Effective draws of all chains together.

    Source: Vehtari et al. (2021), Rank-normalization, folding, and localization, for the two
        questions; Flegal & Jones (2010), Annals of Statistics 38, for the means of batches.
    """
    if not draws.size:
        return []
    distance = np.abs(draws - _median(draws))
    found = set()
    for asked in (draws, distance):
        size = _coarse_ess(asked > _median(asked))
        worst = np.argsort(size)[:MAX_JUDGED]
        found |= {int(i) for i in worst if size[i] < fewest}
    return sorted(found)


def _median(draws: np.ndarray) -> np.ndarray:
    """Find medians, of draws of shape (numbers, chains, draws), from some draws of each chain."""
    thinned = draws[..., :: -(-draws.shape[2] // MEDIAN_DRAWS)].reshape(len(draws), -1)
    middle = thinned.shape[1] // 2
    return np.partition(thinned, middle)[:, middle, None, None]


def _coarse_ess(answers: np.ndarray) -> np.ndarray:
    """Estimate the effective sample size of answers, shape (numbers, chains, draws), by batches."""
    numbers, chains, count = answers.shape
    size = count // BATCHES
    batches = answers[..., : size * BATCHES].reshape(numbers, chains * BATCHES, size)
    # A product counts exactly, several times as fast as a sum of truth values.
    means = (batches.astype(np.float32) @ np.ones(size, np.float32)) / np.float64(size)
    share = means.mean(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ess = chains * BATCHES * share * (1 - share) / means.var(1, ddof=1)
    return np.nan_to_num(ess, nan=np.inf)
