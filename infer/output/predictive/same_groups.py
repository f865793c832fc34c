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
        result: ArviZ data with a posterior; anything else has no coordinates.

    Raises:
        ModelError: They have, or the same in another order.
    """
    if not (hasattr(result, "groups") or isinstance(result, Mapping)) or "posterior" not in result:
        return
    posterior = read_group(result, "posterior")
    for name in sites:
        for dim in posterior[name].dims if name in posterior else ():
            new = model.labels.coords.get(str(dim))
            if new is not None and dim in posterior.coords:
                _refuse_unless_same(name, str(dim), np.asarray(posterior.coords[dim]), new)


def _refuse_unless_same(name: str, dim: str, old: np.ndarray, new: np.ndarray) -> None:
    if np.array_equal(old, new):
        return
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
