"""Refuse names that a result could not hold: ArviZ data has one name for each axis and variable."""

from collections.abc import Iterable

from ..errors import ModelError
from .site import Site

# Axes that every result may have: chains, draws, and the data sets of several models.
AXES = ("chain", "draw", "dataset")


def refuse_clashes(sites: Iterable[Site]) -> None:
    """Raise if a site or a dimension cannot keep its name in ArviZ data.

    Raises:
        ModelError: A site or a dimension is named like an axis of every result, or a site like a
            dimension, or two axes of a site have one name.
    """
    sites = list(sites)
    owners = {dim: site.name for site in sites for dim in _axes(site)}
    for site in sites:
        own = _axes(site)
        if taken := [dim for dim in own if dim in AXES]:
            _refuse(
                site.name,
                f"its dimension {taken[0]!r}",
                "is an axis of every result",
                "the dimension",
            )
        if len(set(own)) < len(own):
            twice = next(dim for dim in own if own.count(dim) > 1)
            _refuse(
                site.name,
                f"its dimension {twice!r}",
                "is the name of two of its axes",
                "the dimension",
            )
        if site.name in AXES:
            _refuse(site.name, "its name", "is that of an axis of every result", "the site")
        if site.name in owners:
            why = f"is that of a dimension of {owners[site.name]!r}"
            _refuse(site.name, "its name", why, "the site or the dimension")


def _axes(site: Site) -> tuple[str, ...]:
    """Name the axes of a site as a result does."""
    dims = site.dims or (None,) * len(site.shape)
    return tuple(dim or f"{site.name}_dim_{i}" for i, dim in enumerate(dims))


def _refuse(name: str, what: str, why: str, where: str) -> None:
    raise ModelError(
        name, f"{what} {why}, so that no result could hold both", f"Give another name to {where}."
    )
