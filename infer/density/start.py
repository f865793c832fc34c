"""Find starting points at which the log density and its gradient are finite."""

from collections.abc import Sequence

import numpy as np

from .chain_starts import ChainStart, needs_search
from .family import Family
from .given import evaluate_given, insert_given
from .near import place_near
from .points import CANDIDATES, Points, are_usable, select_lanes
from .proposals import Place, propose
from .unusable import refuse_unusable

MAX_TRIES = 100


def find_starts(
    family: Family, key: np.ndarray, wanted: Sequence[ChainStart], place: Place | None = None
) -> tuple[Points, Points | None]:
    """Find a usable start for every chain of every member, and a second one if possible.

    Args:
        family: The log densities.
        key: Key data, shape (2,), or one for each member, shape (members, 2).
        wanted: Where each chain of each member starts, as `assign_starts` returns it.
        place: Moves uniform proposals before they are tried.

    Returns:
        The starts, and the second best of the eight that were tried (the start itself if no second
        one is usable, None if only one was tried).

    Raises:
        StartError: A chain has no finite start after 100 tries; the message names the terms
            that are not finite, with the values.
        ModelError: Given values are missing, of a wrong shape, or outside their set.
    """
    if not needs_search(wanted):
        return evaluate_given(family, wanted), None
    near = place_near(family, wanted, place)
    found, spare = _search_as_asked(family, len(wanted) // family.count, key, wanted, near)
    found = insert_given(family, key, wanted, found)
    which = f"at the first of {MAX_TRIES} starts tried:"
    mend = "Give starting values, or weaker constraints; infer.explain(model) shows every term."
    return refuse_unusable(family, found, which, mend), spare


def _search_as_asked(
    family: Family, chains: int, key: np.ndarray, wanted: Sequence[ChainStart], place: Place | None
) -> tuple[Points, Points | None]:
    """Search a start for every chain, from the prior if it asks for that, else uniformly."""
    if "prior" not in wanted:
        return search(family, chains, key, "uniform", place)
    found, spare = search(family, chains, key, "prior")
    if all(start == "prior" for start in wanted):
        return found, spare
    others = np.array([start != "prior" for start in wanted])
    return select_lanes(others, search(family, chains, key, "uniform", place)[0], found), None


def search(
    family: Family, chains: int, key: np.ndarray, starts: str, place: Place | None = None
) -> tuple[Points, Points | None]:
    """Search as `find_starts` does; a lane without a usable point gets the first one tried."""
    # A usable draw from the prior is kept; some uniform starts lie where a chain gets stuck.
    candidates = CANDIDATES if starts == "uniform" else 1
    lanes = family.count * chains
    tried, offset = propose(family, key, range(candidates), lanes, starts, place)
    merit = np.where(are_usable(tried), tried.log_densities + offset, -np.inf)
    found, second = _take_best(tried, merit), _take_second_best(tried, merit)
    for begin in range(candidates, MAX_TRIES, candidates):
        missing = ~are_usable(found)
        if not missing.any():
            break
        attempts = range(begin, min(begin + candidates, MAX_TRIES))
        tried, _ = propose(family, key, attempts, lanes, starts, place)
        again = _take_best(tried, are_usable(tried))
        better = missing & are_usable(again)
        found = select_lanes(better, again, found)
    return found, second and select_lanes(are_usable(second), second, found)


def _take_best(tried: Points, merit: np.ndarray) -> Points:
    """Take the point of highest merit for each lane, from shape (attempts, lanes, ...)."""
    best = merit.argmax(0), np.arange(merit.shape[1])
    return Points(*(array[best] for array in tried))


def _take_second_best(tried: Points, merit: np.ndarray) -> Points | None:
    """Take the point of second highest merit for each lane."""
    if len(merit) == 1:
        return None
    best = np.arange(len(merit))[:, None] == merit.argmax(0)
    return _take_best(tried, np.where(best, -np.inf, merit))
