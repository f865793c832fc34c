"""Coordinates of named dimensions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import ModelError


class Labels:
    """Coordinates of named dimensions; a program depends on their number, not on their values.

    Two are equal if they name the same dimensions with equally many coordinates each, so models
    that differ only in the coordinates share one program.

    Raises:
        ModelError: The coordinates of a dimension are not a sequence.
    """

    def __init__(self, coords: Mapping[str, Sequence[Any] | np.ndarray] | None = None) -> None:
        self.coords = {name: _as_vector(name, values) for name, values in (coords or {}).items()}
        self._sizes = frozenset((name, len(values)) for name, values in self.coords.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Labels) and self._sizes == other._sizes

    def __hash__(self) -> int:
        return hash(self._sizes)


def _as_vector(dim: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ModelError(
            f"coords[{dim!r}]",
            f"{values!r} has {array.ndim} axes",
            "Give a label for each entry along the dimension, such as range(3).",
        )
    return array
