"""Read where chains shall start: at values, at a result, or where a named search finds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import StartError
from .base import LogDensity
from .family import Family, naming_member
from .refusals import refuse_misnamed

WORDS = ("uniform", "prior", "initial")
# Where one chain starts: one of these words, or constrained values by name.
ChainStart = str | Mapping[str, Any]
# What a call takes: one start for all chains, whose values may have a leading axis of chains; a
# result with `values`, such as an `Optimum`; or a list with one of these for each chain. For
# several models, a list has one of any of these for each model.
Starts = Any

_MEND = (
    'Choose "uniform", "prior" or "initial", or give values by name, a result with values (such as '
    "infer.maximize returns), or a list with one of these for each chain."
)


def read_starts(starts: Any) -> Any:
    """Read starts in any form that a user may give: results become their values by name.

    Raises:
        StartError: They have none of these forms.
    """
    if isinstance(starts, str) and starts not in WORDS:
        raise StartError("starts", f"{starts!r} is unknown", _MEND)
    if isinstance(starts, str | Mapping):
        return starts
    values = getattr(starts, "values", None)
    if isinstance(values, Mapping):
        return values
    if isinstance(starts, Sequence):
        return [read_starts(each) for each in starts]
    raise StartError("starts", f"a {type(starts).__name__} is given", _MEND)


def needs_search(starts: Any) -> bool:
    """Return whether a start must be searched for some chain."""
    if isinstance(starts, list):
        return any(map(needs_search, starts))
    return isinstance(starts, str)


def assign_starts(family: Family, chains: int, starts: Any) -> list[ChainStart]:
    """List where each chain of each member starts, chains of the first member first.

    Args:
        family: The log densities.
        chains: Number of chains of each member.
        starts: As `read_starts` returns them.

    Raises:
        StartError: The numbers of starts and of chains or models differ.
        ModelError: Values are missing, have an unknown name or a wrong shape.
    """
    density = family.member(0)
    if family.count == 1 or not isinstance(starts, list):
        return _assign_to_member(density, chains, starts) * family.count
    if len(starts) != family.count:
        raise StartError(
            "starts",
            f"a list of {len(starts)} is given for {family.count} models",
            "Give one item for each model; an item may be a list with one for each chain.",
        )
    found: list[ChainStart] = []
    for index, own in enumerate(starts):
        with naming_member(family, index):
            found += _assign_to_member(density, chains, own)
    return found


def count_chains(density: LogDensity, starts: Any) -> int | None:
    """Count the chains that starts are given for; return None if a word says where they start."""
    if isinstance(starts, str):
        return None
    if isinstance(starts, list):
        return len(starts)
    shapes = {site.name: site.shape for site in density.latent}
    arrays = ((np.shape(value), shapes.get(name)) for name, value in starts.items())
    return max([1, *(a[0] for a, shape in arrays if a and a[1:] == shape)])


def _assign_to_member(density: LogDensity, chains: int, starts: Any) -> list[ChainStart]:
    """List where each chain of one member starts."""
    if isinstance(starts, str):
        _refuse_without_initial(density, starts)
        return [starts] * chains
    if isinstance(starts, Mapping):
        return _split_by_chain(density, chains, starts)
    if len(starts) != chains:
        raise StartError(
            "starts",
            f"a list of {len(starts)} is given for {chains} chains",
            f"Give one item for each chain, or chains={len(starts)}.",
        )
    return [begin for own in starts for begin in _assign_to_member(density, 1, own)]


def _refuse_without_initial(density: LogDensity, word: str) -> None:
    missing = {site.name for site in density.latent} - density.model.initial_values().keys()
    if word == "initial" and missing:
        raise StartError(
            min(missing),
            'starts="initial" means the values that the model was made with, and it has none here',
            "Give values by name; only a model made from a tree has initial values.",
        )


def _split_by_chain(
    density: LogDensity, chains: int, values: Mapping[str, Any]
) -> list[ChainStart]:
    """Split values by name into one dict a chain, along the leading axis of chains, if any."""
    shapes = {site.name: site.shape for site in density.latent}
    # A result also has derived values.
    others = {site.name for site in density.sites if site.role == "derived"}
    arrays = {n: np.asarray(value) for n, value in values.items() if n not in others}
    each = [
        {
            n: np.asarray(a[c]) if a.shape == (chains, *shapes.get(n, ())) else a
            for n, a in arrays.items()
        }
        for c in range(chains)
    ]
    for own in each:
        refuse_misnamed(own, density.latent)
    return list(each)
