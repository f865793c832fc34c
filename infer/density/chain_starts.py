"""Read where chains shall start: at values, at a result, or where a named search finds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from ..errors import ModelError, StartError
from ..models.inputs.foreign import refuse_foreign, refuse_masked
from ..models.inputs.names import join_names
from ..models.inputs.units import refuse_units
from ..models.protocol.site import FLAT_SITE
from ..traced import refuse_traced
from .base import LogDensity
from .family import Family, naming_member
from .jitter import Jitter, Near, OnInitial
from .refusals import refuse_misnamed

WORDS = ("uniform", "prior", "initial", "mean", "median")
# Where one chain starts: "uniform", "prior" or "initial", constrained values of all sites by name,
# or near some values.
ChainStart = str | Mapping[str, Any] | Near
# What a call takes: one start for all chains, whose values may have a leading axis of chains; a
# result with `values`, such as an `Optimum`; or a list with one of these for each chain. For
# several models, a list has one of any of these for each model.
Starts = Any

_MEND = (
    'Choose "uniform", "prior", "mean", "median", "initial" or infer.Jitter(around, radius), or '
    "give values by name, a result with values (such as infer.maximize returns), or a list with "
    "one of these for each chain."
)
# Names of starts in NumPyro, PyMC and Stan, with ours.
_THEIRS = {
    "init_to_uniform": "infer.Jitter(radius=...)",
    "init_to_median": 'starts="median"',
    "init_to_mean": 'starts="mean"',
    "init_to_sample": 'starts="prior"',
    "init_to_value": 'starts={"name": value}',
    "init_to_feasible": "infer.Jitter(radius=0.0)",
    "adapt_diag": 'starts="mean"',
    "adapt_full": 'starts="mean"',
    "jitter+adapt_diag": 'starts=infer.Jitter("mean")',
    "jitter+adapt_diag_grad": 'starts=infer.Jitter("mean")',
    "jitter+adapt_full": 'starts=infer.Jitter("mean")',
    "support_point": 'starts="mean"',
    "moment": 'starts="mean"',
    "random": 'starts="uniform"',
    "zero": "starts=infer.Jitter(radius=0.0)",
}


def read_starts(starts: Any) -> Any:
    """Read starts in any form that a user may give: results become their values by name.

    Raises:
        StartError: They have none of these forms.
    """
    if isinstance(starts, str) and starts not in WORDS:
        raise StartError("starts", f"{starts!r} is unknown", _suggest(starts))
    if isinstance(starts, str | Mapping | Near | OnInitial):
        return starts
    if isinstance(starts, Jitter):
        return (
            starts if starts.around is None else replace(starts, around=read_starts(starts.around))
        )
    values = getattr(starts, "values", None)
    if isinstance(values, Mapping):
        return values
    if isinstance(starts, Sequence):
        return [read_starts(each) for each in starts]
    found = f"a {type(starts).__name__} is given"
    if isinstance(starts, int | float) and not isinstance(starts, bool):
        mend = f"Stan's init={starts} is infer.Jitter(radius={float(starts)})."
        raise StartError("starts", found, f"{mend} {_MEND}")
    called = getattr(getattr(starts, "func", starts), "__name__", "")
    raise StartError("starts", found, _suggest(called))


def _suggest(word: str) -> str:
    """Say what was probably meant by a word or the name of a function, and what there is."""
    if word in _THEIRS:
        return f"Write {_THEIRS[word]}. {_MEND}"
    close = get_close_matches(word, WORDS, 1)
    return f'Did you mean "{close[0]}"? {_MEND}' if close else _MEND


def needs_search(starts: Any) -> bool:
    """Return whether a start must be searched for some chain."""
    if isinstance(starts, list):
        return any(map(needs_search, starts))
    return not isinstance(starts, Mapping)


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
    density, each = family.member(0), isinstance(starts, list)
    if family.count == 1 or not (each or _is_by_member(starts)):
        return _assign_to_member(density, chains, starts) * family.count
    starts = starts if each else [starts] * family.count
    if len(starts) != family.count:
        raise StartError(
            "starts",
            f"a list of {len(starts)} is given for {family.count} models",
            "Give one item for each model; an item may be a list with one for each chain.",
        )
    found: list[ChainStart] = []
    for index, own in enumerate(starts):
        with naming_member(family, index):
            at = family.member(index) if _is_by_member(own) else density
            found += _assign_to_member(at, chains, own)
    return found


def _is_by_member(starts: Any) -> bool:
    """Return whether where chains start depends on the numbers in a model."""
    if isinstance(starts, list):
        return any(map(_is_by_member, starts))
    return isinstance(starts, Jitter | OnInitial) or starts == "mean" or starts == "median"


def count_chains(density: LogDensity, starts: Any) -> int | None:
    """Count the chains that starts are given for.

    Returns:
        The number; None if they are found by chance, so that any number makes sense.
    """
    if isinstance(starts, str):
        return 1 if starts in ("mean", "median", "initial") else None
    if isinstance(starts, list):
        return len(starts)
    if isinstance(starts, OnInitial):
        return count_chains(density, starts.values) or 1
    if isinstance(starts, Jitter):
        given = 1 if starts.around is None else count_chains(density, starts.around)
        return None if given == 1 and starts.radius else given
    shapes = {site.name: site.shape for site in density.latent}
    arrays = ((np.shape(value), shapes.get(name)) for name, value in starts.items())
    count = max([1, *(a[0] for a, shape in arrays if a and a[1:] == shape)])
    return None if count == 1 and shapes.keys() - starts.keys() else count


def _assign_to_member(density: LogDensity, chains: int, starts: Any) -> list[ChainStart]:
    """List where each chain of one member starts."""
    if isinstance(starts, str) and starts in ("mean", "median"):
        from .prior_centers import find_prior_centers

        return [find_prior_centers(density, starts)] * chains
    if isinstance(starts, str):
        _refuse_without_initial(density, starts)
        return [starts] * chains
    if isinstance(starts, Mapping):
        return _split_by_chain(density, chains, starts)
    if isinstance(starts, Near):
        return [starts] * chains
    if isinstance(starts, OnInitial):
        return _split_by_chain(density, chains, {**density.model.initial_values(), **starts.values})
    if isinstance(starts, Jitter):
        return _spread(density, chains, starts)
    if len(starts) != chains:
        raise StartError(
            "starts",
            f"a list of {len(starts)} is given for {chains} chains",
            f"Give one item for each chain, or chains={len(starts)}.",
        )
    return [begin for own in starts for begin in _assign_to_member(density, 1, own)]


def _spread(density: LogDensity, chains: int, jitter: Jitter) -> list[ChainStart]:
    """List near which values each chain of one member starts."""
    if jitter.around is None:
        return [Near(None, jitter.radius)] * chains
    centers = _assign_to_member(density, chains, jitter.around)
    initial, names = density.model.initial_values(), {site.name for site in density.latent}
    found: list[ChainStart] = []
    for center in centers:
        near = center.values if isinstance(center, Near) else center
        values = near if isinstance(near, Mapping) else initial
        found.append(Near({n: values[n] for n in names & values.keys()}, jitter.radius))
    return found


def _refuse_without_initial(density: LogDensity, word: str) -> None:
    missing = {site.name for site in density.latent} - density.model.initial_values().keys()
    if word == "initial" and missing:
        raise StartError(
            min(missing),
            'starts="initial" means the values that the model was made with, and it has none here',
            "Give values by name; only trees and Stan programs with initial= have initial values.",
        )


def _split_by_chain(
    density: LogDensity, chains: int, values: Mapping[str, Any]
) -> list[ChainStart]:
    """Split values by name into one start a chain, along the leading axis of chains, if any.

    Sites that are not named start as for "uniform".
    """
    shapes = {site.name: site.shape for site in density.latent}
    # A result also has derived values.
    derived = {site.name for site in density.sites if site.role == "derived"}
    if (others := derived & values.keys()) and shapes.keys() - values.keys():
        _refuse_derived(min(others), list(shapes))
    for name, value in values.items():
        refuse_units(name, value, "the start")
        refuse_masked(name, value, "the start", "Give a value for each entry.")
        refuse_foreign(name, value)
        refuse_traced(StartError, f"starts[{name!r}]", value)
    arrays = {n: np.asarray(value) for n, value in values.items() if n not in derived}
    each = [
        {
            n: np.asarray(a[c]) if a.shape == (chains, *shapes.get(n, ())) else a
            for n, a in arrays.items()
        }
        for c in range(chains)
    ]
    for own in each:
        refuse_misnamed(own, density.latent, partial=True)
    return [own if shapes.keys() <= own.keys() else Near(own, 0.0) for own in each]


def _refuse_derived(name: str, latent: list[str]) -> None:
    """Raise for values of some sites of which one is computed from others."""
    if latent == [FLAT_SITE]:
        mend = 'Give initial= to the model, and starts="initial".'
    else:
        mend = f"Give values of latent sites instead: {join_names(latent)}."
    raise ModelError(
        name, "a chain cannot start at it, since it is computed from other sites", mend
    )
