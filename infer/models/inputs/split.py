"""Part any pytree into the arrays of a program and what the program is made for."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .data import Fixed, Typed
from .precision import on_device


class Opaque:
    """Something that cannot be hashed, as part of a program: it is equal to itself alone."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


class Split(eqx.Module):
    """A pytree, leaf by leaf.

    Attributes:
        leaves: Arrays, or pytrees that are split themselves; `None` elsewhere.
        statics: Hashable values, in the same order; `None` where a leaf belongs.
        structure: How they form the tree.
    """

    leaves: tuple[Any, ...]
    statics: tuple[Any, ...] = eqx.field(static=True)
    structure: Any = eqx.field(static=True)

    @classmethod
    def of(cls, tree: Any, name: str = "model") -> "Split":
        """Part a tree: arrays and floats are leaves, all else is part of the program.

        Messages call it by `name`.
        """
        values, structure = jax.tree.flatten(tree)
        return cls.joined([held(value, is_numeric(value), name) for value in values], structure)

    @classmethod
    def joined(cls, pairs: list[tuple[Any, Any]], structure: Any) -> "Split":
        """Make one of pairs (leaf, static), one of each pair being `None`."""
        leaves, statics = zip(*pairs, strict=True) if pairs else ((), ())
        return cls(tuple(leaves), tuple(statics), structure)

    def __getstate__(self) -> dict[str, Any]:
        # Structures compare classes' own marks, which are others after pickle; trees do not.
        places = range(self.structure.num_leaves)
        return {**self.__dict__, "structure": jax.tree.unflatten(self.structure, places)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        structure = jax.tree.structure(state["structure"])
        for name, value in {**state, "structure": structure}.items():
            object.__setattr__(self, name, value)

    def tree(self, values: Mapping[int, Any] | None = None) -> Any:
        """Put the tree together again, with other `values` at some of its places."""
        values = values or {}
        pairs = enumerate(zip(self.leaves, self.statics, strict=True))
        whole = [values[i] if i in values else _released(*pair) for i, pair in pairs]
        return jax.tree.unflatten(self.structure, whole)


def is_numeric(value: Any) -> bool:
    """Tell what is traced unless the user says otherwise: floats, and arrays of numbers."""
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind not in "OUSVMm"
    return isinstance(value, float | complex | jax.Array)


def held(value: Any, is_leaf: bool, name: str = "model") -> tuple[Any, Any]:
    """Make a pair (leaf, static) of one value; `name` is for messages."""
    if is_leaf:
        return on_device(value, name), None
    if isinstance(value, np.ndarray | jax.Array) and is_numeric(value):
        return None, Fixed(value)
    try:
        hash(value)
    except TypeError:
        return None, Opaque(value)
    return None, Typed(type(value), value)


def _released(leaf: Any, static: Any) -> Any:
    if leaf is not None:
        return leaf.tree() if isinstance(leaf, Split) else leaf
    if isinstance(static, Fixed):
        return static.array
    return static.value if isinstance(static, Opaque | Typed) else static
