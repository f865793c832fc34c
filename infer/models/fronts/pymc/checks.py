"""PyMC's checks of parameters, as log densities of minus infinity, row by row."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .library import library

# Ops that join or reduce conditions, and which of their inputs is the first condition.
_REDUCING = {"All": 0, "ScalarFromTensor": 0, "MakeVector": 0, "Join": 1}


def spread_checks(graph: Any) -> None:
    """Replace checks by rows of -inf where they fail.

    PyMC checks all rows together, and one that fails makes every row -inf. Their sum is the same,
    but no row then depends on the parameters of another, which summing out needs to know.

    Args:
        graph: A `FunctionGraph`, which is changed.
    """
    for node in graph.toposort():
        if type(node.op).__name__ == "CheckParameterValue" and node in graph.apply_nodes:
            found = _spread(node) if node.op.can_be_replaced_by_ninf else node.inputs[0]
            graph.replace(node.outputs[0], found, import_missing=True)


def _spread(node: Any) -> Any:
    pt = library().pytensor.tensor
    rows, *checks = node.inputs
    for check in checks:
        for one in _conditions(check):
            holds = one if _fits(one.type.shape, rows.type.shape) else pt.all(one)
            rows = pt.switch(holds, rows, -np.inf)
    return rows.astype(node.outputs[0].dtype)


def _conditions(check: Any) -> Iterator[Any]:
    """Yield the conditions of which a check is the conjunction, before they are reduced."""
    node = check.owner
    kind = "" if node is None else type(node.op).__name__
    if node is None or kind not in _REDUCING:
        yield check
        return
    for one in node.inputs[_REDUCING[kind] :]:
        yield from _conditions(one)


def _fits(shape: tuple[int | None, ...], rows: tuple[int | None, ...]) -> bool:
    """Return whether a condition has at most one value for each row."""
    if len(shape) > len(rows):
        return False
    own = rows[len(rows) - len(shape) :]
    return all(a == 1 or (a is not None and a == b) for a, b in zip(shape, own, strict=True))
