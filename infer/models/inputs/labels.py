"""Coordinates of named dimensions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import ModelError
from .columns import Coded, is_column, read_column
from .names import is_name
from .units import refuse_units


class Labels:
    """Coordinates of named dimensions; a program depends on their number, not on their values.

    Two are equal if they name the same dimensions with equally many coordinates each, so models
    that differ only in the coordinates share one program.

    Args:
        given: What the user gives for each dimension: a sequence of labels, or a column, of which
            the labels are the coordinates if it holds categories, or strings that repeat.
        of_columns: Labels of columns among the data, by the names of the data. They are the
            coordinates of a dimension of that name for which none are given.

    Attributes:
        given: The coordinates that the user gave, by dimension.
        of_columns: Those of columns among the data.
        coords: Both.

    Raises:
        ModelError: The coordinates of a dimension are not a sequence.
    """

    def __init__(
        self,
        given: Mapping[str, Any] | None = None,
        of_columns: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.given = {name: _as_vector(name, values) for name, values in (given or {}).items()}
        self.of_columns = dict(of_columns or {})
        self.coords = self.of_columns | self.given
        self._sizes = frozenset((n, len(own), n in self.given) for n, own in self.coords.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Labels) and self._sizes == other._sizes

    def __hash__(self) -> int:
        return hash(self._sizes)

    def replace(self, given: Mapping[str, Any]) -> "Labels":
        """Return the same labels with others of some dimensions."""
        return Labels({**self.given, **given}, self.of_columns)


def refuse_other_labels(where: str, first: Any, other: Any) -> None:
    """Raise if a model of a list has as many, but other coordinates of a dimension than the first.

    Results of a list have one set of coordinates.

    Args:
        where: What to call the other model in the error.
        first: The first model.
        other: The other one; what is no model is left for others to refuse.
    """
    one, own = (getattr(getattr(model, "labels", None), "coords", {}) for model in (first, other))
    for dim in one.keys() & own.keys():
        if len(one[dim]) == len(own[dim]) and not _are_same(one[dim], own[dim]):
            raise ModelError(
                where,
                f"it has other coordinates of the dimension {dim!r} than models[0], or in another "
                "order, and the results of a list are labelled once for all",
                f"Give all the same, such as model.with_coords({dim}=range({len(one[dim])})), or "
                "call for each model by itself.",
            )


def _are_same(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether labels are equal; missing ones, which do not equal themselves, are."""
    if one is other or np.array_equal(one, other):
        return True
    both_missing = (one != one) & (other != other)
    return one.dtype == other.dtype and bool(((one == other) | both_missing).all())


def _as_vector(dim: str, values: Any) -> np.ndarray:
    if not is_name(dim):
        mend = 'Name the dimension: coords={"school": ["Andover", "Deerfield"]}.'
        raise ModelError("coords", f"{dim!r} is no name", f"{mend} A name has no '/'.")
    where = f"coords[{dim!r}]"
    refuse_units(where, values)
    # A copy, since the labels of a column may share its memory.
    array = np.array(_read_labels(where, values) if is_column(values) else values)
    if array.ndim != 1:
        raise ModelError(
            where,
            f"{values!r} has {array.ndim} axes",
            "Give a label for each entry along the dimension, such as range(3).",
        )
    return array


def _read_labels(where: str, column: Any) -> np.ndarray:
    """Return the labels of a column: its categories, its entries, or strings that repeat once."""
    found = read_column(where, column, as_labels=True)
    if not isinstance(found, Coded):
        return found
    is_each_once = len(found.codes) == len(found.labels) and not found.are_categories
    return found.labels[found.codes] if is_each_once else found.labels
