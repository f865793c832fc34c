"""Find the numbers of a posterior that mix worst, cheaply, for slower diagnostics to judge."""

from typing import NamedTuple

import numpy as np
import xarray

# Numbers that are looked at, and entries of all of them; and how many of the worst are named.
MOST_NUMBERS, MOST_ENTRIES = 1000, 2**22
JUDGED = 4
BATCHES = 10
# Draws of a chain that tell its median well enough, since only the side of each draw is asked.
ENOUGH = 250


class Numbers(NamedTuple):
    """Numbers of a posterior, in columns.

    Attributes:
        names: Of each.
        draws: Shape (chains, draws, numbers), float64.
    """

    names: list[str]
    draws: np.ndarray


def numbers_of(posterior: xarray.Dataset) -> Numbers:
    """Lay out the numbers of a posterior that vary; of more than a thousand, evenly spaced ones."""
    entries = posterior.sizes["chain"] * posterior.sizes["draw"]
    arrays = [posterior[name].transpose("chain", "draw", ...) for name in posterior.data_vars]
    whole = sum(array.size for array in arrays) // entries
    most = int(np.clip(MOST_ENTRIES // entries, 1, MOST_NUMBERS))
    stride = -(-whole // most)
    names, columns = [], []
    for array in arrays:
        flat = np.asarray(array).reshape(*array.shape[:2], -1)[..., ::stride]
        flat = flat.astype(np.float64)
        varying = np.isfinite(flat).all((0, 1)) & (np.ptp(flat, (0, 1)) > 0)
        columns.append(flat[..., varying])
        names += [_name(array, int(i) * stride) for i in np.flatnonzero(varying)]
    return Numbers(names, np.concatenate(columns, -1))


def _name(array: xarray.DataArray, index: int) -> str:
    dims, shape = array.dims[2:], array.shape[2:]
    where = zip(dims, np.unravel_index(index, shape), strict=True) if shape else ()
    labels = [str(array.coords[d].values[i]) if d in array.coords else str(i) for d, i in where]
    return f"{array.name}[{','.join(labels)}]" if labels else str(array.name)


def suspects(draws: np.ndarray, fewest: int) -> list[int]:
    """Find the numbers whose effective sample size may be below `fewest`, the worst few of them.

    Asked are, of each number, its place above or below the median, and its distance from the median
    above or below the median distance: where draws go slowly from one side to the other, or chains
    disagree, in place or in spread, the means of batches differ. Tails, however heavy, do not
    matter. The estimate is off by a fifth or more, so ask for a `fewest` above the one that counts.

    Args:
        draws: Shape (chains, draws, numbers), of which none is constant.
        fewest: Effective draws of all chains together.

    Source: Vehtari et al. (2021), Rank-normalization, folding, and localization, for the two
        questions; Flegal & Jones (2010), Annals of Statistics 38, for the means of batches.
    """
    if not draws.size:
        return []
    columns = np.ascontiguousarray(np.moveaxis(draws, -1, 0))
    distance = np.abs(columns - _median(columns))
    found = set()
    for asked in (columns, distance):
        size = _coarse_ess(asked > _median(asked))
        worst = np.argsort(size)[:JUDGED]
        found |= {int(i) for i in worst if size[i] < fewest}
    return sorted(found)


def _median(columns: np.ndarray) -> np.ndarray:
    """Find medians of columns, shape (numbers, chains, draws), from some draws of each chain."""
    thinned = columns[..., :: -(-columns.shape[2] // ENOUGH)]
    return np.median(thinned, (1, 2), keepdims=True)


def _coarse_ess(answers: np.ndarray) -> np.ndarray:
    """Estimate the effective sample size of answers, shape (numbers, chains, draws), by batches."""
    numbers, chains, count = answers.shape
    size = count // BATCHES
    batches = answers[..., : size * BATCHES].reshape(numbers, chains * BATCHES, size)
    with np.errstate(divide="ignore", invalid="ignore"):
        ess = chains * BATCHES * answers.var((1, 2)) / batches.mean(2).var(1, ddof=1)
    return np.nan_to_num(ess, nan=np.inf)
