"""Probabilities of classes: the likelihood of each row with every class in the place of its own.

So nothing is needed of a model but its likelihood, and the probabilities check themselves: those
of all classes add up to one, unless the observation is not of these classes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

from ...errors import ModelError
from ...models.inputs.names import join_names
from ...models.model import Model
from .draw_source import DrawSource
from .streamed import RowRange, try_one

# Largest number of classes that is tried if the user gives none.
MAX_CLASSES = 1000
# Largest difference from one of the sum of a row's probabilities; in single precision, those of a
# thousand classes round to 1e-4.
TOLERANCE = 1e-3


class Labels(NamedTuple):
    """Data that have the class of each row.

    Attributes:
        leaf: Index of their leaf among the data.
        name: Their name.
        values: The class of each row, from 0.
        classes: Number of classes.
    """

    leaf: int
    name: str
    values: Int[np.ndarray, "rows"]
    classes: int

    def put_into(self, rows: RowRange) -> RowRange:
        """Return how rows are evaluated as if they were of each class."""
        return rows._replace(labels=self.leaf, classes=self.classes)


def find_labels(
    rows: RowRange, model: Model, draws: DrawSource, batch_size: int | None
) -> Labels | None:
    """Find the data that have the class of each row, if there are any.

    They are whole numbers from 0 on, one for each row, and the probabilities of their values add up
    to one, which is tried for some rows at one draw.
    """
    for labels in _list_candidates(rows, model):
        found = try_one(labels.put_into(rows), model, draws, batch_size)
        if _find_unlike_one(found) is None:
            return labels
    return None


def read_labels(rows: RowRange, model: Model, name: str, classes: int | None) -> Labels:
    """Read the labels that a user names.

    Raises:
        ModelError: There are no such data, or they are not one class for each row.
    """
    named = dict(_name_leaves(model))
    if name not in named:
        mend = f"The data of the model are {join_names(named)}."
        raise ModelError("labels", f"the model has no data {name!r}", mend)
    leaf = named[name]
    values = np.asarray(model.program.data.parts.leaves[leaf])
    is_class = _are_whole(values) and values.shape == rows.shape
    if not is_class or (classes is not None and values.max(initial=0) >= classes):
        raise ModelError(
            name,
            f"it has shape {values.shape} and values from {values.min(initial=0)} to "
            f"{values.max(initial=0)}, and is no class of each of the rows of {rows.name!r}, whose "
            f"shape is {rows.shape}",
            "Give one whole number from 0 to classes - 1 for each row.",
        )
    number = max(int(values.max(initial=0)) + 1, 2) if classes is None else classes
    return Labels(leaf, name, values.astype(int), number)


def refuse_other_classes(
    labels: Labels, log_probabilities: Float[np.ndarray, "classes rows"]
) -> None:
    """Raise if the probabilities of a row do not add up to one."""
    row = _find_unlike_one(log_probabilities)
    if row is not None:
        total = np.exp(log_probabilities[:, row]).sum()
        raise ModelError(
            labels.name,
            f"the probabilities of the classes 0 to {labels.classes - 1} add up to {total:.4g} for "
            f"row {row}",
            "Give classes=, the number of all classes, if the data have only some of them; or name "
            "other labels=.",
        )


def _list_candidates(rows: RowRange, model: Model) -> Iterator[Labels]:
    for name, leaf in _name_leaves(model):
        values = np.asarray(model.program.data.parts.leaves[leaf])
        if values.shape == rows.shape and values.size and _are_whole(values):
            classes = max(int(values.max()) + 1, 2)
            if classes <= MAX_CLASSES:
                yield Labels(leaf, name, values.astype(int), classes)


def _name_leaves(model: Model) -> Iterator[tuple[str, int]]:
    """Name the arrays of real numbers in the data as users do, with the indices of their leaves."""
    data = model.program.data
    indices = [i for i, leaf in enumerate(data.parts.leaves) if leaf is not None]
    for name, index in zip(data.leaf_names(), indices, strict=True):
        # Neither complex numbers nor random keys are labels.
        kind = getattr(getattr(data.parts.leaves[index], "dtype", None), "kind", "O")
        if kind in "biuf":
            yield name.removeprefix("data.").lstrip("."), index


def _are_whole(values: np.ndarray) -> bool:
    return bool((np.isfinite(values) & (values >= 0)).all() and (values == np.floor(values)).all())


def _find_unlike_one(log_probabilities: Float[np.ndarray, "classes rows"]) -> int | None:
    """Return the first row whose probabilities do not add up to one; `None` if all do."""
    totals = np.exp(np.asarray(logsumexp(log_probabilities, axis=0)))
    unlike = np.flatnonzero(~(np.abs(totals - 1) <= TOLERANCE))
    return int(unlike[0]) if unlike.size else None
