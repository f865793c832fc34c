"""Add groups to ArviZ data, without changing the object that was given."""

from collections.abc import Mapping
from typing import Any

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
