"""Plates of a model and the names of the axes of recorded values."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ....counts import Count, as_whole
from ....errors import ModelError
from ...protocol.account import Account
from ...protocol.layout import Plate, Plates
from ...protocol.minibatch import Minibatch, refuse_count
from ...protocol.reader import Reader
from ...protocol.site import Dims


def make_plate(name: str, size: int, count: Count | None, reader: Reader) -> Plate:
    """Make a plate, of which a step sees `count` rows that the reader chooses; `None` for all."""
    if count is None:
        return Plate(name, size)
    refuse_count(name, size, count)
    is_full = count == size
    rows = None if is_full else reader.rows(Minibatch(name, size, int(count)))
    return Plate(name, size, None if is_full else int(count), rows)


def refuse_minibatch(where: str, plates: Plates) -> None:
    """Raise if a scan, a `site.vmap` or a cond is inside a plate with a minibatch."""
    for plate in (plate for plate in plates if plate.minibatch is not None):
        raise ModelError(
            plate.name,
            f"a {where} is inside this plate, which has a minibatch",
            "Use all its rows: minibatch=None.",
        )


def divide_plate(plate: Plate, account: Account) -> None:
    """Record that the rows of a plate are divided over devices.

    Raises:
        ModelError: It has a minibatch, or another size than a plate of this name before.
    """
    if plate.minibatch is not None:
        raise ModelError(
            plate.name,
            "the plate has shard=True and a minibatch",
            "Divide rows whose terms are all summed at each step, or see some of them at a time.",
        )
    if account.divided.setdefault(plate.name, plate.size) != plate.size:
        raise ModelError(
            plate.name,
            f"the plate has {plate.size} rows here, and {account.divided[plate.name]} at an "
            "earlier plate of the same name that is divided, too",
            "Give the plates two names.",
        )


def index_rows(plate: Plate, is_divided: bool) -> Any:
    """Return what indexes data by the rows of a plate that are seen."""
    if is_divided:
        # XLA would copy all rows to every device to take them by their numbers.
        return slice(None)
    return jnp.arange(plate.size) if plate.rows is None else plate.rows


def plate_size(name: str, size: Any, coords: Mapping[str, np.ndarray]) -> int:
    """Return the size of a plate as a whole number, by default that of its coords, or refuse it."""
    if size is None and name not in coords:
        raise ModelError(
            name,
            "the plate has no size, and there are no coords of this name",
            f"Give plate({name!r}, size), or coords={{{name!r}: [...]}}.",
        )
    if size is None:
        return len(coords[name])
    mend = (
        "It must be known when the program is compiled: take it from the shape of an array, or "
        "pass a whole number or infer.static(n) to the model."
        if isinstance(size, Tracer)
        else "To repeat along an array x, give len(x)."
    )
    return as_whole(name, size, 0, error=ModelError, mend=mend)


def name_axes(
    name: str, value: Array, dims: Dims, plates: Plates, coords: Mapping[str, np.ndarray]
) -> Dims:
    """Name the axes of a recorded value: by `dims`, or else by the plates that fit.

    Raises:
        ModelError: There are more names than axes, or coords of another length.
    """
    if len(dims) > value.ndim:
        raise ModelError(
            name,
            f"dims={dims} name {len(dims)} axes of a value of shape {value.shape}",
            "Name each axis once; None leaves one unnamed.",
        )
    dims = dims or _plate_dims(value, plates)
    named = (None,) * (value.ndim - len(dims)) + dims
    _refuse_other_coords(name, value, named, plates, coords)
    return named


def _plate_dims(value: Array, plates: Plates) -> Dims:
    sizes = tuple(plate.seen for plate in reversed(plates))
    fits = plates and value.shape[value.ndim - len(sizes) :] == sizes
    return tuple(plate.name for plate in reversed(plates)) if fits else ()


def _refuse_other_coords(
    name: str, value: Array, dims: Dims, plates: Plates, coords: Mapping[str, np.ndarray]
) -> None:
    partial = {plate.name for plate in plates if plate.rows is not None}
    for dim, size in zip(dims, value.shape, strict=True):
        if dim is None or dim in partial or dim not in coords:
            continue
        if len(coords[dim]) != size:
            raise ModelError(
                name,
                f"dimension {dim!r} has {len(coords[dim])} coords, but the value "
                f"has shape {value.shape}",
                "Make the coords as long as the axis they name.",
            )
