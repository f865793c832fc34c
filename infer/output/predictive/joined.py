"""What was drawn for each of several models, joined along a dimension of models."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import NamedTuple

import numpy as np
import xarray

from ...models.model import Model
from ...models.protocol.account import Account
from ...models.protocol.site import Dims
from ..data.arviz import SET, make_dataset
from .simulate import Arrays, Simulated


class Made(NamedTuple):
    """What was drawn for one model, and its data.

    Attributes:
        drawn: Arrays of shape (chains, draws, *site) by group and name.
        data: The model's own arrays, by group and name.
        dims: Names of the axes of what was drawn, by name.
        data_dims: Names of the axes of the model's own arrays, by name.
        coords: Coordinates of the named axes.
    """

    drawn: dict[str, Arrays]
    data: dict[str, Arrays]
    dims: Mapping[str, Dims]
    data_dims: Mapping[str, Dims]
    coords: Mapping[str, np.ndarray]


def make(model: Model, found: Simulated, account: Account, drawn: dict[str, Arrays]) -> Made:
    """Gather what was drawn, and the data of a model: observed, and constant."""
    constant = {n: a for n, a in model.constants().items() if n not in account.observed}
    data = {"observed_data": found.observed, "constant_data": constant}
    # Drawn sites are in other groups; data of the same name have their own axes.
    named = account.observed.keys() | account.frozen.keys()
    own = {name: dims for name, dims in account.dims.items() if name in named}
    return Made(drawn, data, account.dims, own, model.labels.coords)


def join(each: Iterable[Made], sets: int | None) -> dict[str, xarray.Dataset]:
    """Make the groups of one model, or of several with a dimension of models.

    Args:
        each: What was made for each model; only one of them is in memory at a time.
        sets: Number of models; `None` for a single one.
    """
    others = iter(each)
    first = next(others)
    own = first if sets is None else _stack(first, others, sets)
    names = () if sets is None else (SET,)
    groups = {
        group: make_dataset(dims, own.coords, arrays, (*lead, *names))
        for kind, dims, lead in (
            (own.drawn, own.dims, ("chain", "draw")),
            (own.data, own.data_dims, ()),
        )
        for group, arrays in kind.items()
    }
    return {name: group for name, group in groups.items() if group.data_vars}


def _stack(first: Made, others: Iterable[Made], sets: int) -> Made:
    """Write what was made for each model into arrays with an axis of models."""
    kinds = [("drawn", 2), ("data", 0)]
    whole = [_make_room(getattr(first, kind), lead, sets) for kind, lead in kinds]
    for index, made in enumerate(chain((first,), others)):
        for (kind, lead), into in zip(kinds, whole, strict=True):
            _write(into, getattr(made, kind), lead, index)
    return first._replace(drawn=whole[0], data=whole[1])


def _make_room(groups: dict[str, Arrays], lead: int, sets: int) -> dict[str, Arrays]:
    return {
        group: {
            name: np.empty((*a.shape[:lead], sets, *a.shape[lead:]), a.dtype)
            for name, a in arrays.items()
        }
        for group, arrays in groups.items()
    }


def _write(into: dict[str, Arrays], groups: dict[str, Arrays], lead: int, index: int) -> None:
    for group, arrays in groups.items():
        for name, array in arrays.items():
            into[group][name][(slice(None),) * lead + (index,)] = array
