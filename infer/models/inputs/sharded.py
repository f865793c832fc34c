"""Data whose rows are divided over devices: each holds an equal part of them."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ...errors import ModelError

# The axis of a mesh over which rows are divided.
ROWS = "rows"
# What `infer.data(..., shard=)` takes.
SHARDS = ("row",)


def read_shard(shard: str | None) -> bool:
    """Return whether rows are to be divided.

    Raises:
        ModelError: There is no such axis.
    """
    if shard is None or shard in SHARDS:
        return shard is not None
    raise ModelError(
        "infer.data",
        f"shard={shard!r} names no axis",
        'Only rows, which are the first axis, can be divided over devices: shard="row".',
    )


def divide_rows(name: str, value: Any, devices: Sequence[Any]) -> jax.Array:
    """Divide the rows of an array over devices, without putting all of it on one of them.

    Raises:
        ModelError: The array has no rows, or their number is not a multiple of that of the devices.
    """
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    if array.ndim == 0:
        raise ModelError(
            name,
            'it is marked with shard="row", but it is a single number without rows',
            "Mark only arrays whose first axis is the rows; numbers are copied to all devices.",
        )
    refuse_uneven_rows(name, len(array), len(devices))
    mesh = Mesh(np.array(devices), (ROWS,))
    return jax.device_put(array, NamedSharding(mesh, PartitionSpec(ROWS)))


def refuse_uneven_rows(name: str, rows: int, devices: int) -> None:
    """Raise if rows cannot be divided equally over devices."""
    more = -rows % devices
    if more:
        raise ModelError(
            name,
            f"its {rows} rows cannot be divided equally over {devices} devices",
            f"Append {more} row{'s' * (more > 1)} with a weight of 0 in the model, as on the page "
            '"Several devices"; or leave out some; or divide them over fewer devices: '
            "infer.data(x, shard='row', devices=jax.devices()[:n]).",
        )


def refuse_rows_of_several(leaves: Sequence[Any]) -> None:
    """Raise if an array differs between models, and its rows are divided over devices."""
    if any(find_spec(leaf) is not None for leaf in leaves):
        raise ModelError(
            "models",
            "each has rows of its own that are divided over devices",
            "Divide only data that all models share, or call infer.sample for each model.",
        )


def read_own_rows(array: Any) -> np.ndarray:
    """Return an array on the host; if it is divided over processes, the rows of this one."""
    if not isinstance(array, jax.Array) or not is_over_processes(array):
        return np.asarray(array)
    return np.concatenate([np.asarray(own.data) for own in array.addressable_shards])


def is_over_processes(array: Any) -> bool:
    """Return whether some of an array is only on devices of other processes."""
    is_own = isinstance(array, Tracer) or not isinstance(array, jax.Array)
    return not (is_own or array.is_fully_addressable or array.is_fully_replicated)


def find_spec(leaf: Any) -> PartitionSpec | None:
    """Return which axes of an array are divided over devices; `None` if its rows are not."""
    sharding = getattr(leaf, "sharding", None)
    return sharding.spec if isinstance(sharding, NamedSharding) and _has_rows(sharding) else None


def _has_rows(sharding: NamedSharding) -> bool:
    return ROWS in sharding.spec


def find_row_devices(leaf: Any) -> tuple[Any, ...]:
    """Return the devices over which the rows of an array are divided, in order; or none."""
    return tuple(leaf.sharding.mesh.devices.flat) if find_spec(leaf) is not None else ()
