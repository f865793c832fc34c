"""What a prediction takes from the posterior, what it continues, and what it draws."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray

from bijectors.sets.discrete import Discrete

from ...errors import ModelError, warn_of_model
from ...models.inputs.names import join_names
from ...models.model import Model
from ...models.priors.continued import SeriesPrior, series_axis
from ...models.protocol.site import Declaration
from .aligned import NEW, Match, match_axes, match_site, read_axes, refuse_other_steps
from .simulate import Arrays, Given, Outline, outline
from .site_draws import flatten_draws
from .source import Source


class Plan(NamedTuple):
    """What a prediction takes from the posterior, what it continues, and what it draws.

    Attributes:
        given: What is known; its values have the posterior's shapes and a leading axis of draws.
        fit: Makes of a slice of these values what the model takes.
        drawn: Latent sites that are drawn, in whole or in part.
    """

    given: Given
    fit: Callable[[Arrays], Arrays]
    drawn: tuple[str, ...]


def make_plan(model: Model, source: Source, redraw: Sequence[str]) -> Plan:
    """Match the sites of a model with a posterior.

    Raises:
        ModelError: They do not fit each other, or `redraw` names no site.
    """
    found, coords = outline(model), model.labels.coords
    _refuse_unknown(redraw, found)
    latent = {d.name: d for d in found.account.declarations}
    taken = [name for name in source.values if name in latent and name not in redraw]
    each = ((name, _match(latent[name], source, coords, found)) for name in taken)
    matches = {name: match for name, match in each if match is not None}
    # Other entries are missing in other data; whatever they were, new ones are predicted.
    taken = [n for n in taken if n not in matches or not _is_gap(n, found)]
    _warn_of_missing(latent, taken, redraw, source, found)
    continued = _match_observed(found, taken, source, coords, redraw)
    _warn_of_other_rows(matches | continued, model.constants(), source)
    history = {
        name: _fill_up(source.groups["observed_data"][name].values, match, name in latent)
        for name, match in continued.items()
    }
    known = {n: m.known() for n, m in matches.items()} | {n: k for n, (_, k) in history.items()}
    values = {n: flatten_draws(source.values[n]) for n in taken}
    given = Given(
        values,
        {name: own for name, (own, _) in history.items()},
        {name: own for name, own in known.items() if own is not None},
    )
    # These priors continue a series themselves.
    moved = {n: m for n, m in matches.items() if not _is_continued_by_prior(latent[n], m)}
    fit = lambda own: {n: moved[n].take(a) if n in moved else a for n, a in own.items()}  # noqa: E731
    drawn = [n for n in latent if n not in taken or known.get(n) is not None]
    return Plan(given, fit, tuple(n for n in drawn if not _is_gap(n, found)))


def _match(
    site: Declaration, source: Source, coords: Mapping[str, np.ndarray], found: Outline
) -> Match | None:
    """Match a latent site with the posterior; `None` if it has the same entries."""
    shape = source.values[site.name].shape[2:]
    old = read_axes(shape, source.dims.get(site.name, ()), source.coords)
    new = read_axes(site.shape, site.dims, coords)
    if _is_gap(site.name, found) and [a.size for a in old] != [a.size for a in new]:
        return Match(())
    return match_site(site, old, new, found.scans)


def _is_continued_by_prior(site: Declaration, match: Match) -> bool:
    return series_axis(site.prior) is not None and any(NEW in own for own in match.indices)


def _is_gap(name: str, found: Outline) -> bool:
    """Return whether a latent site stands for missing entries of an observation."""
    whole = name.removesuffix(".missing")
    return whole != name and whole in found.shapes


def _refuse_unknown(redraw: Sequence[str], found: Outline) -> None:
    names = [d.name for d in found.account.declarations] + list(found.shapes)
    if isinstance(redraw, str):
        raise ModelError("redraw", f"it is {redraw!r}", f"Give a list: redraw=[{redraw!r}].")
    for name in redraw:
        if name not in names:
            raise ModelError(
                name,
                "redraw names it, but the model has no such latent site or observation",
                f"Its sites are {join_names(names)}.",
            )


def _warn_of_missing(
    latent: Mapping[str, Declaration],
    taken: Sequence[str],
    redraw: Sequence[str],
    source: Source,
    found: Outline,
) -> None:
    """Warn of sites that the posterior should have, since they were neither observed nor named."""
    observed = source.groups.get("observed_data", {})
    expected = set(latent) - set(taken) - set(redraw) - set(map(str, observed))
    for name in sorted(name for name in expected if not _is_gap(name, found)):
        if latent[name].prior is not None:
            is_summed = isinstance(latent[name].constraint, Discrete)
            draw = "infer.recover(model, posterior) draws it given the data. " if is_summed else ""
            warn_of_model(
                name,
                "the posterior does not have it, so it is drawn from its prior",
                f"{draw}If that is meant, say so: redraw=[{name!r}].",
            )


def _warn_of_other_rows(
    matches: Mapping[str, Match], constants: Mapping[str, np.ndarray], source: Source
) -> None:
    """Warn if data along an axis that grew do not begin with those that the posterior saw."""
    before = source.groups.get("constant_data", xarray.Dataset())
    names = sorted(constants.keys() & set(before))
    cases = [
        (name, old, key)
        for name, match in matches.items()
        for old, new in match.grown
        for key in names
        if _begins_otherwise(constants[key], before[key].values, new, old)
    ]
    for name, old, key in cases:
        warn_of_model(
            name,
            f"its first {old} entries are taken for those of the posterior, but the first {old} "
            f"rows of {key!r} are not those that the posterior was made from",
            "Give the rows that were seen and then the new ones, or coordinates.",
        )


def _begins_otherwise(rows: np.ndarray, seen: np.ndarray, new: int, old: int) -> bool:
    """Return whether rows along an axis that grew do not begin with those that were seen."""
    along = rows.shape[:1] == (new,) and seen.shape[:1] == (old,)
    return along and not np.array_equal(rows[:old], seen)


def _match_observed(
    found: Outline,
    taken: Sequence[str],
    source: Source,
    coords: Mapping[str, np.ndarray],
    redraw: Sequence[str],
) -> dict[str, Match]:
    """Match what was observed in the first steps of each scan that has more steps now."""
    observed = source.groups.get("observed_data", xarray.Dataset())
    series = {d.name: d for d in found.account.declarations if isinstance(d.prior, SeriesPrior)}
    shapes = {n: s for n, s in found.shapes.items() if n in found.scans}
    shapes |= {n: d.shape for n, d in series.items() if n not in taken}
    matches = {}
    for name, shape in shapes.items():
        if name in redraw or name not in observed or observed[name].shape[0] >= shape[0]:
            continue
        own = observed[name]
        labels = {str(n): np.asarray(a) for n, a in own.coords.items()}
        old = read_axes(own.shape, tuple(map(str, own.dims)), labels)
        new = read_axes(shape, found.account.dims[name], coords)
        match = match_axes(name, old, new)
        refuse_other_steps(name, match.indices[0], len(own), found.scans.get(name, False))
        matches[name] = match
    return matches


def _fill_up(
    observed: np.ndarray, match: Match, is_latent: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what was observed with the model's shape, and which entries of it are known.

    A series that is latent in the model continues what was observed by its prior.
    """
    if is_latent:
        return observed, None
    whole, known = match.take(observed[None])[0], match.known()
    if not np.issubdtype(whole.dtype, np.inexact):
        return whole, known
    return np.nan_to_num(whole), known & ~np.isnan(whole)
