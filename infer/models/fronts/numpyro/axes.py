"""Names of sites, and of the axes of their values that no plate names."""

from collections.abc import Mapping, Sequence
from typing import Any

from bijectors.base import Shape

from ....errors import ModelError


def fill_names(name: str, names: list, dims: Sequence[str | None], shape: Shape) -> list:
    """Name all axes, or those that have no name yet, from left to right."""
    free = [i for i, dim in enumerate(names) if dim is None]
    axes = list(range(len(names))) if len(dims) == len(names) else free
    if dims and len(dims) != len(axes):
        raise ModelError(
            name,
            f"dims={tuple(dims)} name {len(dims)} axes, but a value has shape {shape}, of which "
            f"{len(free)} have no plate's name",
            "Name these, or all axes; None leaves one as it is.",
        )
    named = dict(zip(axes, dims, strict=False))
    return [named.get(i) or old for i, old in enumerate(names)]


def own_name(msg: Mapping[str, Any]) -> str:
    """Return a site's name, with "." between scopes, as ours have, instead of NumPyro's "/".

    ArviZ separates its groups by "/".
    """
    return msg["name"].replace("/", ".")
