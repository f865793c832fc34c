"""Replace columns among the data: numbers by arrays, labels by codes."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ...errors import ModelError
from .columns import Coded, encode, is_column, read_column
from .data import Marked, is_array, name_path
from .labels import Labels


def code_columns(
    named: Mapping[str, Any], labels: Labels, *, adds: bool = True
) -> tuple[dict[str, Any], Labels]:
    """Replace the columns of pandas and polars among named data by arrays.

    A column of labels is named after the last key that leads to it, or, if it is all of the data,
    as it is named itself. If a dimension of that name has coordinates, its codes are indices of
    these; otherwise its labels become the coordinates of the dimension.

    Args:
        named: The data, a dictionary of pytrees.
        labels: Coordinates of the model.
        adds: Whether new labels become coordinates; without it they are refused.

    Returns:
        The data without columns, and the coordinates with the labels of new columns.

    Raises:
        ModelError: A column has missing entries, other types, or labels that are not among the
            coordinates, or that are those of another dimension in another order.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(dict(named), is_leaf=is_array)
    found, new = [], dict(labels.of_columns)
    for path, given in paths:
        value = given.value if isinstance(given, Marked) else given
        if is_column(value):
            where = name_path(path)
            read = read_column(where, value)
            if isinstance(read, Coded):
                name = _name(path, value)
                read = _code(where, name, read, labels.given, new, adds)
            given = Marked(read, given.is_leaf, given.devices) if given is not value else read
        found.append(given)
    return jax.tree.unflatten(structure, found), Labels(labels.given, new)


def code_new_columns(
    args: tuple[Any, ...], named: Mapping[str, Any], labels: Labels
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Replace columns among other data of a model, whose labels are those of the first ones."""
    coded = (code_columns({"data": a}, labels, adds=False)[0]["data"] for a in args)
    return tuple(coded), code_columns(named, labels, adds=False)[0]


def _code(
    where: str,
    name: str,
    found: Coded,
    given: Mapping[str, np.ndarray],
    of_columns: dict[str, np.ndarray],
    adds: bool,
) -> np.ndarray:
    """Return the codes of one column; its labels are added to those of columns, if they are new."""
    known = given.get(name, of_columns.get(name))
    if known is not None:
        return encode(where, name, found, known)
    if not adds:
        raise ModelError(
            where,
            "it holds labels, and the model was made with none there, so that their codes are not "
            "known",
            f"Give codes, or make the model with coords={{{name!r}: [...]}}.",
        )
    _refuse_other_order(where, found.labels.tolist(), given)
    of_columns[name] = found.labels
    return found.codes


def _refuse_other_order(where: str, labels: list[Any], given: Mapping[str, np.ndarray]) -> None:
    """Raise if another dimension has these labels in another order, so that codes would not fit."""
    for dim, values in given.items():
        others = values.tolist()
        if set(labels) <= set(others) and others[: len(labels)] != labels:
            raise ModelError(
                where,
                f"its labels are those of dimension {dim!r}, which has them in another order",
                f"Name the argument {dim!r}, so that its codes are indices of that dimension; or "
                f"give coords={{{dim!r}: column}}.",
            )


def _name(path: tuple, column: Any) -> str:
    key = getattr(path[-1], "key", None)
    own = getattr(column, "name", None)
    if isinstance(key, str) and not (len(path) == 1 and key == "data"):
        return key
    return own if isinstance(own, str) and own else name_path(path)
