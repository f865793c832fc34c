"""The data of the models of a result, sorted into groups and stacked over data sets."""

from typing import Any

import jax
import numpy as np

from ...density.family import Family
from ...density.observed import find_observed_each
from ...models.inputs.sharded import is_over_processes
from .drawn import stack_datasets
from .values import compute_observed


def collect_data(family: Family) -> dict[str, dict[str, np.ndarray]]:
    """Sort the models' data into observed and constant, by the names of their sites.

    Returns:
        The groups; arrays of several models have a leading axis of data sets. They are empty if
        rows are divided over processes, none of which has them all.
    """
    if any(map(is_over_processes, jax.tree.leaves(family.shared))):
        return {}
    observed, constants = _collect_observed(family), _collect_constants(family)
    rest = {name: a for name, a in constants.items() if name not in observed}
    return {"observed_data": observed, "constant_data": rest}


def _collect_observed(family: Family) -> dict[str, np.ndarray]:
    found = find_observed_each(family) if family.count > 1 else None
    if found is not None:
        return found
    return stack_datasets([compute_observed(family.member(i)) for i in range(family.count)])


def _collect_constants(family: Family) -> dict[str, np.ndarray]:
    """Take constants from the stacks of the family if they are its arrays; else ask each model."""
    first = family.member(0).model.constants()
    if family.count == 1:
        return first
    found = {name: _find_stack(family, array) for name, array in first.items()}
    if all(stack is not None for stack in found.values()):
        return {name: np.array(stack) for name, stack in found.items()}
    return stack_datasets([family.member(i).model.constants() for i in range(family.count)])


def _find_stack(family: Family, array: np.ndarray) -> np.ndarray | None:
    """Return the stack of an array of the first member; None if it is none of the family's."""
    for shared, own in family.leaves():
        if own is None and _is_same(array, shared):
            return np.broadcast_to(array, (family.count, *array.shape))
        if own is not None and _is_same(array, own[0]):
            return own
    return None


def _is_same(array: np.ndarray, leaf: Any) -> bool:
    """Return whether an array is a leaf: the same numbers at the same place of the memory."""
    if (np.shape(leaf), getattr(leaf, "dtype", None)) != (array.shape, array.dtype):
        return False
    one, other = (np.asarray(a).__array_interface__ for a in (array, leaf))
    # Arrays without gaps have strides of None.
    return one["data"][0] == other["data"][0] and one["strides"] == other["strides"]
