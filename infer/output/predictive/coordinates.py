"""Find coordinates of a model among those of a posterior, in whichever types both are kept."""

from typing import Any

import numpy as np
import xarray

from ...errors import ModelError

NEW = -1
# Numbers this near are the same: in units of the coarser precision's rounding error, relative to
# the number; or relative to the smallest gap between two coordinates of one side.
ROUNDING, NEAR = 2, 1e-5
# What coordinates are, by pandas' name of their type; those of other types are compared as objects.
KINDS = {
    "floating": "numbers",
    "integer": "numbers",
    "boolean": "numbers",
    "string": "strings",
    "bytes": "byte strings",
    "datetime64": "dates",
    "date": "dates",
    "timedelta64": "times",
}


def find_coordinates(name: str, dim: str, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return the index of each new coordinate among the old ones; `NEW` if it is none of them.

    Dates are compared as such, in any unit; numbers up to rounding. Missing labels are the same.

    Args:
        name: The site, for errors.
        dim: What to call the dimension in errors.
        old: Coordinates of the posterior.
        new: Those of the model.

    Raises:
        ModelError: One side has numbers, the other strings or dates, so that none is found;
            coordinates of a side are not unique; or numbers are too near each other to tell which
            is which in the coarser precision of the two.
    """
    before, after = _as_index(old), _as_index(new)
    if before.equals(after):
        return np.arange(len(before))
    kinds = [KINDS.get(own.inferred_type) if len(own) else None for own in (before, after)]
    if kinds[0] != kinds[1] and None not in kinds:
        raise ModelError(
            name,
            f"the coordinates of {dim} are {kinds[0]} in the posterior, such as {old[0]}, and "
            f"{kinds[1]} in the model, such as {new[0]}, so none of them are the same",
            "Give the model coordinates of the same type.",
        )
    precisions = [np.finfo(own.dtype).eps for own in (old, new) if own.dtype.kind == "f"]
    are_rounded = kinds == ["numbers"] * 2 and bool(precisions)
    if are_rounded:
        before, after = before.astype(float), after.astype(float)
    for own in (before, after):
        _refuse_repeated(name, dim, own)
    found = before.get_indexer(after)
    if not are_rounded or NEW not in found:
        return found
    near, count = _find_near(before.to_numpy(), after.to_numpy(), ROUNDING * max(precisions))
    is_new = found == NEW
    found = np.where(is_new, near, found)
    if (count[is_new] > 1).any() or len(set(known := found[found != NEW])) < len(known):
        raise ModelError(
            name,
            f"coordinates of {dim} are too near each other for the precision of the posterior's "
            f"({old.dtype}) and the model's ({new.dtype}), so that more than one of them matches",
            "Give both the same whole numbers, dates or strings.",
        )
    return found


def _as_index(labels: np.ndarray) -> Any:
    """Return coordinates as xarray keeps them, which makes dates of Python objects."""
    if labels.dtype.kind in "bf":
        # pandas has neither half nor extended precision.
        labels = labels.astype(float)
    index = xarray.IndexVariable("labels", labels).to_index()
    return _as_index(labels.astype("M8[s]")) if index.inferred_type == "date" else index


def _refuse_repeated(name: str, dim: str, labels: Any) -> None:
    repeated = labels[labels.duplicated()].tolist()
    if repeated:
        raise ModelError(
            name,
            f"the coordinate {repeated[0]!r} of {dim} stands for several entries, so those of the "
            "posterior and of the model cannot be matched",
            "Give each entry a coordinate of its own.",
        )


def _find_near(old: np.ndarray, new: np.ndarray, rounding: float) -> tuple[np.ndarray, np.ndarray]:
    """Find numbers up to rounding.

    Args:
        old: Numbers of the posterior, each once.
        new: Those of the model, each once.
        rounding: Relative error up to which numbers are the same.

    Returns:
        The index of an old number near each new one, `NEW` if there is none; and how many are.
    """
    order = np.argsort(old)
    gap = min(_find_gap(old), _find_gap(new))
    away = np.maximum(rounding * abs(new), NEAR * gap if np.isfinite(gap) else 0.0)
    first = np.searchsorted(old[order], new - away, "left")
    count = np.searchsorted(old[order], new + away, "right") - first
    return np.where(count > 0, order[first.clip(max=len(old) - 1)], NEW), count


def _find_gap(numbers: np.ndarray) -> float:
    """Return the smallest gap between two numbers; infinite if there are none."""
    return np.min(np.diff(np.sort(numbers[np.isfinite(numbers)])), initial=np.inf)
