"""Indices that reach beyond what they index, found before anything is computed: JAX clips them."""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np

from ....errors import ModelError
from .library import library


class Lookup(NamedTuple):
    """An index along one axis.

    Attributes:
        index: Whole numbers, as a variable of PyTensor.
        length: Length of the axis.
    """

    index: Any
    length: int

    def depends_only_on(self, data: Collection[Any]) -> bool:
        """Return whether the index is a constant or computed from data."""
        inputs = library().pytensor.graph.traversal.graph_inputs([self.index])
        return all(hasattr(own, "data") or own in data for own in inputs)

    def refuse_beyond(self, name: str, index: Any) -> None:
        """Raise if an index is out of range.

        Raises:
            ModelError: It is, as PyMC would say when it computes the density.
        """
        outside = np.asarray(index)
        outside = outside[(outside < -self.length) | (outside >= self.length)]
        if outside.size:
            raise ModelError(
                name,
                f"the index {int(outside.flat[0])} is out of range for an axis of length "
                f"{self.length}",
                f"Give indices from 0 to {self.length - 1}.",
            )


def find_lookups(node: Any) -> Iterator[Lookup]:
    """Yield the indices of a node by whole numbers, along axes of known length."""
    if type(node.op).__name__ not in ("Subtensor", "AdvancedSubtensor", "AdvancedSubtensor1"):
        return
    indexed, *flat = node.inputs
    subtensor = library().pytensor.tensor.subtensor
    own = getattr(node.op, "idx_list", None)
    indices = tuple(flat) if own is None else subtensor.indices_from_subtensor(flat, own)
    axis = 0
    for index in indices:
        dtype = getattr(getattr(index, "type", None), "dtype", "")
        if dtype.startswith(("int", "uint")):
            length = _find_length(indexed, axis)
            if length is not None:
                yield Lookup(index, length)
        # A new axis indexes none; a mask indexes as many as it has.
        is_new = type(getattr(index, "type", None)).__name__ == "NoneTypeT"
        axis += 0 if is_new else index.type.ndim if dtype == "bool" else 1


def _find_length(array: Any, axis: int) -> int | None:
    """Return the length of an axis, if it is known before the program runs."""
    length = array.type.shape[axis]
    if length is not None:
        return length
    with library().pytensor.config.change_flags(cxx=""):
        fold = library().pymc.pytensorf.constant_fold
        (found,) = fold([array.shape[axis]], raise_not_constant=False)
    return int(found) if isinstance(found, np.ndarray) else None
