"""Data of a model: arrays and floats are leaves of the program, all else is part of it."""

from collections.abc import Collection, Mapping
from numbers import Number
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ...errors import ModelError
from .foreign import refuse_foreign
from .names import listed
from .precision import on_device, refuse_nan


class Marked(NamedTuple):
    """A value whose kind the user settled with `data` or `static`."""

    value: Any
    is_leaf: bool


def data(value: Any) -> Marked:
    """Make a whole number (or anything array-like) a leaf: changing it compiles nothing."""
    return Marked(value, is_leaf=True)


def static(value: Any) -> Marked:
    """Make a float or an array part of the program.

    It may steer Python code and NumPy's functions, and changing it compiles.
    """
    return Marked(value, is_leaf=False)


class Fixed:
    """An array that is part of the program: it compares and hashes by its numbers."""

    def __init__(self, value: Any) -> None:
        self.array = np.asarray(value)
        self._key = (self.array.shape, str(self.array.dtype), self.array.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fixed) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


class Typed(NamedTuple):
    """A value that is part of the program, with its type: True, 1 and 1.0 are equal, but differ."""

    kind: type
    value: Any


class Data(eqx.Module):
    """Named data, split into the leaves of a program and what the program is made for.

    Attributes:
        leaves: Arrays, in the order of `structure`; `None` where a static value belongs.
        statics: Hashable values, in the same order; `None` where a leaf belongs.
        structure: How they form the dictionary that the user gave.
    """

    leaves: tuple[Any, ...]
    statics: tuple[Any, ...] = eqx.field(static=True)
    structure: Any = eqx.field(static=True)

    @classmethod
    def of(cls, named: Mapping[str, Any]) -> "Data":
        """Sort named values by kind.

        Raises:
            ModelError: An array holds NaN, or a value is neither array-like nor hashable.
        """
        tree = jax.tree_util.tree_map_with_path(
            lambda path, value: _as_array(_name(path), value), dict(named), is_leaf=_is_array_like
        )
        paths, structure = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_marked)
        sorted_values = [_sort(_name(path), value) for path, value in paths]
        leaves, statics = zip(*sorted_values, strict=True) if sorted_values else ((), ())
        return cls(tuple(leaves), tuple(statics), structure)

    def replaced(self, named: Mapping[str, Any]) -> "Data":
        """Replace top-level values; a value keeps the kind, leaf or static, of the old one.

        `None`, which stands for no data, has no kind.
        """
        marked = jax.tree.unflatten(self.structure, [_marked(*pair) for pair in self._pairs()])
        kinds = {n: old for n, old in marked.items() if _is_marked(old) and old.value is not None}
        new = {
            name: Marked(value, kinds[name].is_leaf)
            if name in kinds and value is not None and not _is_marked(value)
            else value
            for name, value in named.items()
        }
        return type(self).of(marked | new)

    def tree(self) -> dict[str, Any]:
        """Put the dictionary together again."""
        values = [_unfixed(s) if leaf is None else leaf for leaf, s in self._pairs()]
        return jax.tree.unflatten(self.structure, values)

    def arrays(self) -> dict[str, np.ndarray]:
        """List the arrays on the host, by the path of keys that leads to each."""
        paths, _ = jax.tree_util.tree_flatten_with_path(self.tree())
        kinds = jax.Array | np.ndarray
        return {_name(path): _on_host(v) for path, v in paths if isinstance(v, kinds)}

    def leaf_names(self) -> list[str]:
        """List the path of keys that leads to each leaf, in their order."""
        places = jax.tree.unflatten(self.structure, range(len(self.leaves)))
        paths, _ = jax.tree_util.tree_flatten_with_path(places)
        return [_name(path) for path, i in paths if self.leaves[i] is not None]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """List the shapes of the arrays, by the path of keys that leads to each."""
        paths, _ = jax.tree_util.tree_flatten_with_path(self.tree())
        return {_name(path): tuple(v.shape) for path, v in paths if hasattr(v, "shape")}

    def _pairs(self) -> list[tuple[Any, Any]]:
        return list(zip(self.leaves, self.statics, strict=True))


def leaf_names(tree: Any) -> list[str]:
    """Name every leaf of a model: by what its parts know, or else by the last key of its path."""
    knows = lambda node: hasattr(node, "leaf_names")  # noqa: E731
    paths, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=knows)
    named = (node.leaf_names() if knows(node) else [_last(path)] for path, node in paths)
    return [name for names in named for name in names]


def _last(path: tuple) -> str:
    step = path[-1]
    return str(getattr(step, "key", getattr(step, "name", getattr(step, "idx", "model"))))


def refuse_unknown_data(
    named: Mapping[str, Any], known: Collection[str], kind: str = "data"
) -> None:
    """Raise where new data are named as the model has none."""
    unknown = named.keys() - set(known)
    if unknown:
        raise ModelError(
            min(unknown), f"the model has no such {kind}", f"It takes {listed(known)}."
        )


def _sort(name: str, value: Any) -> tuple[Any, Any]:
    is_leaf = value.is_leaf if _is_marked(value) else _is_numeric(value)
    value = value.value if _is_marked(value) else value
    if is_leaf:
        refuse_foreign(name, value)
        refuse_nan(name, value)
        return on_device(value, name), None
    if isinstance(value, Tracer):
        raise ModelError(
            name,
            "a traced value is declared static, that is part of the program",
            "Pass it as it is, or by infer.data(x): then it may change without compiling.",
        )
    if isinstance(value, np.ndarray | jax.Array) or _is_array_like(value):
        refuse_nan(name, np.asarray(value))
        return None, Fixed(value)
    try:
        hash(value)
    except TypeError:
        raise ModelError(
            name,
            f"a {type(value).__name__} is neither an array nor hashable",
            "Turn it into an array with numpy.asarray, or into a tuple.",
        ) from None
    return None, Typed(type(value), value)


def _marked(leaf: Any, value: Any) -> Marked:
    return Marked(_unfixed(value), is_leaf=False) if leaf is None else Marked(leaf, is_leaf=True)


def _on_host(array: Any) -> np.ndarray:
    is_key = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(array) if is_key else array)


def _unfixed(value: Any) -> Any:
    if isinstance(value, Typed):
        return value.value
    return value.array if isinstance(value, Fixed) else value


def _is_numeric(value: Any) -> bool:
    return isinstance(value, float | complex | np.ndarray | np.generic | jax.Array)


def _is_marked(value: Any) -> bool:
    return isinstance(value, Marked)


def _is_array_like(value: Any) -> bool:
    """Tell whether a value is one array in disguise: a list of numbers, a table, a series."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(v, Number) or _is_array_like(v) for v in value)
    return _is_marked(value) or hasattr(value, "__array__")


def _as_array(name: str, value: Any) -> Any:
    is_array = _is_marked(value) or isinstance(value, jax.Array | Tracer)
    if is_array or not _is_array_like(value):
        return value
    refuse_foreign(name, value)
    return np.asarray(value)


def _name(path: tuple) -> str:
    return ".".join(str(getattr(step, "key", getattr(step, "idx", step))) for step in path)
