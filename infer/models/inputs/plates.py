"""Plates with `shard=True`: the data that have a row for each of their repetitions are divided."""

from collections.abc import Mapping
from typing import Any, TypeVar

import jax

from ...errors import ModelError
from .data import leaf_names
from .sharded import divide_rows, find_row_devices, find_spec, refuse_uneven_rows

Tree = TypeVar("Tree")


def divide_plates(model: Tree, plates: Mapping[str, int]) -> Tree:
    """Divide the rows of plates over the devices of rows that are divided already, or over all.

    All arrays whose first axis is as long as a plate are divided. One that is no data of the plate
    may be among them, which changes no result: how an array is divided is not part of what a
    program computes.

    Args:
        model: A pytree whose leaves are data.
        plates: Sizes of the plates to divide, by name; if there are none, nothing is done.

    Raises:
        ModelError: No array has a row for each repetition, or their number is not a multiple of
            that of the devices.
    """
    if not plates:
        return model
    leaves, structure = jax.tree.flatten(model)
    given = next(filter(None, map(find_row_devices, leaves)), None)
    devices = jax.devices() if given is None else given
    for name, size in plates.items():
        if not any(_has_length(leaf, size) for leaf in leaves):
            raise ModelError(
                name,
                f"the plate has shard=True, but no data have {size} rows",
                "Give the model arrays whose first axis is the plate, without infer.static. What "
                "its function takes from elsewhere cannot be divided.",
            )
        refuse_uneven_rows(name, size, len(devices))
    sizes = set(plates.values())
    divided = [
        divide_rows(name, leaf, devices)
        if find_spec(leaf) is None and any(_has_length(leaf, size) for size in sizes)
        else leaf
        for name, leaf in zip(leaf_names(model), leaves, strict=True)
    ]
    return model if len(devices) == 1 else jax.tree.unflatten(structure, divided)


def refuse_plates_of_several(plates: Mapping[str, int]) -> None:
    """Raise if there are plates to divide, of several models in one call."""
    for name in plates:
        raise ModelError(
            name,
            "the plate has shard=True, and there are several models",
            "Call infer.sample for each of them, or leave shard=True out.",
        )


def _has_length(leaf: Any, size: int) -> bool:
    return getattr(leaf, "ndim", 0) > 0 and len(leaf) == size
