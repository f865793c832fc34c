"""What becomes of a prior at a site whose constraint is not the prior's own support."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from jax.core import Tracer

from bijectors.base import Constraint
from bijectors.sets.bounds import GreaterThan, LessThan
from bijectors.sets.interval import Interval
from bijectors.sets.negative import Negative
from bijectors.sets.nonnegative import Nonnegative
from bijectors.sets.positive import Positive
from bijectors.sets.real import Real

from ...errors import ModelError

Lie = Literal["same", "wider", "narrower", "crossing", "apart", "unknown"]

_BOUNDS: Mapping[type, Callable[[Any], tuple[Any, Any]]] = {
    Real: lambda c: (-np.inf, np.inf),
    Positive: lambda c: (0.0, np.inf),
    Nonnegative: lambda c: (0.0, np.inf),
    Negative: lambda c: (-np.inf, 0.0),
    GreaterThan: lambda c: (c.low, np.inf),
    LessThan: lambda c: (-np.inf, c.high),
    Interval: lambda c: (c.low, c.high),
}


def how_lies(support: Constraint, constraint: Constraint) -> Lie:
    """Tell how the support of a prior lies to a constraint, as far as their bounds tell."""
    if type(support) is Real:
        return "same" if type(constraint) is Real else "wider"
    theirs, ours = _bounds(support), _bounds(constraint)
    if theirs is None or ours is None:
        alike = type(support) is type(constraint) and type(support) not in _BOUNDS
        return "same" if alike else "unknown"
    (low, high), (least, most) = theirs, ours
    if np.any((high <= least) | (most <= low)):
        return "apart"
    wider = np.all((low <= least) & (most <= high))
    narrower = np.all((least <= low) & (high <= most))
    if wider:
        return "same" if narrower else "wider"
    return "narrower" if narrower else "crossing"


def remark(name: str, kind: str, support: Constraint, constraint: Constraint) -> str:
    """Say what follows where a prior is given beside a constraint; empty where nothing does.

    Args:
        name: The site, for errors.
        kind: Name of the prior's type.
        support: Where the prior lives.
        constraint: The set of the site's values, whose map is used.

    Raises:
        ModelError: No value lies in both.
    """
    lie = how_lies(support, constraint)
    if lie == "apart":
        raise ModelError(
            name,
            f"its prior {kind} lives on {_text(support)} and its constraint is "
            f"{_text(constraint)}: no value lies in both",
            "Drop the constraint, or move one of the two.",
        )
    return _SAID[lie].format(kind=kind, support=_text(support), constraint=_text(constraint))


def has_wall(support: Constraint, constraint: Constraint) -> bool:
    """Tell whether values of the constraint may lie outside the prior's support."""
    return how_lies(support, constraint) in ("narrower", "crossing", "unknown")


_CUT = (
    "the prior {kind} is cut off at {constraint} and not normalized anew: right for a posterior, "
    "while an evidence is off by the log of the prior's mass inside "
    "(numpyro.distributions.TruncatedDistribution is normalized)"
)
_WALL = (
    "the map is that of {constraint}, but the prior {kind} lives on {support}: outside, the "
    "density is zero, a wall for samplers (without the constraint, the map is the prior's own)"
)
_SAID: dict[Lie, str] = {
    "same": "",
    "unknown": "",
    "wider": _CUT,
    "narrower": _WALL,
    "crossing": f"{_CUT}; {_WALL}",
}


def _bounds(constraint: Constraint) -> tuple[Any, Any] | None:
    find = _BOUNDS.get(type(constraint))
    bounds = (None, None) if find is None else find(constraint)
    if find is None or any(isinstance(bound, Tracer) for bound in bounds):
        return None
    low, high = bounds
    return np.asarray(low), np.asarray(high)


def _text(constraint: Constraint) -> str:
    """Write a set with its bounds, where they are two numbers."""
    bounds = _bounds(constraint)
    if bounds is None or any(bound.ndim for bound in bounds):
        return repr(constraint)
    finite = [f"{float(b):g}" for b in bounds if np.isfinite(b) and _has_parameters(constraint)]
    return f"{type(constraint).__name__}({', '.join(finite)})"


def _has_parameters(constraint: Constraint) -> bool:
    return isinstance(constraint, GreaterThan | LessThan | Interval)
