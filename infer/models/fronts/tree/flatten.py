"""List the leaves of any pytree by path, with what the wrapper nodes around them specify."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from inspect import Parameter as Argument, signature
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from bijectors.base import Constraint, Shape

from ....errors import ModelError
from ...inputs.columns import is_column, without_column
from ...inputs.data import Marked
from ...inputs.foreign import holds_numbers
from ...inputs.names import match_names
from ...inputs.partition import is_array_like, refuse_traced
from ...inputs.units import refuse_units
from ...priors.distributions import is_constraint, is_distribution
from .objects import ObjectNode, expose, rebuild
from .parameter import READERS, Parameter, Read, spread_frozen

# What to do about a traced value in a tree that is static.
STATIC_MEND = 'Make it an ordinary field, and its leaf "frozen" or "data", whose values may change.'


@dataclass(eq=False)
class TreeLeaf:
    """One leaf of a tree.

    Attributes:
        name: Its path, steps joined by dots; for a value inside a wrapper, the wrapper's path.
        value: The leaf itself: a value, a wrapper or an opaque node.
        parameter: What the wrapper around it specifies, if there is one.
        indices: All leaves that are the same array, this one first.
        role: "data" or "static" if the user marked it by `infer.data` or `infer.static`.
    """

    name: str
    value: Any
    parameter: Parameter | None = None
    indices: list[int] = field(default_factory=list)
    role: str | None = None

    @property
    def constrained(self) -> Any:
        """The constrained value."""
        return self.value if self.parameter is None else self.parameter.value

    @property
    def is_array(self) -> bool:
        """Whether it is a number of any kind, except a whole number of Python."""
        kinds = float | complex | jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct
        return isinstance(self.constrained, kinds)

    @property
    def is_float(self) -> bool:
        """Whether it holds floats, so that it must be given a role."""
        dtype = getattr(self.constrained, "dtype", np.dtype(float))
        return self.is_array and jax.dtypes.issubdtype(dtype, np.inexact)

    @property
    def shape(self) -> Shape:
        """Shape of the constrained value."""
        return tuple(getattr(self.constrained, "shape", ()))

    def __str__(self) -> str:
        return f"{self.name} {list(self.shape)}"


@dataclass
class FlatTree:
    """A tree, leaf by leaf.

    Attributes:
        leaves: Its leaves, in order.
        structure: How they form the tree of exposed objects.
    """

    leaves: list[TreeLeaf]
    structure: Any

    def select(self, selector: Any) -> list[int]:
        """List the leaves that a glob, a predicate (path and leaf) or a `where` selects.

        A leaf that is the same array as an earlier one counts as that one.
        """
        if isinstance(selector, str):
            chosen = set(match_names(selector, [leaf.name for leaf in self.leaves]))
            found = [i for i, leaf in enumerate(self.leaves) if leaf.name in chosen]
        elif _takes_two(selector):
            arrays = [(i, leaf) for i, leaf in enumerate(self.leaves) if leaf.is_array]
            found = [i for i, leaf in arrays if selector(leaf.name, leaf.constrained)]
        else:
            found = self._select_where(selector)
        return list(dict.fromkeys(self.leaves[i].indices[0] for i in found))

    def _select_where(self, where: Callable[[Any], Any]) -> list[int]:
        indices = [_Index(i) for i in range(len(self.leaves))]
        picked = where(rebuild(jax.tree.unflatten(self.structure, indices)))
        leaves = jax.tree.leaves(expose(picked, lambda node: False))
        if not leaves or not all(isinstance(leaf, _Index) for leaf in leaves):
            raise ModelError(
                "where",
                f"it returns {picked!r}, which is not part of the tree",
                "Return a leaf of the tree, a node, or several in a tuple.",
            )
        return [leaf.index for leaf in leaves]


def flatten(tree: Any, read: Sequence[Read], globs: Sequence[str] = ()) -> FlatTree:
    """List the leaves of a tree.

    Args:
        tree: Any pytree; the fields of plain dataclasses and modules of flax.nnx are exposed.
        read: Readers of wrapper nodes, tried before the built-in ones.
        globs: Globs that select leaves. If they match parts of a wrapper but not the wrapper, it
            is treated as an ordinary node.

    Raises:
        ModelError: Two leaves have one name, or a static field holds a traced value.
    """
    wrappers = WrapperIndex((*read, *READERS))
    whole = expose(spread_frozen(tree), wrappers.is_end)
    _refuse_traced_statics(whole, ())
    wrappers.forget(_wrappers_named_in_parts(whole, wrappers, globs))
    nodes, _ = jax.tree_util.tree_flatten_with_path(whole, is_leaf=wrappers.is_wrapper)
    inside = {
        (*path, jax.tree_util.GetAttrKey(wrappers.of(node).attribute)): wrappers.of(node)
        for path, node in nodes
        if wrappers.is_wrapper(node) and wrappers.of(node).attribute is not None
    }
    paths, structure = jax.tree_util.tree_flatten_with_path(whole, is_leaf=wrappers.is_end)
    leaves = [
        TreeLeaf(_name(path[:-1]), value, inside[path])
        if path in inside
        else _tree_leaf(_name(path), value, wrappers.of(value))
        for path, value in paths
    ]
    _refuse_same_names(leaves)
    _tie(leaves)
    return FlatTree(leaves, structure)


def is_opaque(node: Any) -> bool:
    """Return whether a node is one leaf: the parameters of a prior or a set are not leaves."""
    return isinstance(node, Constraint) or is_distribution(node) or is_constraint(node)


class WrapperIndex:
    """What the readers return for each node; every node is read once."""

    def __init__(self, readers: Sequence[Read]) -> None:
        self._readers = readers
        self._known: dict[int, tuple[Any, Parameter | None]] = {}

    def of(self, node: Any) -> Any:
        """Return the `Parameter` of the first reader that knows the node, or `None`."""
        node = node.original if isinstance(node, ObjectNode) else node
        if id(node) not in self._known:
            answers = (read(node) for read in self._readers)
            # Keeping the node alive keeps its id unique.
            self._known[id(node)] = (node, next((a for a in answers if a is not None), None))
        return self._known[id(node)][1]

    def forget(self, nodes: Sequence[Any]) -> None:
        """Treat some nodes as no wrappers."""
        self._known |= {id(node): (node, None) for node in nodes}

    def is_wrapper(self, node: Any) -> bool:
        """Return whether some reader knows a node."""
        return self.of(node) is not None

    def is_end(self, node: Any) -> bool:
        """Return whether a node is to be listed as one leaf."""
        return is_opaque(node) or (self.is_wrapper(node) and self.of(node).attribute is None)


class _Index:
    """Stands for the leaf of an index."""

    def __init__(self, index: int) -> None:
        self.index = index


def _tree_leaf(name: str, value: Any, parameter: Parameter | None) -> TreeLeaf:
    """Make a leaf without the user's mark; a table or a series of numbers becomes an array."""
    role = None
    if isinstance(value, Marked):
        role, value = "data" if value.is_leaf else "static", value.value
    if parameter is None:
        refuse_units(name, value)
    if parameter is None and is_column(value):
        value = _read_column(name, value, role == "data")
    elif parameter is None and is_array_like(value) and holds_numbers(value):
        value = np.asarray(value)
    return TreeLeaf(name, value, parameter, role=role)


def _read_column(name: str, value: Any, is_data: bool) -> Any:
    """Return a column of numbers as an array; others are returned to the user as they are."""
    try:
        return without_column(name, value)
    except ModelError:
        if is_data:
            raise
        return value


def _wrappers_named_in_parts(whole: Any, wrappers: WrapperIndex, globs: Sequence[str]) -> list[Any]:
    """List the wrappers whose parts match a glob while they themselves do not."""
    is_named = lambda path: any(match_names(glob, [_name(path)]) for glob in globs)  # noqa: E731
    found = []
    for path, node in jax.tree_util.tree_flatten_with_path(whole, is_leaf=wrappers.is_end)[0]:
        if wrappers.is_wrapper(node) and not is_named(path):
            inner = _inner_paths(node, wrappers)
            found += [node] * any(is_named((*path, *part)) for part in inner)
    return found


def _inner_paths(node: Any, wrappers: WrapperIndex) -> list[tuple]:
    is_end = lambda part: part is not node and wrappers.is_end(part)  # noqa: E731
    return [path for path, _ in jax.tree_util.tree_flatten_with_path(node, is_leaf=is_end)[0]]


def _name(path: tuple) -> str:
    steps = [getattr(s, "name", getattr(s, "key", getattr(s, "idx", s))) for s in path]
    return ".".join(str(step).replace("/", ".") for step in steps) or "value"


def _takes_two(selector: Callable[..., Any]) -> bool:
    kinds = (Argument.POSITIONAL_ONLY, Argument.POSITIONAL_OR_KEYWORD)
    arguments = signature(selector).parameters.values()
    return sum(a.kind in kinds and a.default is a.empty for a in arguments) == 2


def _refuse_same_names(leaves: Sequence[TreeLeaf]) -> None:
    seen: set[str] = set()
    for leaf in leaves:
        if leaf.name in seen:
            raise ModelError(
                leaf.name,
                "two leaves of the tree have this path",
                "Use keys without dots or slashes.",
            )
        seen.add(leaf.name)


def _tie(leaves: Sequence[TreeLeaf]) -> None:
    """Record which leaves are the same array."""
    first: dict[int, int] = {}
    for i, leaf in enumerate(leaves):
        whole = leaf.parameter is not None and leaf.parameter.attribute is None
        shares = whole or (leaf.is_float and isinstance(leaf.value, jax.Array | np.ndarray))
        own = first.setdefault(id(leaf.value), i) if shares else i
        if own != i:
            leaves[own].indices.append(i)
        leaf.indices = [own] if own != i else [i]


def _refuse_traced_statics(node: Any, path: tuple) -> None:
    """Raise if a static field holds a traced value."""
    if is_dataclass(node):
        for entry in fields(node):
            value = getattr(node, entry.name, None) if entry.metadata.get("static") else None
            if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value)):
                name = _name((*path, jax.tree_util.GetAttrKey(entry.name)))
                refuse_traced(name, STATIC_MEND)
    ends = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda inner: inner is not node)
    for step, inner in ends[0]:
        if inner is not node:
            _refuse_traced_statics(inner, (*path, *step))
