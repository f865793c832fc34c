"""Partition any pytree into arrays, which a compiled program takes, and the rest, its constants."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ...errors import ModelError
from .foreign import as_native, holds_numbers, refuse_foreign, refuse_masked
from .precision import on_device, refuse_nan
from .units import refuse_units


class StaticArray:
    """An array or a scalar of NumPy, compared and hashed by its contents.

    Attributes:
        value: The array or the scalar, on the host.
    """

    def __init__(self, value: Any) -> None:
        array = np.array(value)  # The user may change theirs in place.
        self.value = value if isinstance(value, np.generic) else array
        self._key = (type(self.value), array.shape, str(array.dtype), array.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StaticArray) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


class StaticValue(NamedTuple):
    """A hashable value with its type, since True, 1 and 1.0 are equal but not the same program."""

    kind: type
    value: Any


class StaticByIdentity:
    """A value that cannot be hashed: it is equal only to itself."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StaticByIdentity) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


class Partition(eqx.Module):
    """A pytree partitioned into leaves of a program and static values.

    Attributes:
        leaves: Arrays, or pytrees that are partitioned themselves; `None` elsewhere.
        statics: Hashable values, in the same order; `None` where a leaf belongs.
        structure: How they form the tree.
    """

    leaves: tuple[Any, ...]
    statics: tuple[Any, ...] = eqx.field(static=True)
    structure: Any = eqx.field(static=True)

    @classmethod
    def of(cls, tree: Any, name: str = "model") -> "Partition":
        """Partition an object of a library, such as a prior, by the default of each value.

        Args:
            tree: The object.
            name: What it belongs to, for messages.
        """
        values, structure = jax.tree.flatten(tree)
        return cls.join(
            [partition_leaf(value, is_number(value), name) for value in values], structure
        )

    @classmethod
    def join(cls, pairs: list[tuple[Any, Any]], structure: Any) -> "Partition":
        """Join pairs (leaf, static), of which one is `None`, to a tree."""
        leaves, statics = zip(*pairs, strict=True) if pairs else ((), ())
        return cls(tuple(leaves), tuple(statics), structure)

    def __getstate__(self) -> dict[str, Any]:
        # Structures compare the identity of node types, which pickle does not keep; trees do not.
        indices = range(self.structure.num_leaves)
        return {**self.__dict__, "structure": jax.tree.unflatten(self.structure, indices)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        structure = jax.tree.structure(state["structure"])
        for name, value in {**state, "structure": structure}.items():
            object.__setattr__(self, name, value)

    def tree(self, values: Mapping[int, Any] | None = None) -> Any:
        """Restore the tree, with `values` in the place of the leaves of some indices."""
        values = values or {}
        pairs = enumerate(zip(self.leaves, self.statics, strict=True))
        restored = [values[i] if i in values else restore_leaf(*pair) for i, pair in pairs]
        return jax.tree.unflatten(self.structure, restored)


def is_number(value: Any) -> bool:
    """Return whether a value is a leaf by default: a float, or an array of numbers."""
    if isinstance(value, np.ndarray | np.generic):
        return holds_numbers(value)
    return isinstance(value, float | complex | jax.Array)


def is_array_like(value: Any) -> bool:
    """Return whether a value converts to one array, as tables, series and tensors do."""
    return hasattr(value, "__array__") and not isinstance(
        value, jax.Array | np.ndarray | np.generic
    )


def partition_input(
    name: str,
    value: Any,
    is_leaf: bool | None = None,
    *,
    keeps_objects: bool = False,
    mend: str = "",
) -> tuple[Any, Any]:
    """Return the pair (leaf, static) of a value that a user gave; one of the two is `None`.

    These are the rules for every front end: floats and arrays of numbers are leaves, and so is
    what is marked as data; all else is static. Arrays compare by contents, hashable values by type
    and value.

    Args:
        name: The argument, or the path in the user's tree, for errors.
        value: The value.
        is_leaf: Whether the user marked it as data (true) or static (false).
        keeps_objects: Whether it is part of a tree that is returned to the user. What is neither
            a number nor hashable, such as an array of strings, is then static; without it, it is
            refused.
        mend: What to do about a traced value or a random key that is marked static.

    Raises:
        ModelError: It holds NaN or, as a leaf, no numbers; or it is static, and traced or a key.
    """
    refuse_units(name, value)
    refuse_masked(name, value)
    is_foreign = isinstance(value, np.ndarray | np.generic) and not isinstance(value, str | bytes)
    if is_leaf or (is_leaf is None and is_foreign and not keeps_objects):
        refuse_foreign(name, value)
    is_leaf = is_number(value) if is_leaf is None else is_leaf
    value = as_native(value) if is_leaf else value
    if not is_leaf and isinstance(value, Tracer):
        refuse_traced(name, mend)
    if not is_leaf and _is_key(value):
        raise ModelError(name, "a random key cannot be static", mend)
    if is_number(value):
        refuse_nan(name, value)
    pair = partition_leaf(value, is_leaf, name)
    if isinstance(pair[1], StaticByIdentity) and not keeps_objects:
        raise ModelError(
            name,
            f"a {type(value).__name__} is neither an array nor hashable",
            "Turn it into an array with numpy.asarray, or into a tuple.",
        )
    return pair


def partition_leaf(value: Any, is_leaf: bool, name: str = "model") -> tuple[Any, Any]:
    """Return the pair (leaf, static) of one value; `name` is for messages."""
    if is_leaf:
        return on_device(value, name), None
    if _compares_by_contents(value):
        return None, StaticArray(value)
    try:
        hash(value)
    except (TypeError, ValueError):  # The latter for memory that can be written to.
        return None, StaticByIdentity(value)
    return None, StaticValue(type(value), value)


def restore_leaf(leaf: Any, static: Any) -> Any:
    """Return the value of a pair that `partition_leaf` made."""
    if leaf is not None:
        return leaf.tree() if isinstance(leaf, Partition) else leaf
    kinds = StaticArray | StaticByIdentity | StaticValue
    return static.value if isinstance(static, kinds) else static


def refuse_traced(name: str, mend: str) -> None:
    """Raise the error for a traced value that would be part of the program."""
    raise ModelError(
        name, "it is static, so it is part of the program, but it holds a traced value", mend
    )


def _compares_by_contents(value: Any) -> bool:
    kinds = np.ndarray | np.generic | jax.Array
    if not isinstance(value, kinds) or isinstance(value, Tracer):
        return False
    return not _is_key(value) and not np.dtype(value.dtype).hasobject


def _is_key(value: Any) -> bool:
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
