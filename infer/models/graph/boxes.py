"""Plates as boxes: which nodes repeat together, and which box is inside which."""

from collections.abc import Sequence
from typing import NamedTuple

from .nodes import Node


class Box(NamedTuple):
    """Nodes that repeat along the same axes.

    Attributes:
        label: Names and sizes of the axes along which the box around it does not repeat.
        nodes: Nodes directly inside.
        boxes: Boxes inside.
    """

    label: str
    nodes: tuple[Node, ...]
    boxes: tuple["Box", ...]


Plates = frozenset[tuple[str, int]]


def nest(nodes: Sequence[Node]) -> Box:
    """Put nodes into boxes; that of a nested plate is inside that of the plate around it.

    Crossed plates are not inside each other. What repeats along both has a box of its own, which
    is labeled with both.
    """
    groups: dict[Plates, list[Node]] = {frozenset(): []}
    for node in nodes:
        groups.setdefault(frozenset(node.plates), []).append(node)
    return _box(frozenset(), frozenset(), groups)


def _box(plates: Plates, outer: Plates, groups: dict[Plates, list[Node]]) -> Box:
    inner = [own for own in groups if own and _around(own, groups) == plates]
    # In the order of the axes: the outer plate is the axis to the right.
    axes = dict.fromkeys(p for n in groups[plates] for p in reversed(n.plates) if p not in outer)
    label = " × ".join(f"{dim} ({size})" for dim, size in axes)
    return Box(label, tuple(groups[plates]), tuple(_box(own, plates, groups) for own in inner))


def _around(plates: Plates, groups: dict[Plates, list[Node]]) -> Plates:
    """Return the smallest box around: one that is inside all other boxes around it."""
    outer = [own for own in groups if own < plates]
    return next((own for own in outer if all(other <= own for other in outer)), frozenset())
