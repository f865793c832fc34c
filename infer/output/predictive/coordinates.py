"""Find coordinates of a model among those of a posterior, in whichever types both are kept."""

import numpy as np

from ...errors import ModelError

NEW = -1
# Numbers this near, relative to the smallest gap between two, are the same in another precision.
NEAR = 1e-5


def find_coordinates(name: str, dim: str, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return the index of each new coordinate among the old ones, which differ; `NEW` if none.

    Dates are compared as such, in any unit; numbers up to rounding.

    Args:
        name: The site, for errors.
        dim: What to call the dimension in errors.
        old: Coordinates of the posterior.
        new: Those of the model.

    Raises:
        ModelError: The ones are numbers and the others strings or dates, so that none is found.
    """
    kinds = [_kind_of(labels) for labels in (old, new)]
    if kinds[0] != kinds[1] and None not in kinds:
        raise ModelError(
            name,
            f"the coordinates of {dim} are {kinds[0]} in the posterior, such as {old[0]}, and "
            f"{kinds[1]} in the model, such as {new[0]}, so none of them are the same",
            "Give the model coordinates of the same type.",
        )
    if kinds[0] == "numbers" and "f" in (old.dtype.kind, new.dtype.kind):
        return _find_near(old.astype(float), new.astype(float))
    if kinds[0] in ("dates", "times"):
        unit = np.promote_types(old.dtype, new.dtype)
        old, new = old.astype(unit).astype(int), new.astype(unit).astype(int)
    position = {label: index for index, label in enumerate(old.tolist())}
    return np.array([position.get(label, NEW) for label in new.tolist()], int)


def _kind_of(labels: np.ndarray) -> str | None:
    """Return what coordinates are; `None` if they are of several kinds, or there are none."""
    if not labels.size:
        return None
    if labels.dtype.kind in "OUT":
        return "strings" if all(isinstance(label, str) for label in labels) else None
    return {"M": "dates", "m": "times", "b": "booleans"}.get(labels.dtype.kind, "numbers")


def _find_near(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    order = np.argsort(old)
    known = old[order]
    gap = np.min(np.diff(known), initial=np.inf)
    tolerance = NEAR * (gap if np.isfinite(gap) else abs(known[0]))
    right = np.searchsorted(known, new).clip(0, len(known) - 1)
    left = (right - 1).clip(0)
    nearest = np.where(abs(known[left] - new) < abs(known[right] - new), left, right)
    return np.where(abs(known[nearest] - new) <= tolerance, order[nearest], NEW)
