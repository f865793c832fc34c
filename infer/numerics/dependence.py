"""Coordinates whose location and scale depend on other coordinates.

Some coordinates x depend on others, their parents v, which depend on none, or on such as depend on
none:

    x = a + L v + exp(b + bend(S v)) y,

and it is y that should look like a normal of fixed scale. A log scale u = S v may bend at t, beyond
which it is constant: bend(u) = u - log(1 + exp(2 (u - t))) / 2, so that

    1 / scale^2 = exp(-2 b) (exp(-2 u) + exp(-2 t)),

as where a prior and the data both say what x is, and their precisions add up. Without a bend t is
infinite.
"""

from typing import Any, NamedTuple

import numpy as np


class Dependence(NamedTuple):
    """Which coordinates depend on which, in the units of the draws.

    Attributes:
        slopes: S, shape (size, size): a row for each coordinate, zero except at its parents.
        locations: L, likewise.
        offset: a, shape (size,); 0 for a coordinate without parents.
        log_scale: b, likewise.
        bends: t, shape (size,); infinite without a bend.
    """

    slopes: np.ndarray
    locations: np.ndarray
    offset: np.ndarray
    log_scale: np.ndarray
    bends: np.ndarray

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
    links, each = np.zeros((2, size, size)), np.zeros((2, size))
    return Dependence(links[0], links[1], each[0], each[1], np.full(size, np.inf))


def bend(straight: Any, bends: Any, numpy: Any) -> tuple[Any, Any]:
    """Bend log scales, with NumPy or JAX.

    Returns:
        bend(u), which is nearly the smaller one of u and t; and its derivative, which is nearly 1
        below the bend and 0 beyond it.
    """
    # If both are infinite, the log scale is.
    is_straight = numpy.isinf(bends)
    gap = numpy.where(is_straight, -numpy.inf, straight - numpy.where(is_straight, 0, bends))
    corner = numpy.exp(-2 * numpy.abs(gap))
    bent = numpy.minimum(straight, bends) - 0.5 * numpy.log(1 + corner)
    return bent, numpy.where(gap > 0, corner, 1) / (1 + corner)
