"""Coordinates whose location and scale depend on other coordinates.

Some coordinates x depend on others, their parents v, which depend on none, or on such as depend on
none:

    x = a + L v + exp(b + S v) y,

and it is y that should look like a normal of fixed scale.
"""

from typing import NamedTuple

import numpy as np


class Dependence(NamedTuple):
    """Which coordinates depend on which, in the units of the draws.

    Attributes:
        slopes: S, shape (size, size): a row for each coordinate, zero except at its parents.
        locations: L, likewise.
        offset: a, shape (size,); 0 for a coordinate without parents.
        log_scale: b, likewise.
    """

    slopes: np.ndarray
    locations: np.ndarray
    offset: np.ndarray
    log_scale: np.ndarray

    @property
    def dependent(self) -> np.ndarray:
        """Which coordinates have parents, shape (size,)."""
        return np.asarray(self.links.any(1))

    @property
    def links(self) -> np.ndarray:
        """Which coordinate, by row, has which parent, shape (size, size)."""
        return np.logical_or(self.slopes, self.locations)


def no_dependence(size: int) -> Dependence:
    """Return the dependence of coordinates that are left as they are."""
    return Dependence(*np.zeros((2, size, size)), *np.zeros((2, size)))
