"""What is given where numbers belong: say what it is, and how to make numbers of it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ...errors import ModelError

_CODES = (
    "Give whole numbers that stand for them: codes, names = pandas.factorize(x), or "
    "names, codes = numpy.unique(x, return_inverse=True)."
)


def refuse_foreign(where: str, value: Any) -> None:
    """Raise if something that looks like an array holds no numbers.

    Strings, objects, dates, categories and records do not. A table or a series of pandas that
    holds numbers is an array like any other; nothing of pandas is imported.

    Raises:
        ModelError: It holds none; the message names the argument and says how to make numbers.
    """
    if not holds_numbers(value):
        raise ModelError(where, *_said("it", value))


def as_array(where: str, value: Any, what: str = "its value") -> Array:
    """Make an array of what a model's function gave or returned.

    Raises:
        ModelError: It holds no numbers; the message names the site.
    """
    try:
        return jnp.asarray(value)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
        raise
    except (TypeError, ValueError) as error:
        raise ModelError(where, *_said(what, value)) from error


def holds_numbers(value: Any) -> bool:
    """Return whether every entry of an array, a table or a number has a numeric type."""
    if isinstance(value, jax.Array | Tracer):
        return True
    # A series of pandas may have a type that is none of NumPy's.
    dtype = getattr(value, "dtype", None)
    dtype = dtype if isinstance(dtype, np.dtype) else _loose(value).dtype
    return jnp.issubdtype(dtype, np.number) or jnp.issubdtype(dtype, np.bool_)


def _loose(value: Any) -> np.ndarray:
    """Make an array of anything, of objects if its rows have different lengths."""
    try:
        return np.asarray(value)
    except ValueError:
        return np.asarray(value, object)


def _said(what: str, value: Any) -> tuple[str, str]:
    """Say what it is that holds no numbers, and how to make some of it."""
    array, kind = _loose(value), type(value).__name__
    if value is None:
        return (
            f"{what} is None",
            "Give a number or an array; a function without return returns None.",
        )
    if hasattr(value, "columns") and hasattr(value, "dtypes"):
        return _said_of_table(what, value)
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
    return _said_of_entry(what, array)


def _said_of_table(what: str, table: Any) -> tuple[str, str]:
    bad = [c for c in table.columns if not holds_numbers(table[c])]
    return (
        f"{what} is a {type(table).__name__}, and column {bad[0]!r} holds no numbers",
        f"Pass its columns by name, each as an array: x=table[{table.columns[0]!r}].to_numpy(). "
        f"Of words and categories: {_CODES[0].lower()}{_CODES[1:]}",
    )


def _said_of_entry(what: str, array: np.ndarray) -> tuple[str, str]:
    entries = [entry for entry in array.reshape(-1) if not _is_a_number(entry)]
    if not entries:
        return f"{what} holds numbers as Python objects", "Give x.astype(float)."
    if isinstance(entries[0], str | bytes):
        return f"{what} holds strings, such as {array.reshape(-1).tolist()[0]!r}", _CODES
    if isinstance(entries[0], list | tuple | np.ndarray):
        return (
            f"the rows of {what} have different lengths",
            "Give one long array, and another one with the row of each entry.",
        )
    return (
        f"{what} holds {entries[0]!r} among the numbers",
        "Give numbers alone; missing entries are said by missing=, see site.observe.",
    )


def _is_a_number(entry: Any) -> bool:
    return isinstance(entry, int | float | complex | np.number | np.bool_)
