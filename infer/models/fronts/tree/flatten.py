"""List the leaves of any pytree by path, with what wrapper nodes say of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from inspect import Parameter as Argument, signature
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
from jax.core import Tracer

from bijectors.base import Constraint, Shape

from ....errors import ModelError
from ...inputs.data import Marked
from ...inputs.foreign import holds_numbers
from ...inputs.names import matching
from ...inputs.partition import is_array_like, refuse_traced
from .opened import Opened, closed, opened
from .parameter import READERS, Parameter, Read, spread_frozen

# What to do about a traced value in a tree that is static.
STATIC_MEND = 'Make it an ordinary field, and its leaf "frozen" or "data", whose values may change.'


@dataclass(eq=False)
class Place:
    """One leaf of a tree.

    Attributes:
        name: Its path, steps joined by dots; of what a wrapper holds, the wrapper's.
        value: What stands there: a value, a wrapper or an opaque node.
        parameter: What the wrapper around it says, if one does.
        places: Indices of all leaves that are the same array, this one first.
        role: "data" or "static" if the user marked it by `infer.data` or `infer.static`.
    """

    name: str
    value: Any
    parameter: Parameter | None = None
    places: list[int] = field(default_factory=list)
    role: str | None = None

    @property
    def present(self) -> Any:
        """The constrained value."""
        return self.value if self.parameter is None else self.parameter.value

    @property
    def is_array(self) -> bool:
        """Tell whether it is a number of any kind, other than a whole one of Python."""
        kinds = float | complex | jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct
        return isinstance(self.present, kinds)

    @property
    def is_float(self) -> bool:
        """Tell whether it has to be accounted for."""
        dtype = getattr(self.present, "dtype", np.dtype(float))
        return self.is_array and jax.dtypes.issubdtype(dtype, np.inexact)

    @property
    def shape(self) -> Shape:
        """Shape of the constrained value."""
        return tuple(getattr(self.present, "shape", ()))

    def __str__(self) -> str:
        return f"{self.name} {list(self.shape)}"


@dataclass
class Flat:
    """A tree, leaf by leaf.

    Attributes:
        places: Its leaves, in order.
        structure: How they form the opened tree.
    """

    places: list[Place]
    structure: Any

    def at(self, selector: Any) -> list[int]:
        """List the leaves that a glob, a predicate (path and leaf) or a `where` selects.

        A leaf that is the same array as an earlier one stands for that one.
        """
        if isinstance(selector, str):
            chosen = set(matching(selector, [place.name for place in self.places]))
            found = [i for i, place in enumerate(self.places) if place.name in chosen]
        elif _takes_two(selector):
            asked = [(i, p) for i, p in enumerate(self.places) if p.is_array]
            found = [i for i, place in asked if selector(place.name, place.present)]
        else:
            found = self._where(selector)
        return list(dict.fromkeys(self.places[i].places[0] for i in found))

    def _where(self, where: Callable[[Any], Any]) -> list[int]:
        marks = [_Mark(i) for i in range(len(self.places))]
        picked = where(closed(jax.tree.unflatten(self.structure, marks)))
        leaves = jax.tree.leaves(opened(picked, lambda node: False))
        if not leaves or not all(isinstance(leaf, _Mark) for leaf in leaves):
            raise ModelError(
                "where",
                f"it returns {picked!r}, which is no part of the tree",
                "Return a leaf of the tree, a node, or several in a tuple.",
            )
        return [leaf.index for leaf in leaves]


def flatten(tree: Any, read: Sequence[Read], globs: Sequence[str] = ()) -> Flat:
    """List the leaves of a tree.

    Args:
        tree: Any pytree; plain dataclasses and modules of flax.nnx are opened.
        read: Readers of wrapper nodes, asked before those that are built in.
        globs: What leaves will be asked for. A wrapper of which they name the parts, and not
            the whole, is left as it is.

    Raises:
        ModelError: Two leaves have one name, or a static field holds a traced value.
    """
    told = _Told((*read, *READERS))
    whole = opened(spread_frozen(tree), told.is_end)
    _refuse_traced_statics(whole, ())
    told.forget(_named_in_parts(whole, told, globs))
    nodes, _ = jax.tree_util.tree_flatten_with_path(whole, is_leaf=told.is_told)
    inside = {
        (*path, jax.tree_util.GetAttrKey(told.of(node).attribute)): told.of(node)
        for path, node in nodes
        if told.is_told(node) and told.of(node).attribute is not None
    }
    paths, structure = jax.tree_util.tree_flatten_with_path(whole, is_leaf=told.is_end)
    places = [
        Place(_name(path[:-1]), value, inside[path])
        if path in inside
        else _place(_name(path), value, told.of(value))
        for path, value in paths
    ]
    _refuse_same_names(places)
    _tie(places)
    return Flat(places, structure)


def _place(name: str, value: Any, parameter: Parameter | None) -> Place:
    """Make a leaf without the user's mark; a table or a series of numbers becomes an array."""
    role = None
    if isinstance(value, Marked):
        role, value = "data" if value.is_leaf else "static", value.value
    if parameter is None and is_array_like(value) and holds_numbers(value):
        value = np.asarray(value)
    return Place(name, value, parameter, role=role)


def _named_in_parts(whole: Any, told: "_Told", globs: Sequence[str]) -> list[Any]:
    """List the wrappers of which globs name the parts, and not the whole."""
    named = lambda path: any(matching(glob, [_name(path)]) for glob in globs)  # noqa: E731
    found = []
    for path, node in jax.tree_util.tree_flatten_with_path(whole, is_leaf=told.is_end)[0]:
        if told.is_told(node) and not named(path):
            found += [node] * any(named((*path, *inner)) for inner in _inner_paths(node, told))
    return found


def _inner_paths(node: Any, told: "_Told") -> list[tuple]:
    is_end = lambda part: part is not node and told.is_end(part)  # noqa: E731
    return [path for path, _ in jax.tree_util.tree_flatten_with_path(node, is_leaf=is_end)[0]]


def is_opaque(node: Any) -> bool:
    """Tell what is held as a whole: the parameters of a prior or a set are no leaves."""
    return isinstance(node, dist.Distribution | Constraint | dist.constraints.Constraint)


class _Mark:
    """Stands for the leaf of an index."""

    def __init__(self, index: int) -> None:
        self.index = index


class _Told:
    """What the readers say of nodes, each asked once."""

    def __init__(self, readers: Sequence[Read]) -> None:
        self._readers = readers
        self._told: dict[int, tuple[Any, Parameter | None]] = {}

    def of(self, node: Any) -> Any:
        """Return what the first reader that knows a node says of it."""
        node = node.original if isinstance(node, Opened) else node
        if id(node) not in self._told:
            answers = (read(node) for read in self._readers)
            # The node is kept too, so that its id stays its own.
            self._told[id(node)] = (node, next((a for a in answers if a is not None), None))
        return self._told[id(node)][1]

    def forget(self, nodes: Sequence[Any]) -> None:
        """Say nothing of some nodes any more."""
        self._told |= {id(node): (node, None) for node in nodes}

    def is_told(self, node: Any) -> bool:
        """Tell whether some reader knows a node."""
        return self.of(node) is not None

    def is_end(self, node: Any) -> bool:
        """Tell whether a node is to be listed as one leaf."""
        return is_opaque(node) or (self.is_told(node) and self.of(node).attribute is None)


def _name(path: tuple) -> str:
    steps = [getattr(s, "name", getattr(s, "key", getattr(s, "idx", s))) for s in path]
    return ".".join(str(step).replace("/", ".") for step in steps) or "value"


def _takes_two(selector: Callable[..., Any]) -> bool:
    kinds = (Argument.POSITIONAL_ONLY, Argument.POSITIONAL_OR_KEYWORD)
    arguments = signature(selector).parameters.values()
    return sum(a.kind in kinds and a.default is a.empty for a in arguments) == 2


def _refuse_same_names(places: Sequence[Place]) -> None:
    seen: set[str] = set()
    for place in places:
        if place.name in seen:
            raise ModelError(
                place.name,
                "two leaves of the tree have this path",
                "Use keys without dots or slashes.",
            )
        seen.add(place.name)


def _tie(places: Sequence[Place]) -> None:
    """Let leaves that are one array know of each other."""
    first: dict[int, int] = {}
    for i, place in enumerate(places):
        whole = place.parameter is not None and place.parameter.attribute is None
        shares = whole or (place.is_float and isinstance(place.value, jax.Array | np.ndarray))
        own = first.setdefault(id(place.value), i) if shares else i
        if own != i:
            places[own].places.append(i)
        place.places = [own] if own != i else [i]


def _refuse_traced_statics(node: Any, path: tuple) -> None:
    """Raise where a field that is part of the program holds what is known in it alone."""
    if is_dataclass(node):
        for entry in fields(node):
            held = getattr(node, entry.name, None) if entry.metadata.get("static") else None
            if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(held)):
                name = _name((*path, jax.tree_util.GetAttrKey(entry.name)))
                refuse_traced(name, STATIC_MEND)
    ends = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda inner: inner is not node)
    for step, inner in ends[0]:
        if inner is not node:
            _refuse_traced_statics(inner, (*path, *step))
