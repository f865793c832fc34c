"""Judge the draws of several data sets: how many are affected, and by what."""

from collections.abc import Iterator, Mapping

import numpy as np
import xarray

from ...engines.base import Engine
from ...numerics.agreement import split_rhat
from ...programs.parts import work_in_turn
from ..data.angles import replace_angles
from ..data.arviz import SET
from ..finding import Finding
from .slowness import OFTEN, find_cut_short
from .suspects import MAX_NUMBERS
from .transitions import DIVERGENT, SMALLEST_BFMI, compute_bfmi
from .unmixed import LARGEST_RHAT

# What is looked for, in the order in which it is reported.
DIVERGED, CUT_SHORT = "transitions diverged", "trajectories were cut short"
LOW_BFMI, HIGH_RHAT = f"E-BFMI is below {SMALLEST_BFMI}", f"R-hat is above {LARGEST_RHAT}"
CHECKS = (DIVERGED, CUT_SHORT, LOW_BFMI, HIGH_RHAT)


def find_in_datasets(
    engine: Engine, stats: Mapping[str, np.ndarray], posterior: xarray.Dataset, fewest: int
) -> Iterator[Finding]:
    """Report how many data sets are affected; the arguments are those of `count_affected`."""
    affected = count_affected(engine, stats, posterior, fewest)
    yield from report_affected(affected, posterior.sizes[SET])


def count_affected(
    engine: Engine,
    stats: Mapping[str, np.ndarray],
    posterior: xarray.Dataset,
    fewest: int,
) -> dict[str, int]:
    """Count the affected data sets, by what is wrong with them; see `find_affected`."""
    affected = find_affected(engine, stats, posterior, fewest)
    return {what: int(which.sum()) for what, which in affected.items() if which.any()}


def find_affected(
    engine: Engine,
    stats: Mapping[str, np.ndarray],
    posterior: xarray.Dataset,
    fewest: int,
) -> dict[str, np.ndarray]:
    """Find which data sets are affected, by what is wrong with them, each of shape (sets,).

    Args:
        engine: The engine that made the draws.
        stats: Statistics of shape (chains, draws, data sets).
        posterior: The draws.
        fewest: Minimum number of draws per chain for diagnostics of mixing.
    """
    none = np.zeros((1, 1, 1), bool)
    affected = {
        DIVERGED: stats.get("diverging", none).mean((0, 1)) >= DIVERGENT,
        CUT_SHORT: (none + find_cut_short(engine, stats)).mean((0, 1)) > OFTEN,
    }
    if posterior.sizes["draw"] >= fewest:
        if "energy" in stats:
            low = compute_bfmi(stats["energy"]) < SMALLEST_BFMI
            affected[LOW_BFMI] = low.any(0)
        affected[HIGH_RHAT] = _find_disagreeing(posterior)
    whole = np.zeros(posterior.sizes[SET], bool)
    return {what: whole | which for what, which in affected.items()}


def report_affected(affected: Mapping[str, int], sets: int) -> Iterator[Finding]:
    """Report how many of some data sets are affected, if any is."""
    counts = [f"{what} in {affected[what]}" for what in CHECKS if affected.get(what)]
    if counts:
        yield Finding(
            "several_data_sets",
            f"of {sets} data set{'s' * (sets != 1)}, {', '.join(counts)}.",
            "The group sample_stats, arviz.rhat and arviz.ess show which ones.",
        )


def _find_disagreeing(posterior: xarray.Dataset) -> np.ndarray:
    """Return which data sets have a quantity whose chains disagree, by R-hat without ranks."""
    plain = replace_angles(posterior).values()
    arrays = [array.transpose("chain", "draw", SET, ...) for array in plain]
    entries = int(np.prod(arrays[0].shape[:3]))
    stride = -(-sum(array.size for array in arrays) // (MAX_NUMBERS * entries))
    apart = [np.asarray(a).reshape(*a.shape[:3], -1)[..., ::stride] for a in arrays]

    def judge_some(few: slice) -> np.ndarray:
        numbers = np.concatenate([a[:, :, few] for a in apart], -1)
        rhat = split_rhat(numbers.reshape(*numbers.shape[:2], -1)).reshape(numbers.shape[2:])
        return np.any(rhat > LARGEST_RHAT, -1)

    numbers = sum(a[:, :, 0].size for a in apart)
    return work_in_turn(judge_some, posterior.sizes[SET], numbers)
