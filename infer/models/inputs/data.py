"""Data of a model: named arguments, partitioned into leaves of the program and static values."""

from collections.abc import Collection, Mapping, Sequence
from numbers import Number
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ...errors import ModelError
from .foreign import refuse_foreign, refuse_masked
from .names import join_names
from .partition import Partition, is_array_like, partition_input, restore_leaf
from .sharded import divide_rows, find_row_devices, read_own_rows, read_shard
from .units import has_units, refuse_units


class Marked:
    """A value that the user marked with `data` or `static`.

    Attributes:
        value: The value.
        is_leaf: Whether it is a leaf of the program.
        devices: Devices over which its rows are divided; none if they are not.
    """

    def __init__(self, value: Any, is_leaf: bool, devices: Sequence[Any] | None = None) -> None:
        self.value, self.is_leaf, self.devices = value, is_leaf, devices


def data(value: Any, *, shard: str | None = None, devices: Sequence[Any] | None = None) -> Any:
    """Make a whole number (or anything array-like) a leaf: changing it compiles nothing.

    Args:
        value: The value.
        shard: "row" divides the rows, which are the first axis, equally over devices. The log
            density and its gradient are summed over the devices by XLA's collectives, and no
            device holds all rows; see the page "Several devices".
        devices: Devices that share the rows, by default all devices of the default backend.

    Raises:
        ModelError: `shard` names no axis, or when the model is made, the value has no rows or
            their number is not a multiple of that of the devices.
    """
    given = jax.devices() if devices is None else devices
    return Marked(value, is_leaf=True, devices=given if read_shard(shard) else None)


def static(value: Any) -> Any:
    """Make `value`, a float or an array, part of the program.

    Python code may branch on it, NumPy's functions take it, and changing it compiles again.
    """
    return Marked(value, is_leaf=False)


class Data(eqx.Module):
    """Named data.

    Attributes:
        parts: The dictionary that the user gave, partitioned.
    """

    parts: Partition

    @classmethod
    def of(cls, named: Mapping[str, Any]) -> "Data":
        """Partition named values, by the rules of `partition_input`.

        Lists of numbers, tables and series become arrays.

        Raises:
            ModelError: An array holds NaN, or a value is neither array-like nor hashable.
        """
        paths, structure = jax.tree_util.tree_flatten_with_path(dict(named), is_leaf=is_array)
        pairs = [_partition(name_path(path), value) for path, value in paths]
        return cls(Partition.join(pairs, structure))

    def replace(self, named: Mapping[str, Any]) -> "Data":
        """Replace top-level values; a value stays a leaf, or static, as the old one was.

        `None`, which stands for no data, is neither.
        """
        marks = [_mark(*pair) for pair in self._pairs()]
        marked = jax.tree.unflatten(self.parts.structure, marks)
        old = {n: m for n, m in marked.items() if isinstance(m, Marked) and m.value is not None}
        new = {
            name: Marked(value, old[name].is_leaf, old[name].devices)
            if name in old and value is not None and not isinstance(value, Marked)
            else value
            for name, value in named.items()
        }
        return type(self).of(marked | new)

    def tree(self) -> dict[str, Any]:
        """Restore the dictionary."""
        return self.parts.tree()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays on the host, by the path of keys that leads to each."""
        paths, _ = jax.tree_util.tree_flatten_with_path(self.tree())
        kinds = jax.Array | np.ndarray
        return {name_path(path): _on_host(v) for path, v in paths if isinstance(v, kinds)}

    def leaf_names(self) -> list[str]:
        """List the path of keys that leads to each leaf, in their order."""
        leaves = self.parts.leaves
        indices = jax.tree.unflatten(self.parts.structure, range(len(leaves)))
        paths, _ = jax.tree_util.tree_flatten_with_path(indices)
        return [name_path(path) for path, i in paths if leaves[i] is not None]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the arrays, by the path of keys that leads to each."""
        paths, _ = jax.tree_util.tree_flatten_with_path(self.tree())
        return {name_path(path): tuple(v.shape) for path, v in paths if hasattr(v, "shape")}

    def _pairs(self) -> list[tuple[Any, Any]]:
        return list(zip(self.parts.leaves, self.parts.statics, strict=True))


def leaf_names(tree: Any) -> list[str]:
    """Name every leaf of a model: by what its parts know, or else by the last key of its path."""
    knows = lambda node: hasattr(node, "leaf_names")  # noqa: E731
    paths, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=knows)
    named = (node.leaf_names() if knows(node) else [_last(path)] for path, node in paths)
    return [name for names in named for name in names]


def name_arguments(tree: Any) -> list[str | None]:
    """Name the argument that each leaf of a model is data of; `None` for the other leaves."""
    nodes = jax.tree.leaves(tree, is_leaf=_is_data)
    is_data = [_is_data(node) for node in nodes for _ in jax.tree.leaves(node)]
    named = zip(leaf_names(tree), is_data, strict=True)
    return [_argument_of(name) if own else None for name, own in named]


def _argument_of(path: str) -> str:
    """Return the argument at the head of a path; for "data.y" of a declared model it is y."""
    first, _, rest = path.partition(".")
    return rest.partition(".")[0] if first == "data" and rest else first


def _is_data(node: Any) -> bool:
    return isinstance(node, Data)


def refuse_unknown_data(
    named: Mapping[str, Any], known: Collection[str], kind: str = "data"
) -> None:
    """Raise if new data have a name that the model does not know."""
    unknown = named.keys() - set(known)
    if unknown:
        raise ModelError(
            min(unknown), f"the model has no such {kind}", f"It takes {join_names(known)}."
        )


def _partition(name: str, value: Any) -> tuple[Any, Any]:
    is_leaf = value.is_leaf if isinstance(value, Marked) else None
    devices = value.devices if isinstance(value, Marked) else None
    value = value.value if isinstance(value, Marked) else value
    refuse_units(name, value)
    if is_array(value):
        refuse_foreign(name, value)
        refuse_masked(name, value)
        value = np.asarray(value)
    if devices:
        value = divide_rows(name, value, devices)
    mend = "Pass it without infer.static: it may then change without compiling."
    return partition_input(name, value, is_leaf, mend=mend)


def is_array(value: Any) -> bool:
    """Return whether a value becomes one array: a list of numbers, a table, a series."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(v, Number) or _is_row(v) for v in value)
    return is_array_like(value) or has_units(value)


def _is_row(value: Any) -> bool:
    return is_array(value) or hasattr(value, "__array__")


def _mark(leaf: Any, static: Any) -> Marked:
    return Marked(restore_leaf(leaf, static), leaf is not None, find_row_devices(leaf))


def _on_host(array: Any) -> np.ndarray:
    is_key = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    return read_own_rows(jax.random.key_data(array) if is_key else array)


def _last(path: tuple) -> str:
    step = path[-1]
    return str(getattr(step, "key", getattr(step, "name", getattr(step, "idx", "model"))))


def name_path(path: tuple) -> str:
    """Join the keys that lead to a part of the data by dots."""
    return ".".join(str(getattr(step, "key", getattr(step, "idx", step))) for step in path)
