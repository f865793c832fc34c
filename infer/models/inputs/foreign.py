"""Refuse what holds no numbers: say what it is, and how to convert it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ...errors import ModelError

_CODES = (
    "Replace them by whole numbers: codes, names = pandas.factorize(x), or "
    "names, codes = numpy.unique(x, return_inverse=True)."
)


def refuse_foreign(where: str, value: Any, what: str = "it") -> None:
    """Raise if a value is not an array of numbers: strings, objects, dates, categories, records.

    A table or a series of pandas that holds numbers is accepted; pandas is not imported.

    Args:
        where: The argument, for the error.
        value: The value.
        what: What to call it in the error.

    Raises:
        ModelError: It holds no numbers; the message says how to convert it.
    """
    if not holds_numbers(value):
        raise ModelError(where, *explain(what, value))


def refuse_masked(
    where: str,
    value: Any,
    what: str = "it",
    mend: str = "Drop them, or replace them by x.filled(value). Observations may be marked as "
    "missing, by missing= of site.observe or obs_mask= of numpyro.sample.",
) -> None:
    """Raise if entries of an array are masked: JAX would take the numbers behind the mask.

    Args:
        where: The argument or the site, for the error.
        value: The array, or a list of arrays.
        what: What to call it in the error.
        mend: What to do.
    """
    if isinstance(value, list | tuple):
        for row in value:
            refuse_masked(where, row, f"an entry of {what}", mend)
    if not isinstance(value, np.ma.MaskedArray) or not np.ma.is_masked(value):
        return
    gone = np.ma.getmaskarray(value)
    masked = f"{int(gone.sum())} of {gone.size} entries are masked"
    raise ModelError(where, f"{what} is a masked array, in which {masked}", mend)


def holds_numbers(value: Any) -> bool:
    """Return whether every entry of an array, a table or a number has a numeric type."""
    if isinstance(value, jax.Array | Tracer):
        return True
    # A series of pandas may have a dtype that NumPy does not know.
    dtype = getattr(value, "dtype", None)
    dtype = dtype if isinstance(dtype, np.dtype) else _as_any_array(value).dtype
    # A time difference is a whole number to NumPy.
    is_number = jnp.issubdtype(dtype, np.number) and dtype.kind != "m"
    return is_number or jnp.issubdtype(dtype, np.bool_)


def as_native(value: Any) -> Any:
    """Return an array of NumPy in a type that JAX knows; any other value unchanged.

    Files of other machines hold bytes in another order, and extended precision becomes double.
    """
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind not in "iufc":
        return value
    wide = {"f": 8, "c": 16}.get(value.dtype.kind, 8)
    if value.dtype.isnative and value.dtype.itemsize <= wide:
        return value
    return value.astype(f"{value.dtype.kind}{min(value.dtype.itemsize, wide)}")


def _as_any_array(value: Any) -> np.ndarray:
    """Convert anything to an array, of objects if its rows have different lengths."""
    try:
        return np.asarray(value)
    except ValueError:
        return np.asarray(value, object)


def explain(what: str, value: Any) -> tuple[str, str]:
    """Return what was found, and how to convert it to numbers."""
    array, kind = _as_any_array(value), type(value).__name__
    if value is None:
        return (
            f"{what} is None",
            "Give a number or an array; a function without a return statement returns None.",
        )
    if hasattr(value, "columns") and hasattr(value, "dtypes"):
        return _explain_table(what, value)
    if array.dtype.kind in "Mm":
        mend = 'Give numbers, such as days: (x - x.min()) / numpy.timedelta64(1, "D").'
        return f"{what} holds dates or times", mend
    if array.dtype.names:
        first = array.dtype.names[0]
        return f"{what} holds records", f"Pass each field by name: {first}=x[{first!r}]."
    if str(getattr(value, "dtype", "")) == "category":
        return f"{what} holds categories", _CODES
    if array.ndim == 0 and array.dtype.kind == "O":
        return f"{what} is a {kind}, not a number or an array", "Give numbers."
    return _explain_entry(what, array)


def _explain_table(what: str, table: Any) -> tuple[str, str]:
    bad = [c for c in table.columns if not holds_numbers(table[c])]
    return (
        f"{what} is a {type(table).__name__}, and column {bad[0]!r} holds no numbers",
        f"Pass its columns by name, each as an array: x=table[{table.columns[0]!r}].to_numpy(). "
        f"For strings and categories: {_CODES[0].lower()}{_CODES[1:]}",
    )


def _explain_entry(what: str, array: np.ndarray) -> tuple[str, str]:
    entries = [entry for entry in array.reshape(-1) if not _is_number(entry)]
    if not entries:
        return f"{what} holds numbers as Python objects", "Give x.astype(float)."
    if isinstance(entries[0], str | bytes):
        return f"{what} holds strings, such as {array.reshape(-1).tolist()[0]!r}", _CODES
    if isinstance(entries[0], list | tuple | np.ndarray):
        return (
            f"the rows of {what} have different lengths",
            "Give one long array of all entries, and another with the row of each entry.",
        )
    return (
        f"{what} holds {entries[0]!r} among the numbers",
        "Give only numbers; mark missing entries by missing=, see site.observe.",
    )


def _is_number(entry: Any) -> bool:
    return isinstance(entry, int | float | complex | np.number | np.bool_)
