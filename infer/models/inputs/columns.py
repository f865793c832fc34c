"""Columns of pandas and polars: as an array of numbers, or as codes with labels."""

import sys
from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any, NamedTuple

import numpy as np

from ...errors import ModelError


class Coded(NamedTuple):
    """A column of labels, as whole numbers.

    Attributes:
        codes: Index of each entry's label, shape (rows,).
        labels: The labels, shape (number of labels,).
        are_categories: Whether the column's type has the labels, in this order, used or not.
    """

    codes: np.ndarray
    labels: np.ndarray
    are_categories: bool = False


def is_column(value: Any) -> bool:
    """Return whether a value is a series, an index or a table of pandas or polars.

    Neither library is imported: a value of one exists only if someone else has imported it.
    """
    return _is_of_pandas(value) or _is_of_polars(value)


def is_table(value: Any) -> bool:
    """Return whether a value is a table of pandas or polars."""
    return is_column(value) and type(value).__name__.endswith("Frame")


def read_column(where: str, value: Any, *, as_labels: bool = False) -> np.ndarray | Coded:
    """Read a series, an index or a table of pandas or polars.

    Numbers and booleans of any type, also nullable ones and those of Arrow, become an array;
    categories and strings become codes. Categories keep their order; strings are sorted. A table of
    numbers becomes a matrix.

    Args:
        where: The argument, for errors.
        value: The column; see `is_column`.
        as_labels: Whether it shall label a dimension: strings that read as numbers and dates are
            then accepted.

    Raises:
        ModelError: Entries are missing, or are neither numbers nor labels; a table has columns of
            labels; strings read as numbers.
    """
    if is_table(value):
        return _read_table(where, value)
    return (_read_polars if _is_of_polars(value) else _read_pandas)(where, value, as_labels)


def without_column(where: str, value: Any, what: str = "it") -> Any:
    """Return a column of numbers as an array; refuse labels, which have no codes here.

    Args:
        where: The site or the leaf, for errors.
        value: Anything; what is no column is returned as it is.
        what: What to call it in the error.

    Raises:
        ModelError: As `read_column` does, or it holds labels.
    """
    if not is_column(value):
        return value
    found = read_column(where, value)
    if isinstance(found, Coded):
        such_as = f", such as {found.labels.tolist()[0]!r}" if len(found.labels) else ""
        raise ModelError(
            where,
            f"{what} is a column of labels{such_as}",
            "Give it to the model as data, where it becomes codes: infer.model(f, x=column). "
            'Or give the codes: x.astype("category").cat.codes.to_numpy().',
        )
    return found


def encode(where: str, dim: str, found: Coded, labels: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Return the codes of a column by other labels than its own.

    Args:
        where: The argument, for errors.
        dim: The dimension that has the labels.
        found: The column.
        labels: The labels of the dimension.

    Raises:
        ModelError: The column holds a label that is not among them, or they repeat.
    """
    known = {label: code for code, label in enumerate(np.asarray(labels).tolist())}
    if len(known) < len(labels):
        raise ModelError(
            f"coords[{dim!r}]",
            f"labels repeat, so that they give the column {where!r} no codes",
            f"Give each label once, or the column itself: coords={{{dim!r}: column}}.",
        )
    own = found.labels.tolist()
    used = set(np.unique(found.codes).tolist())
    unknown = [label for code, label in enumerate(own) if label not in known and code in used]
    if unknown:
        raise ModelError(
            where,
            f"it holds {unknown[0]!r}, which is no label of dimension {dim!r}",
            f"Its labels are {_join(known)}. For others, give them first: "
            f"model.with_coords({dim}=...), or coords= of a new model.",
        )
    return np.asarray([known.get(label, -1) for label in own], np.int32)[found.codes]


def _join(labels: Mapping[Any, Any]) -> str:
    shown = ", ".join(map(str, list(labels)[:12]))
    return shown + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")


def _is_of_pandas(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    kinds = ("Series", "Index", "DataFrame")
    if pandas is None or not all(hasattr(pandas, kind) for kind in kinds):
        return False
    own = *(getattr(pandas, kind) for kind in kinds), pandas.api.extensions.ExtensionArray
    return isinstance(value, own)


def _is_of_polars(value: Any) -> bool:
    polars = sys.modules.get("polars")
    if polars is None or not hasattr(polars, "LazyFrame"):
        return False
    return isinstance(value, polars.Series | polars.DataFrame | polars.LazyFrame)


def _read_table(where: str, table: Any) -> np.ndarray:
    kind = type(table).__name__
    if kind == "LazyFrame":
        raise ModelError(
            where, "it is a LazyFrame, whose rows are not computed", "Give table.collect()."
        )
    columns = []
    for name in table.columns:
        try:
            column = read_column(f"{where}[{name!r}]", table[name])
        except ModelError as error:
            raise ModelError(
                where, f"it is a {kind}, and of its column {name!r}: {error.found}", error.mend
            ) from None
        if isinstance(column, Coded):
            raise ModelError(
                where,
                f"it is a {kind}, and column {name!r} holds labels, not numbers",
                "A table is one matrix of numbers. Pass its columns by name, each as an argument: "
                f'infer.model(f, {table.columns[0]}=table["{table.columns[0]}"]).',
            )
        columns.append(column)
    return np.stack(columns, -1) if columns else np.zeros((len(table), 0))


def _read_pandas(where: str, value: Any, as_labels: bool) -> np.ndarray | Coded:
    pandas: Any = sys.modules["pandas"]
    kinds, dtype = pandas.api.types, value.dtype
    if isinstance(value, pandas.MultiIndex):
        mend = "Give one level: index.get_level_values(name)."
        raise ModelError(where, "it is an index of several levels", mend)
    _refuse_missing(where, np.asarray(value.isna()), "dropna", dtype)
    if isinstance(dtype, pandas.CategoricalDtype):
        found = pandas.Categorical(value)
        return Coded(np.asarray(found.codes, np.int32), _plain(found.categories), True)
    if kinds.is_numeric_dtype(dtype) or kinds.is_bool_dtype(dtype):
        return _convert(value, dtype)
    if kinds.is_datetime64_any_dtype(dtype) or kinds.is_timedelta64_dtype(dtype):
        return _read_dates(where, value, as_labels)
    if kinds.is_string_dtype(dtype) or kinds.is_object_dtype(dtype):
        as_number = "x.astype(float)" if not as_labels else ""
        return _code_strings(where, value.tolist(), as_number, 'x.astype("category")')
    raise _explain_type(where, dtype)


def _read_dates(where: str, value: Any, as_labels: bool) -> np.ndarray:
    dtype = value.dtype
    if as_labels and isinstance(dtype, np.dtype):
        return np.asarray(value)
    if as_labels:
        mend = "Give x.dt.tz_localize(None), or x.tz_localize(None) for an index."
        raise ModelError(where, f"its type is {dtype}, and labels have no time zone", mend)
    is_span = dtype.kind == "m"
    raise _explain_dates(where, "x.dt.total_seconds()" if is_span else "(x - x.min()).dt.days")


def _convert(value: Any, dtype: Any) -> np.ndarray:
    """Read numbers or booleans of NumPy's types, of pandas' nullable ones, or of Arrow's."""
    if isinstance(dtype, np.dtype):
        return np.asarray(value)
    own = getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", None))
    # A decimal of Arrow has no type of NumPy.
    is_plain = isinstance(own, np.dtype) and own.kind in "biufc"
    return np.asarray(value.to_numpy(dtype=own if is_plain else float))


def _read_polars(where: str, value: Any, as_labels: bool) -> np.ndarray | Coded:
    polars: Any = sys.modules["polars"]
    dtype = value.dtype
    _refuse_missing(where, np.asarray(value.is_null().to_list(), bool), "drop_nulls")
    if isinstance(dtype, polars.Decimal):
        return value.cast(polars.Float64).to_numpy()
    if dtype.is_numeric() or dtype == polars.Boolean:
        return value.to_numpy()
    if isinstance(dtype, polars.Enum):
        codes = value.to_physical().to_numpy().astype(np.int32)
        return Coded(codes, _plain(dtype.categories), True)
    if dtype == polars.Categorical:
        # Their order and their codes are those of all columns of the process.
        return _code(value.cast(polars.String).to_list())
    if dtype == polars.String:
        as_number = "x.cast(polars.Float64)" if not as_labels else ""
        return _code_strings(where, value.to_list(), as_number, "x.cast(polars.Categorical)")
    if dtype.is_temporal() and as_labels and dtype != polars.Time:
        return value.to_numpy()
    if dtype.is_temporal():
        days = "(x - x.min()).dt.total_days()"
        raise _explain_dates(where, "x.dt.total_seconds()" if dtype == polars.Duration else days)
    found = value.to_numpy() if isinstance(dtype, polars.Array) else np.zeros(0, object)
    if found.dtype.kind in "biuf":
        return found
    raise _explain_type(where, dtype)


def _code_strings(where: str, entries: list[Any], as_number: str, as_labels: str) -> Coded:
    """Code strings by their sorted labels; refuse other objects, and numbers read as strings."""
    kinds = {type(entry).__name__: entry for entry in entries}
    if kinds.keys() - {"str"}:
        raise _explain_objects(where, kinds)
    if as_number and entries and all(map(_reads_as_number, set(entries))):
        raise ModelError(
            where,
            f"its entries are strings that read as numbers, such as {entries[0]!r}",
            f"For numbers, give {as_number}; for labels, {as_labels}.",
        )
    return _code(entries)


def _code(entries: list[str]) -> Coded:
    labels, codes = np.unique(np.asarray(entries, str), return_inverse=True)
    return Coded(codes.astype(np.int32), labels)


def _reads_as_number(entry: str) -> bool:
    try:
        float(entry)
    except ValueError:
        return False
    return True


def _plain(categories: Any) -> np.ndarray:
    """Return categories as an array that a file takes: strings, unless they are numbers."""
    found = np.asarray(categories)
    return found if found.dtype.kind in "biufM" else np.asarray([str(own) for own in categories])


def _refuse_missing(where: str, missing: np.ndarray, drop: str, dtype: Any = None) -> None:
    # NaN in an array of NumPy is a number, which is refused or used as in any other array.
    if isinstance(dtype, np.dtype) and dtype.kind in "fc":
        return
    if missing.any():
        raise ModelError(
            where,
            f"{int(missing.sum())} of its {missing.size} entries are missing, the first at index "
            f"{int(missing.argmax())}",
            f"Drop these rows from the table: table.{drop}(subset=...); or fill them in. Gaps in "
            "what was observed: fill them with any value, and mark them by missing= of "
            "site.observe.",
        )


def _explain_dates(where: str, mend: str) -> ModelError:
    return ModelError(where, "it holds dates or times", f"Give numbers, such as {mend}.")


def _explain_objects(where: str, kinds: Mapping[str, Any]) -> ModelError:
    shown = " and ".join(f"{entry!r} ({kind})" for kind, entry in list(kinds.items())[:2])
    if all(isinstance(entry, Number) for entry in kinds.values()):
        return ModelError(where, "it holds numbers as Python objects", "Give x.astype(float).")
    return ModelError(
        where,
        f"it holds Python objects, such as {shown}",
        "Give a column of one type: x.astype(float) for numbers, or x.astype(str) for labels.",
    )


def _explain_type(where: str, dtype: Any) -> ModelError:
    return ModelError(
        where,
        f"its type is {dtype}, which is neither numbers nor labels",
        'Give numbers, such as x.astype(float), or labels, x.astype("category").',
    )
