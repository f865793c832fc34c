"""Refuse names that clash in ArviZ data, where axes and variables share one set of names."""

from collections.abc import Mapping

from ...errors import ModelError
from .site import Dims

# Axes that every result may have: chains, draws, and the data sets of several models.
AXES = ("chain", "draw", "dataset")


def refuse_clashes(dims: Mapping[str, Dims]) -> None:
    """Raise if a site or a dimension cannot keep its name in ArviZ data.

    Args:
        dims: A name, or None, for each axis of each site.

    Raises:
        ModelError: A site or a dimension is named like an axis of every result, or a site like a
            dimension, or two axes of a site have one name.
    """
    axes = {name: _named(name, own) for name, own in dims.items()}
    owners = {dim: name for name, own in axes.items() for dim in own}
    for name, own in axes.items():
        if taken := [dim for dim in own if dim in AXES]:
            _refuse(
                name,
                f"its dimension {taken[0]!r}",
                "is an axis of every result",
                "the dimension",
            )
        if len(set(own)) < len(own):
            twice = next(dim for dim in own if own.count(dim) > 1)
            _refuse(
                name,
                f"its dimension {twice!r}",
                "is the name of two of its axes",
                "the dimension",
            )
        if name in AXES:
            _refuse(name, "its name", "is that of an axis of every result", "the site")
        if name in owners:
            why = f"is that of a dimension of {owners[name]!r}"
            _refuse(name, "its name", why, "the site or the dimension")


def _named(name: str, dims: Dims) -> tuple[str, ...]:
    """Name the axes of a site as results do."""
    return tuple(dim or f"{name}_dim_{i}" for i, dim in enumerate(dims))


def _refuse(name: str, what: str, why: str, where: str) -> None:
    raise ModelError(
        name, f"{what} {why}, so that no result could hold both", f"Give another name to {where}."
    )
