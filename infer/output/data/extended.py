"""Add groups to ArviZ data, without changing the object that was given."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray

from .origin import pass_run_on
from .versions import as_arviz, groups_of

# Groups that describe what a result was made from; they are never replaced.
DATA = ("observed_data", "constant_data")


def add_groups(given: Any, groups: Mapping[str, xarray.Dataset]) -> Any:
    """Return ArviZ data with the groups of a result and new ones, which replace those of one name.

    Arrays are shared, not copied. `verdict` and its like take the extended result as they take the
    given one.

    Args:
        given: ArviZ data, a dictionary of datasets, or `None` for the new groups alone.
        groups: New groups by name; data of the model are added only if `given` has none.
    """
    if given is None:
        return as_arviz(groups, {})
    old = groups_of(given)
    new = {name: group for name, group in groups.items() if name not in DATA or name not in old}
    result = as_arviz(old | new, getattr(given, "attrs", {}) or {})
    pass_run_on(given, result)
    return result


def is_made_from(
    own: Sequence[xarray.Dataset], drawn: xarray.Dataset, old: Sequence[xarray.Dataset]
) -> bool:
    """Return whether the data of a model are those that a result was made from.

    Observations without data are the same if they have the shape and the coordinates of those
    that were observed.

    Args:
        own: The groups of data of the model.
        drawn: Predictions, with leading dimensions of chains and draws.
        old: The groups of data of the result.
    """
    before, now = (
        {name: array for group in groups for name, array in group.data_vars.items()}
        for groups in (old, own)
    )
    if any(name not in before or not _has_values(a, before[name]) for name, a in now.items()):
        return False
    names = [name for name in before if name in drawn]
    each = (drawn[name].isel(chain=0, draw=0, drop=True) for name in names)
    return all(_has_axes(a, before[name]) for name, a in zip(names, each, strict=True))


def _has_values(one: xarray.DataArray, other: xarray.DataArray) -> bool:
    same = _has_axes(one, other)
    nan = same and all(np.issubdtype(a.dtype, np.inexact) for a in (one, other))
    return same and np.array_equal(one.values, other.values, equal_nan=nan)


def _has_axes(one: xarray.DataArray, other: xarray.DataArray) -> bool:
    """Return whether two arrays have one shape, and the same coordinates if both have some."""
    both = set(one.coords) & set(other.coords)
    return one.shape == other.shape and all(
        np.array_equal(one.coords[name].values, other.coords[name].values) for name in both
    )
