"""Choose the places at which programs run, and put arrays there.

A place is one device; or, if rows of the data are divided, the devices over which they are.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from ..density.family import Family
from ..errors import RunError
from ..models.inputs.data import leaf_names
from ..models.inputs.names import join_names
from ..models.inputs.sharded import ROWS, find_row_devices, find_spec, refuse_uneven_rows
from .processes import is_own
from .sharing import Place, count_cores

CHAINS = "chains"
# What `devices=` takes.
Devices = Sequence[Any] | Mesh


def put(tree: Any, place: Place) -> Any:
    """Put arrays at a place: rows are divided over its devices, other arrays are on each."""
    by_id = {device.id: device for device in jax.devices()}
    devices = [by_id[i] for i in place]
    return jax.device_put(tree, jax.tree.map(lambda leaf: _choose_sharding(leaf, devices), tree))


def agree(number: Any, place: Place) -> Any:
    """Return what the first process gives, if several run a place: their clocks differ."""
    if jax.process_count() == 1 or is_own(place):
        return number
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(np.asarray(number)))


def are_elsewhere(devices: Devices | None) -> bool:
    """Return whether some of the devices that the user gave belong to other processes."""
    given = devices.devices.flat if isinstance(devices, Mesh) else devices or ()
    return any(getattr(own, "process_index", 0) != jax.process_index() for own in given)


def _choose_sharding(leaf: Any, devices: list[Any]) -> Sharding:
    if len(devices) == 1:
        return SingleDeviceSharding(devices[0])
    return NamedSharding(Mesh(np.array(devices), (ROWS,)), find_spec(leaf) or PartitionSpec())


def choose_places(family: Family, devices: Devices | None) -> tuple[Place, ...]:
    """Choose the places of a run, before anything compiles.

    Args:
        family: The log densities.
        devices: What the user gave: devices, or a mesh with the axes "chains" and "rows".

    Returns:
        The places; none if everything stays on the default device, or where the user has put it.

    Raises:
        RunError: The devices cannot be used together, or not for these data.
        ModelError: The rows of an array cannot be divided over the devices of a place.
    """
    divided = _list_divided(family)
    grid = _choose_by_data(family, divided) if devices is None else _read(devices, bool(divided))
    if grid.shape[1] > 1:
        _refuse_undivided(divided)
    for name, rows in divided.items():
        refuse_uneven_rows(name, rows, max(grid.shape[1], 1))
    return tuple(tuple(device.id for device in row) for row in grid)


def _list_divided(family: Family) -> dict[str, int]:
    """Return the number of rows of each array whose rows are divided, by name."""
    density = family.member(0)
    pairs = zip(leaf_names(density.model), jax.tree.leaves(density.model), strict=True)
    return {name: len(leaf) for name, leaf in pairs if find_spec(leaf) is not None}


def _choose_by_data(family: Family, divided: dict[str, int]) -> np.ndarray:
    """Return devices of shape (chains, rows): those of the data, or all local ones."""
    leaves = [leaf for leaf in jax.tree.leaves(family.shared) if isinstance(leaf, jax.Array)]
    if divided:
        return np.array([next(filter(None, map(find_row_devices, leaves)))])
    is_chosen = getattr(jax.config, "jax_default_device", None) is not None
    if is_chosen or any(leaf.committed for leaf in leaves):
        return np.zeros((0, 0), object)
    own = jax.local_devices()
    # More devices than cores would only take turns, and each compiles.
    most = count_cores() if own[0].platform == "cpu" else len(own)
    return np.array(own[:most])[:, None]


def _read(devices: Devices, has_rows: bool) -> np.ndarray:
    """Return devices that the user gave, in shape (chains, rows)."""
    if not isinstance(devices, Mesh):
        own = _refuse_unusable(list(devices))
        return np.array([own]) if has_rows else np.array(own)[:, None]
    names = devices.axis_names
    unknown = sorted(set(names) - {CHAINS, ROWS})
    if unknown:
        raise RunError(
            "devices",
            f"the mesh has the {'axes' if len(unknown) > 1 else 'axis'} "
            f"{join_names(list(map(repr, unknown)))}",
            f'Its axes must be "{CHAINS}", "{ROWS}" or both, as in '
            'jax.make_mesh((2, 2), ("chains", "rows")).',
        )
    _refuse_unusable(list(devices.devices.flat))
    grid = devices.devices if CHAINS in names else devices.devices[None]
    grid = grid if ROWS in names else grid[..., None]
    return grid if names[0] == CHAINS or len(names) == 1 else grid.T


def _refuse_unusable(devices: list[Any]) -> list[Any]:
    """Raise unless these are different local devices of one kind, that of the default backend."""
    found, mend = "", "Choose from jax.local_devices(), or leave it out to use all of them."
    if not devices:
        found = "there are none"
    elif others := [d for d in devices if not isinstance(d, jax.Device)]:
        found = f"{others[0]!r} is not a device of JAX"
    elif len(set(devices)) < len(devices):
        found = "a device is given twice"
    elif len(kinds := {f"{d.platform} ({d.device_kind})": 0 for d in devices}) > 1:
        found = f"there are devices of several kinds: {join_names(list(kinds))}"
    elif devices[0].platform != jax.default_backend():
        platform = devices[0].platform
        found = f"they are of the platform {platform}, but JAX uses {jax.default_backend()}"
        mend = f'Call jax.config.update("jax_platforms", "{platform}") before anything else.'
    if found:
        raise RunError("devices", found, mend)
    return devices


def _refuse_undivided(divided: dict[str, int]) -> None:
    if not divided:
        raise RunError(
            "devices",
            'the mesh has an axis "rows", but no data are divided by row',
            'Mark the data when the model is made, as in infer.model(f, x=infer.data(x, shard="row"'
            ")), or give the devices in a list, so that each has chains of its own.",
        )
