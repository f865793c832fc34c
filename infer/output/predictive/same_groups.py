"""Refuse a model whose groups are not those of a posterior, whose values are read in order."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...errors import ModelError
from ...models.model import Model
from ..data.versions import read_group
from .coordinates import find_coordinates


def refuse_other_groups(model: Model, sites: Iterable[str], result: Any) -> None:
    """Raise if dimensions of latent sites have other coordinates than in a posterior.

    Args:
        model: The model.
        sites: Names of its latent sites.
        result: ArviZ data with a posterior, an `Approximation` or an `Optimum`; values by name
            have no coordinates.

    Raises:
        ModelError: The coordinates differ, or come in another order.
    """
    dims, old = _read_coordinates(result)
    for name in sites:
        for dim in dims.get(name, ()):
            new = model.labels.coords.get(dim)
            if new is not None and dim in old:
                _refuse_unless_same(name, dim, np.asarray(old[dim]), new)


def _read_coordinates(result: Any) -> tuple[Mapping[str, Iterable[Any]], Mapping[Any, Any]]:
    """Return the dimensions of each site, and the coordinates of each dimension."""
    if (density := getattr(result, "density", None)) is not None:
        return {site.name: site.dims for site in density.latent}, density.model.labels.coords
    if not (hasattr(result, "groups") or isinstance(result, Mapping)) or "posterior" not in result:
        return {}, {}
    posterior = read_group(result, "posterior")
    return {str(name): own.dims for name, own in posterior.data_vars.items()}, posterior.coords


def _refuse_unless_same(name: str, dim: str, old: np.ndarray, new: np.ndarray) -> None:
    found = find_coordinates(name, f"the dimension {dim!r}", old, new)
    if not np.array_equal(found, np.arange(len(old))):
        raise ModelError(
            name,
            f"the posterior has other coordinates of the dimension {dim!r} than the model, or in "
            f"another order: the first are {_show(old)} and {_show(new)}",
            f"Give those of the posterior, model.with_coords({dim}=...), and data to match.",
        )


def _show(labels: np.ndarray) -> str:
    return ", ".join(str(label) for label in labels[:3])
