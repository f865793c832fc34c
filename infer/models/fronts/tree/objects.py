"""Expose the fields of objects that are not pytrees: plain dataclasses and modules of flax.nnx."""

import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import jax


@jax.tree_util.register_pytree_with_keys_class
class ObjectNode:
    """The fields of an object, as a node that JAX can traverse.

    Attributes:
        make: Makes the object from its fields by name; hashable.
        values: The fields, exposed themselves.
        original: The object; `None` once JAX has rebuilt the node.
    """

    def __init__(
        self, make: Callable[[dict[str, Any]], Any], values: dict[str, Any], original: Any = None
    ) -> None:
        self.make, self.values, self.original = make, values, original

    def tree_flatten_with_keys(self):
        """Return the fields with their names."""
        keys = [jax.tree_util.GetAttrKey(name) for name in self.values]
        return tuple(zip(keys, self.values.values(), strict=True)), (self.make, (*self.values,))

    @classmethod
    def tree_unflatten(cls, kept, values) -> "ObjectNode":
        """Make a node from `make`, names and values."""
        return cls(kept[0], dict(zip(kept[1], values, strict=True)))


def expose(tree: Any, stop: Callable[[Any], bool]) -> Any:
    """Replace every such object by an `ObjectNode`, except inside nodes where `stop` is true."""
    kinds = {id(node): found for node in _nodes(tree, stop) if (found := _parts(node)) is not None}

    def expose_one(node: Any) -> Any:
        if id(node) not in kinds:
            return node
        make, values = kinds[id(node)]
        inner = {name: expose(value, stop) for name, value in values.items()}
        return ObjectNode(make, inner, node)

    return jax.tree.map(expose_one, tree, is_leaf=lambda node: id(node) in kinds or stop(node))


def rebuild(tree: Any) -> Any:
    """Undo `expose`."""

    def rebuild_one(node: Any) -> Any:
        if not isinstance(node, ObjectNode):
            return node
        return node.make({name: rebuild(value) for name, value in node.values.items()})

    return jax.tree.map(rebuild_one, tree, is_leaf=lambda node: isinstance(node, ObjectNode))


def _nodes(tree: Any, stop: Callable[[Any], bool]) -> list[Any]:
    """List the nodes that are leaves to JAX or modules of flax.nnx."""
    is_end = lambda node: stop(node) or _is_nnx(node)  # noqa: E731
    return [node for node in jax.tree.leaves(tree, is_leaf=is_end) if not stop(node)]


def _parts(node: Any) -> tuple[Callable[[dict[str, Any]], Any], dict[str, Any]] | None:
    if _is_nnx(node):
        nnx = sys.modules["flax.nnx"]
        definition, state = nnx.split(node)
        return _Merge(definition), nnx.to_pure_dict(state)
    if is_dataclass(node) and not isinstance(node, type):
        return _Make(type(node)), {field.name: getattr(node, field.name) for field in fields(node)}
    return None


def _is_nnx(node: Any) -> bool:
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(node, nnx.Module)


class _Make:
    """Makes a dataclass from its fields, without its `__init__`, which may take others."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def __call__(self, values: dict[str, Any]) -> Any:
        made = object.__new__(self.kind)
        for name, value in values.items():
            object.__setattr__(made, name, value)
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Make) and self.kind is other.kind

    def __hash__(self) -> int:
        return hash(self.kind)


class _Merge:
    """Makes a module of flax.nnx from its definition and its pure state."""

    def __init__(self, definition: Any) -> None:
        self.definition = definition

    def __call__(self, values: dict[str, Any]) -> Any:
        return sys.modules["flax.nnx"].merge(self.definition, values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Merge) and self.definition == other.definition

    def __hash__(self) -> int:
        return hash(self.definition)
