"""Find the shape and dimension names of a site from its prior, dims, plates and coords."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.base import Shape

from ...counts import Sizes, as_shape
from ...errors import ModelError
from ..inputs.names import is_name
from .site import Dims


class Plate(NamedTuple):
    """A dimension along which sites repeat independently.

    Attributes:
        name: Name of the dimension.
        size: How often they repeat.
        minibatch: How many rows a step sees; `None` for all.
        rows: The rows seen now; `None` for all.
    """

    name: str
    size: int
    minibatch: int | None = None
    rows: Array | None = None

    @property
    def seen(self) -> int:
        """Number of the rows seen now."""
        return self.size if self.rows is None else self.rows.shape[0]


Plates = tuple[Plate, ...]


class Layout(NamedTuple):
    """The batch shape of a site, and a name or `None` for each axis of a value."""

    batch_shape: Shape
    dims: Dims


def as_dims(dims: str | Sequence[str | None] | None) -> Dims:
    """Read `dims="school"` as one name."""
    if dims is None:
        return ()
    names = (dims,) if isinstance(dims, str) else dims
    if not isinstance(names, Iterable) or not all(n is None or is_name(n) for n in names):
        mend = 'Give a name for each axis, or None: dims="school", or dims=("school", None).'
        raise ModelError("dims", f"{dims!r} are no names", f"{mend} A name has no '/'.")
    return tuple(names)


def refuse_repeated(dims: Mapping[str, Dims]) -> None:
    """Raise if two axes of a site have the same name, which results could not tell apart."""
    for site, names in dims.items():
        twice = [name for i, name in enumerate(names) if name is not None and name in names[:i]]
        if twice:
            other = f"{twice[0]}_2"
            raise ModelError(
                site,
                f"two of its axes are called {twice[0]!r}",
                f"Give one of them, or its plate, a name of its own, such as {other!r}, with the "
                "same coords.",
            )


def lay_out(
    name: str,
    own_batch: Shape,
    event_shape: Shape,
    dims: Dims,
    plates: Plates,
    coords: Mapping[str, np.ndarray],
    shape: Sizes | None = None,
) -> Layout:
    """Spread a distribution over its named axes and the plates around it.

    `dims` name batch axes, then event axes. Plates are the rightmost batch axes, the
    outermost last, as in NumPyro, so that values of an outer plate broadcast in an inner one.

    Args:
        name: The site, for errors.
        own_batch: Batch shape of the distribution itself.
        event_shape: Event shape of the distribution.
        dims: Names the user gave.
        plates: Those around the site, outermost first; each counts in full.
        coords: Values of each dimension; their number is its size.
        shape: Batch shape the user asked for, plates not included.

    Raises:
        ModelError: A name has no size, or the sizes do not fit together.
    """
    event_dims, batch_dims = _split(name, dims, len(event_shape), tuple(p.name for p in plates))
    plate_dims = tuple(plate.name for plate in reversed(plates))
    plate_shape = tuple(plate.size for plate in reversed(plates))
    shape = None if shape is None else as_shape(name, shape)
    rank = max(len(own_batch), len(batch_dims) + len(plates), len(shape or ()) + len(plates))
    names = (None,) * (rank - len(batch_dims) - len(plates)) + batch_dims + plate_dims
    given = (None,) * (rank - len(own_batch)) + own_batch
    asked = (shape or ()) + plate_shape
    asked = (None,) * (rank - len(asked)) + asked
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


def _size(
    name: str, dim: str | None, had: int | None, want: int | None, coords: Mapping[str, np.ndarray]
) -> int:
    known = len(coords[dim]) if dim is not None and dim in coords else None
    sizes = {size for size in (had, want, known) if size not in (None, 1)}
    if len(sizes) > 1:
        said = {"the prior": had, "the plate or shape": want, f"coords[{dim!r}]": known}
        sources = " and ".join(f"{size} by {what}" for what, size in said.items() if size in sizes)
        axis = "an axis" if dim is None else f"the axis {dim!r}"
        raise ModelError(
            name,
            f"{axis} has size {sources}",
            "Make the sizes agree; only axes of size 1 are spread. A prior that is expanded "
            "already needs no shape.",
        )
    if dim is not None and had is want is known is None:
        raise ModelError(
            name,
            f"dimension {dim!r} has no size: no coords name it and the prior has no such axis",
            f"Give coords={{{dim!r}: [...]}}, or a shape.",
        )
    return sizes.pop() if sizes else 1


def can_spread(shape: Shape, target: Shape) -> bool:
    """Return whether an array of one shape can be broadcast to another."""
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


def take_seen_rows(value: Array, plates: Plates, batch_ndims: int) -> Array:
    """Take the rows that the plates show, from a value declared in full."""
    for depth, plate in enumerate(plates):
        if plate.rows is not None:
            value = jnp.take(value, plate.rows, axis=batch_ndims - 1 - depth)
    return value


def compute_row_weight(plates: Plates) -> float:
    """Return how many rows each row that is seen stands for."""
    # Only a minibatch leaves rows out; a plate that shows all of its rows may have none.
    return math.prod((p.size / p.seen for p in plates if p.rows is not None), start=1.0)


def refuse_hidden(name: str, batch_shape: Shape, plates: Plates) -> None:
    """Raise if the rightmost axes are not the rows that the plates show.

    Raises:
        ModelError: An axis is missing, or holds another number of rows.
    """
    shown = tuple(plate.seen for plate in reversed(plates))
    if batch_shape[len(batch_shape) - len(shown) :] == shown:
        return
    partial = [plate.name for plate in plates if plate.minibatch is not None]
    raise ModelError(
        name,
        f"it has batch shape {batch_shape}, but the plates around it show {shown} rows",
        f"Index it by the rows: with site.plate({partial[-1]!r}, ...) as rows: ... y[rows]."
        if partial
        else "Make its rightmost batch axes those of the plates, the outermost last.",
    )


def refuse_row_priors(name: str, own_batch: Shape, plates: Plates) -> None:
    """Raise if the prior of a latent site differs among the rows of a minibatch.

    Raises:
        ModelError: It does, so the prior of the rows that are not seen is not known.
    """
    for depth, plate in enumerate(plates):
        own = own_batch[-1 - depth] if depth < len(own_batch) else 1
        if plate.minibatch is not None and own != 1:
            raise ModelError(
                name,
                f"its prior differs from row to row of the plate {plate.name!r}, of which a "
                f"minibatch of {plate.minibatch} is seen",
                f"Declare it before the plate with a prior for all {plate.size} rows, and index "
                "its value by the rows that the plate yields.",
            )
