"""All that depends on the version of ArviZ: 0.x or 1.x."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import xarray

# Read without importing ArviZ, which takes a second and brings Matplotlib.
HAS_DATA_TREE = int(version("arviz").split(".")[0]) >= 1


def load_container() -> None:
    """Import what `as_arviz` needs, so that a program can do it while it waits for XLA."""
    if not HAS_DATA_TREE:
        import arviz  # noqa: F401


def as_arviz(groups: Mapping[str, xarray.Dataset], attributes: Mapping[str, Any]) -> Any:
    """Convert groups to the type of the installed ArviZ: InferenceData (0.x) or DataTree (1.x)."""
    if HAS_DATA_TREE:
        tree = xarray.DataTree.from_dict(dict(groups))
        tree.attrs = dict(attributes)
        return tree
    import arviz

    # Without `save_warmup`, ArviZ drops the groups of warm-up.
    made: Any = {"save_warmup": True, **groups}
    return arviz.InferenceData(attrs=dict(attributes), **made)


def groups_of(data: Any) -> dict[str, xarray.Dataset]:
    """Return the groups of ArviZ data of either type, or of a dictionary of them, by name."""
    if isinstance(data, xarray.DataTree):
        return {name: node.to_dataset() for name, node in data.children.items()}
    return {name: data[name] for name in data}


def as_dataset(group: Any) -> xarray.Dataset:
    """Return a group of ArviZ data of either type as a dataset."""
    # Asking a dataset whether it has a method takes a millisecond if it has none.
    return group if isinstance(group, xarray.Dataset) else group.to_dataset()


def read_group(data: Any, name: str) -> xarray.Dataset:
    """Return a group of ArviZ data as a dataset, which is empty if there is no such group."""
    return as_dataset(data[name]) if name in data else xarray.Dataset()
