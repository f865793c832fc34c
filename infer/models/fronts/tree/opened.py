"""Open objects that are no pytrees to JAX: plain dataclasses, and modules of flax.nnx."""

import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import jax


@jax.tree_util.register_pytree_with_keys_class
class Opened:
    """The fields of an object, as a node that JAX can see into.

    Attributes:
        rebuild: Makes the object of its fields, by name; it hashes.
        values: The fields, opened themselves.
        original: The object; forgotten once JAX has rebuilt the node.
    """

    def __init__(
        self, rebuild: Callable[[dict[str, Any]], Any], values: dict[str, Any], original: Any = None
    ) -> None:
        self.rebuild, self.values, self.original = rebuild, values, original

    def tree_flatten_with_keys(self):
        """List the fields with their names."""
        keys = [jax.tree_util.GetAttrKey(name) for name in self.values]
        return tuple(zip(keys, self.values.values(), strict=True)), (self.rebuild, (*self.values,))

    @classmethod
    def tree_unflatten(cls, kept, values) -> "Opened":
        """Put the fields back."""
        return cls(kept[0], dict(zip(kept[1], values, strict=True)))


def opened(tree: Any, stop: Callable[[Any], bool]) -> Any:
    """Open every such object in a tree, but nothing inside the nodes where `stop` is true."""
    kinds = {id(node): found for node in _nodes(tree, stop) if (found := _parts(node)) is not None}

    def open_one(node: Any) -> Any:
        if id(node) not in kinds:
            return node
        rebuild, values = kinds[id(node)]
        inner = {name: opened(value, stop) for name, value in values.items()}
        return Opened(rebuild, inner, node)

    return jax.tree.map(open_one, tree, is_leaf=lambda node: id(node) in kinds or stop(node))


def closed(tree: Any) -> Any:
    """Undo `opened`."""

    def close(node: Any) -> Any:
        if not isinstance(node, Opened):
            return node
        return node.rebuild({name: closed(value) for name, value in node.values.items()})

    return jax.tree.map(close, tree, is_leaf=lambda node: isinstance(node, Opened))


def _nodes(tree: Any, stop: Callable[[Any], bool]) -> list[Any]:
    """List what is a leaf to JAX or a module of flax.nnx."""
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
    """Makes a dataclass of its fields, without its `__init__`, which may take others."""

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
    """Makes a module of flax.nnx of its definition and its pure state."""

    def __init__(self, definition: Any) -> None:
        self.definition = definition

    def __call__(self, values: dict[str, Any]) -> Any:
        return sys.modules["flax.nnx"].merge(self.definition, values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Merge) and self.definition == other.definition

    def __hash__(self) -> int:
        return hash(self.definition)
