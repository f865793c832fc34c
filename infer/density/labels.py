"""Name the coordinates of the flat vector: "mu", "theta[Choate]", "L[2,1]"."""

from collections.abc import Mapping

import numpy as np

from ..models.protocol.site import Site


def label_coordinate(site: Site, entry: tuple[int, ...], coords: Mapping[str, np.ndarray]) -> str:
    """Name one coordinate of a site's part of the flat vector, by the index of its entry."""
    names = [_coordinate(site, axis, index, coords) for axis, index in enumerate(entry)]
    return f"{site.name}[{','.join(names)}]" if names else site.name


def _coordinate(site: Site, axis: int, index: int, coords: Mapping[str, np.ndarray]) -> str:
    """Name one index by the coords of its axis, unless the map mixes the entries of that axis."""
    dim = site.dims[axis] if axis < len(site.dims) else None
    flat, whole = site.unconstrained_shape, site.shape
    mixed = len(flat) == len(whole) and flat[axis] != whole[axis]
    return str(coords[dim][index] if dim is not None and dim in coords and not mixed else index)
