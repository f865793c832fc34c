"""Starts near a point: uniform around it in the unconstrained space."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

from ..errors import StartError


@dataclass(frozen=True)
class Jitter:
    """Starts spread uniformly around a point, for `starts=`: `Jitter("median", 0.5)`.

    Each coordinate of the flat unconstrained vector is that of the point plus a number uniform on
    (-radius, radius). As for "uniform", which is `Jitter(radius=2.0)`, eight such points are tried
    for a chain, which takes the one of highest log density, and up to 100 if none is usable.

    Attributes:
        around: The point: "mean", "median", "initial", values by name or a result that has values,
            as for `starts=`, or a list with one of these for each chain; by default the origin of
            the unconstrained space. Sites that are not named start as for "uniform".
        radius: Largest distance in a coordinate; 0 for the point itself.
    """

    around: Any = None
    radius: float = 1.0

    def __post_init__(self) -> None:
        number = isinstance(self.radius, Real) and not isinstance(self.radius, bool)
        if not number or not 0 <= float(self.radius) < math.inf:
            raise StartError(
                "Jitter",
                f"the radius is {self.radius!r}",
                "Give a number that is not negative, in unconstrained units, such as 0.5.",
            )
        words = isinstance(self.around, str) and self.around in ("uniform", "prior")
        if words or isinstance(self.around, Jitter):
            raise StartError(
                "Jitter",
                f"around={self.around!r} is no point",
                'Give "mean", "median", "initial" or values by name; Jitter(radius=2.0) is '
                "uniform around the origin.",
            )


class Near(NamedTuple):
    """Where one chain starts: uniformly around given values.

    Attributes:
        values: Values of some sites, by name; the other sites start as for "uniform". `None` stands
            for the origin of the unconstrained space, for all sites.
        radius: Largest distance in an unconstrained coordinate.
    """

    values: Mapping[str, Any] | None
    radius: float


class OnInitial(NamedTuple):
    """Values of some sites; the others are those that the model was made with."""

    values: Mapping[str, Any]
