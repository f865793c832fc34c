"""Data for a Stan program: read, checked against its data block, and written as JSON."""

import json
import os
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import ModelError
from ...inputs.foreign import refuse_masked
from ...inputs.names import join_names
from ...inputs.precision import refuse_nan
from ...inputs.units import refuse_units


def read_data(given: Mapping[str, Any] | str | os.PathLike | None) -> dict[str, np.ndarray]:
    """Read data: a mapping, or the path or the text of a JSON file.

    Raises:
        ModelError: They hold NaN or something that is no array of numbers.
    """
    if given is None:
        return {}
    if hasattr(given, "columns"):
        mend = "Give its columns by name, with the sizes that the program declares."
        raise ModelError("data", f"they are a {type(given).__name__}", mend)
    named = given if isinstance(given, Mapping) else _read_json(given)
    return {str(name): _as_array(str(name), value) for name, value in named.items()}


def refuse_other_names(given: Collection[str], declared: Collection[str]) -> None:
    """Raise if data are missing, or if the program does not declare some of them."""
    for name in declared:
        if name not in given:
            raise ModelError(
                name,
                "the program declares it in its data block, but no value is given",
                f"Give data={{{name!r}: ...}}; the program declares {join_names(declared)}.",
            )
    for name in given:
        if name not in declared:
            close = get_close_matches(name, list(declared), 1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise ModelError(
                name,
                "data are given for it, but the program does not declare it",
                f"{hint}Leave it out; the program declares {join_names(declared) or 'no data'}.",
            )


def write_json(data: Mapping[str, np.ndarray]) -> str:
    """Write data as JSON, as Stan reads it; the text is the same for equal data."""
    return json.dumps({name: _as_lists(data[name]) for name in sorted(data)})


def _as_lists(array: np.ndarray) -> Any:
    if np.isfinite(array).all():
        return array.tolist()
    # JSON has no word for these numbers; Stan reads the strings "Infinity" and "-Infinity".
    signs = np.char.replace(array.astype(str), "inf", "Infinity").astype(object)
    return np.where(np.isfinite(array), array, signs).tolist()


def _read_json(given: str | os.PathLike) -> dict[str, Any]:
    is_text = isinstance(given, str) and given.lstrip().startswith("{")
    try:
        found = json.loads(str(given) if is_text else Path(given).read_text())
    except (OSError, TypeError, ValueError) as error:
        raise ModelError(
            "data",
            f"they cannot be read: {error}",
            "Give a dictionary of arrays, or the path of a JSON file.",
        ) from error
    if not isinstance(found, dict):
        raise ModelError("data", f"the file holds a {type(found).__name__}", "Write an object.")
    return found


def _as_array(name: str, value: Any) -> np.ndarray:
    refuse_units(name, value)
    refuse_masked(name, value, mend="Drop them; Stan has no missing data.")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ModelError(
            name, f"its rows are not an array: {error}", "Stan has no ragged arrays; pad the rows."
        ) from error
    if array.dtype == bool:
        array = array.astype(int)
    if array.dtype.kind not in "iuf":
        mend = "Give numbers; Stan has no text, and counts categories from 1."
        raise ModelError(name, f"its values are of type {array.dtype}, not numbers", mend)
    refuse_nan(name, array)
    return array
