"""Arrays of xarray as values of sites: their axes and labels, in the order of the site's."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import ModelError
from ..abstract import run_abstractly
from ..inputs.stacked import refuse_stacked
from ..protocol.runnable import Runnable


def order_as_sites(model: Runnable, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Order the axes of arrays of xarray, and entries along them, as the model's sites do.

    Other values are returned unchanged, and so is what is given for no site of the model.

    Args:
        model: The model, whose coordinates are compared with those of the arrays.
        values: A value for each site, by name.

    Raises:
        ModelError: An array has other dimensions than its site, or other labels.
    """
    labelled = {name: value for name, value in values.items() if _is_labelled(value)}
    if not labelled:
        return values
    refuse_stacked(model)
    coords = getattr(getattr(model, "labels", None), "coords", {})
    dims = {site.name: site.dims for site in run_abstractly(model).sites}
    ordered = {
        name: _order_labels(name, _order_axes(name, value, dims[name]), coords)
        for name, value in labelled.items()
        if any(dims.get(name, ()))
    }
    return {**values, **ordered}


def _is_labelled(value: Any) -> bool:
    """Return whether a value is an array of xarray with axes; the library is not imported."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(value, xarray.DataArray) and value.ndim > 0


def _order_axes(name: str, value: Any, dims: tuple[str | None, ...]) -> Any:
    """Transpose an array of xarray; axes of the site without a name are called as in results."""
    names = tuple(dim or f"{name}_dim_{i}" for i, dim in enumerate(dims))
    if set(value.dims) != set(names):
        raise ModelError(
            name,
            f"its value is an array of xarray with dimensions {value.dims}, where the site has "
            f"{names}",
            "Rename or reduce them; or give value.to_numpy(), which is taken by position.",
        )
    return value.transpose(*names)


def _order_labels(name: str, value: Any, coords: Mapping[str, Any]) -> Any:
    """Order the entries of an array of xarray along each axis as the model's coordinates are."""
    for dim in [dim for dim in value.dims if dim in coords and dim in value.coords]:
        # As results have them: dates and whole numbers may be of other types in the model.
        labelled = type(value)(coords[dim], dims=dim, coords={dim: coords[dim]})
        own, given = labelled.indexes[dim], value.indexes[dim]
        if own.equals(given):
            continue
        places = given.get_indexer(own) if given.is_unique and own.is_unique else np.array([-1])
        if len(own) != len(given) or (places < 0).any():
            raise ModelError(
                name,
                f"its value has the labels {given.tolist()[:5]} along {dim!r}, and the model "
                f"{own.tolist()[:5]}",
                "Select the model's labels; or give value.to_numpy(), which is taken by position.",
            )
        value = value.isel({dim: places})
    return value
