"""Groups that a store holds on request: they are made whenever draws of a chunk are converted."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray

from ...density.family import Family
from ..data.arviz import SET, make_dataset
from ..predictive.pointwise import outline_part
from ..predictive.requested import PARTS, UNCONSTRAINED, split_positions
from ..predictive.rowwise import Part, compute_part

Values = Mapping[str, np.ndarray]


def outline_included(
    family: Family, names: Sequence[str], chains: int, positions: np.ndarray
) -> dict[str, xarray.Dataset]:
    """Return the groups for one draw, of which only the shapes matter; compiles nothing.

    Args:
        family: The log densities.
        names: Names of the groups.
        chains: Number of chains of each density.
        positions: Shape (chains of all densities, 1, size).
    """
    lead = chains, 1, *_sets(family)
    parts = {part: _make_zeros(family, part, lead) for part in PARTS if part in names}
    return parts | _split(family, names, positions)


def compute_included(
    family: Family, names: Sequence[str], values: Values, positions: np.ndarray, chunk: int
) -> dict[str, xarray.Dataset]:
    """Compute the groups for the first draws of a chunk.

    The programs take draws in the order of time, and always as many as a chunk has. So they compile
    once, and the last bits of a draw do not depend on how many draws follow.

    Args:
        family: The log densities.
        names: Names of the groups.
        values: Latent sites, shape (chains, draws, *site) or (chains, draws, data sets, *site).
        positions: Shape (chains of all densities, draws, size).
        chunk: Number of draws in a chunk.
    """
    parts = {part: _compute(family, part, values, chunk) for part in PARTS if part in names}
    return parts | _split(family, names, positions)


def _compute(family: Family, part: Part, values: Values, chunk: int) -> xarray.Dataset:
    models = [family.member(i).model for i in range(family.count)]
    outline, count = outline_part(models[0], part), next(iter(values.values())).shape[1]
    places = np.minimum(np.arange(chunk), count - 1)
    by_draw = {name: np.swapaxes(values[name], 0, 1)[places] for name in outline.sites or values}
    sets = family.count if family.count > 1 else None
    turned = compute_part(models, by_draw, part, outline, sets)
    group = turned.rename({"chain": "draw", "draw": "chain"}).isel(draw=slice(count))
    return group.transpose("chain", "draw", ...)


def _make_zeros(family: Family, part: Part, lead: tuple[int, ...]) -> xarray.Dataset:
    model = family.member(0).model
    outline = outline_part(model, part)
    zeros = {n: np.zeros((*lead, *kind.shape), kind.dtype) for n, kind in outline.rows.items()}
    names = ("chain", "draw", SET)[: len(lead)]
    return make_dataset(outline.dims, model.labels.coords, zeros, names)


def _split(
    family: Family, names: Sequence[str], positions: np.ndarray
) -> dict[str, xarray.Dataset]:
    if UNCONSTRAINED not in names:
        return {}
    return {UNCONSTRAINED: split_positions(family, positions)}


def _sets(family: Family) -> tuple[int, ...]:
    return (family.count,) if family.count > 1 else ()
