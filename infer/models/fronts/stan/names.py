"""Names of Stan's flat quantities, such as "theta.2.1", gathered into arrays."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array

from bijectors.base import Shape

_INDICES = re.compile(r"^(.*?)((?:\.\d+)*)$")


class Quantity(NamedTuple):
    """An array among flat numbers; it hashes.

    Attributes:
        name: Its name in the program.
        shape: Its shape.
        places: For each entry, in the order of rows, its place among the flat numbers.
        is_generated: Whether it belongs to the generated quantities.
    """

    name: str
    shape: Shape
    places: tuple[int, ...]
    is_generated: bool

    def take(self, flat: Array) -> Array:
        """Take the array from flat numbers."""
        return flat[np.array(self.places)].reshape(self.shape)


def gather(names: Sequence[str], generated_from: int) -> tuple[Quantity, ...]:
    """Gather flat numbers into arrays.

    Stan counts from 1, and lets the first index vary fastest.

    Args:
        names: Names of the flat numbers.
        generated_from: How many come before the first generated quantity.
    """
    entries: dict[str, dict[Shape, int]] = {}
    for place, name in enumerate(names):
        found = _INDICES.match(name)
        assert found is not None
        index = tuple(int(i) - 1 for i in found[2].split(".")[1:])
        entries.setdefault(found[1], {})[index] = place
    return tuple(_join(name, own, generated_from) for name, own in entries.items())


def _join(name: str, own: dict[Shape, int], generated_from: int) -> Quantity:
    shape = tuple(int(n) + 1 for n in np.max(np.array(list(own)), axis=0)) if () not in own else ()
    places = tuple(own[index] for index in np.ndindex(shape))
    return Quantity(name, shape, places, places[0] >= generated_from)
