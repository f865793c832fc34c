"""Priors whose support differs from the constraint of their site."""

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

Relation = Literal["same", "wider", "narrower", "overlapping", "disjoint", "unknown"]

_BOUNDS: Mapping[type, Callable[[Any], tuple[Any, Any]]] = {
    Real: lambda c: (-np.inf, np.inf),
    Positive: lambda c: (0.0, np.inf),
    Nonnegative: lambda c: (0.0, np.inf),
    Negative: lambda c: (-np.inf, 0.0),
    GreaterThan: lambda c: (c.low, np.inf),
    LessThan: lambda c: (-np.inf, c.high),
    Interval: lambda c: (c.low, c.high),
}


def relation_of(support: Constraint, constraint: Constraint) -> Relation:
    """Compare the support of a prior with a constraint, as far as their bounds are known.

    "wider" means that the support contains the constraint, and "narrower" the reverse.
    """
    if type(support) is Real:
        return "same" if type(constraint) is Real else "wider"
    theirs, ours = _bounds(support), _bounds(constraint)
    if theirs is None or ours is None:
        alike = type(support) is type(constraint) and type(support) not in _BOUNDS
        return "same" if alike else "unknown"
    (low, high), (least, most) = theirs, ours
    if np.any((high <= least) | (most <= low)):
        return "disjoint"
    wider = np.all((low <= least) & (most <= high))
    narrower = np.all((least <= low) & (high <= most))
    if wider:
        return "same" if narrower else "wider"
    return "narrower" if narrower else "overlapping"


def describe_mismatch(name: str, kind: str, support: Constraint, constraint: Constraint) -> str:
    """Return the consequences of a constraint beside a prior, in a sentence, or an empty string.

    Args:
        name: The site, for errors.
        kind: Name of the prior's type.
        support: Support of the prior.
        constraint: The set of the site's values, whose map is used.

    Raises:
        ModelError: The two are disjoint.
    """
    relation = relation_of(support, constraint)
    if relation == "disjoint":
        raise ModelError(
            name,
            f"its prior {kind} has support {_text(support)} and its constraint is "
            f"{_text(constraint)}, so no value lies in both",
            "Drop the constraint, or change one of the two.",
        )
    return _REMARKS[relation].format(
        kind=kind, support=_text(support), constraint=_text(constraint)
    )


def may_leave_support(support: Constraint, constraint: Constraint) -> bool:
    """Return whether values of the constraint may lie outside the prior's support."""
    return relation_of(support, constraint) in ("narrower", "overlapping", "unknown")


_TRUNCATED = (
    "the prior {kind} is truncated to {constraint} and not renormalized: the posterior is right, "
    "but an evidence is off by the log of the prior's mass inside "
    "(numpyro.distributions.TruncatedDistribution is normalized)"
)
_WALL = (
    "the map is that of {constraint}, but the prior {kind} has support {support}: outside, the "
    "density is zero, a wall for samplers (without the constraint, the map is the prior's own)"
)
_REMARKS: dict[Relation, str] = {
    "same": "",
    "unknown": "",
    "wider": _TRUNCATED,
    "narrower": _WALL,
    "overlapping": f"{_TRUNCATED}; {_WALL}",
}


def _bounds(constraint: Constraint) -> tuple[Any, Any] | None:
    find = _BOUNDS.get(type(constraint))
    bounds = (None, None) if find is None else find(constraint)
    if find is None or any(isinstance(bound, Tracer) for bound in bounds):
        return None
    low, high = bounds
    return np.asarray(low), np.asarray(high)


def _text(constraint: Constraint) -> str:
    """Return the name of a set, with its bounds if they are known numbers."""
    bounds = _bounds(constraint)
    if bounds is None or any(bound.ndim for bound in bounds):
        return repr(constraint)
    finite = [f"{float(b):g}" for b in bounds if np.isfinite(b) and _has_parameters(constraint)]
    return f"{type(constraint).__name__}({', '.join(finite)})"


def _has_parameters(constraint: Constraint) -> bool:
    return isinstance(constraint, GreaterThan | LessThan | Interval)
