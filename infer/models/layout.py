"""Settle the shape and dimension names of a site from its prior, dims, plates and coords."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bijectors.base import Shape

from ..errors import ModelError
from .site import Dims

Plates = tuple[tuple[str, int], ...]


class Layout(NamedTuple):
    """The settled batch shape of a site, and a name or `None` for each axis of a value."""

    batch_shape: Shape
    dims: Dims


def as_dims(dims: str | Sequence[str | None] | None) -> Dims:
    """Read `dims="school"` as one name."""
    if dims is None:
        return ()
    return (dims,) if isinstance(dims, str) else tuple(dims)


def lay_out(
    name: str,
    own_batch: Shape,
    event_shape: Shape,
    dims: Dims,
    plates: Plates,
    coords: Mapping[str, np.ndarray],
    shape: Shape | None = None,
) -> Layout:
    """Spread a distribution over its named axes and the plates around it.

    `dims` name batch axes, then event axes. Plates are the rightmost batch axes, the
    outermost last, as in NumPyro, so that values of an outer plate broadcast in an inner one.

    Args:
        name: The site, for errors.
        own_batch: Batch shape of the distribution itself.
        event_shape: Event shape of the distribution.
        dims: Names the user gave.
        plates: (name, size) of the plates around the site, outermost first.
        coords: Values of each dimension; their number is its size.
        shape: Batch shape the user asked for, plates not included.

    Raises:
        ModelError: A name has no size, or the sizes do not fit together.
    """
    event_dims, batch_dims = _split(name, dims, len(event_shape), tuple(p for p, _ in plates))
    plate_dims = tuple(plate for plate, _ in reversed(plates))
    plate_shape = tuple(size for _, size in reversed(plates))
    rank = max(len(own_batch), len(batch_dims) + len(plates), len(shape or ()) + len(plates))
    names = (None,) * (rank - len(batch_dims) - len(plates)) + batch_dims + plate_dims
    given = (1,) * (rank - len(own_batch)) + own_batch
    asked = (shape or ()) + plate_shape
    asked = (1,) * (rank - len(asked)) + asked
    batch_shape = tuple(
        _size(name, dim, had, want, coords)
        for dim, had, want in zip(names, given, asked, strict=True)
    )
    for dim, size in zip(event_dims, event_shape, strict=True):
        _size(name, dim, size, size, coords)
    return Layout(batch_shape, names + event_dims)


def _split(name: str, dims: Dims, event_ndims: int, plates: Dims) -> tuple[Dims, Dims]:
    if dims and len(dims) < event_ndims:
        raise ModelError(
            name,
            f"dims={dims} are fewer than the {event_ndims} axes of one value",
            "Name batch axes first, then every event axis; None leaves one unnamed.",
        )
    event = dims[len(dims) - event_ndims :] if dims else (None,) * event_ndims
    batch = tuple(d for d in dims[: len(dims) - event_ndims] if d is None or d not in plates)
    return event, batch


def _size(name: str, dim: str | None, had: int, want: int, coords: Mapping[str, np.ndarray]) -> int:
    known = len(coords[dim]) if dim is not None and dim in coords else 1
    sizes = {size for size in (had, want, known) if size != 1}
    if len(sizes) > 1:
        raise ModelError(
            name,
            f"dimension {dim!r} has size {known} in coords, where the prior has {had} "
            f"and the plate or shape {want}",
            "Make the sizes agree; only axes of size 1 are spread.",
        )
    if not sizes and dim is not None and dim not in coords and had == want == 1:
        raise ModelError(
            name,
            f"dimension {dim!r} has no size: no coords name it and the prior has no such axis",
            f"Give coords={{{dim!r}: [...]}}, or a shape.",
        )
    return sizes.pop() if sizes else 1
