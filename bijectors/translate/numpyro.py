"""Translate NumPyro's constraints into our sets."""

from collections.abc import Callable
from typing import Any

from numpyro.distributions import constraints as theirs

from ..base import Constraint
from ..bounds import GreaterThan, LessThan
from ..errors import BijectorError
from ..interval import Interval
from ..ordered import Ordered
from ..positive import Positive
from ..real import Real
from ..simplex import Simplex

# NumPyro's public names are instances or functions; their types are the keys.
_TABLE: dict[type, Callable[[Any], Constraint]] = {
    type(theirs.real): lambda c: Real(),
    type(theirs.real_vector): lambda c: Real(),
    type(theirs.real_matrix): lambda c: Real(),
    type(theirs.positive): lambda c: Positive(),
    type(theirs.nonnegative): lambda c: Positive(),
    type(theirs.softplus_positive): lambda c: Positive(),
    type(theirs.greater_than(0.0)): lambda c: GreaterThan(c.lower_bound),
    type(theirs.greater_than_eq(0.0)): lambda c: GreaterThan(c.lower_bound),
    type(theirs.less_than(0.0)): lambda c: LessThan(c.upper_bound),
    type(theirs.less_than_eq(0.0)): lambda c: LessThan(c.upper_bound),
    type(theirs.interval(0.0, 1.0)): lambda c: Interval(c.lower_bound, c.upper_bound),
    type(theirs.open_interval(0.0, 1.0)): lambda c: Interval(c.lower_bound, c.upper_bound),
    type(theirs.unit_interval): lambda c: Interval(0.0, 1.0),
    type(theirs.simplex): lambda c: Simplex(),
    type(theirs.ordered_vector): lambda c: Ordered(),
    type(theirs.independent(theirs.real, 1)): lambda c: from_numpyro(c.base_constraint),
}


def from_numpyro(constraint: theirs.Constraint, where: str = "constraint") -> Constraint:
    """Translate one constraint of NumPyro; bounds may be traced.

    Raises:
        BijectorError: The constraint has no translation yet, or is discrete.
    """
    if constraint.is_discrete:
        raise BijectorError(
            where,
            f"the support {constraint!r} is discrete, and has no map from the reals",
            "Sum the values out, as numpyro.distributions.MixtureSameFamily does, "
            "or observe the site.",
        )
    translate = _TABLE.get(type(constraint))
    if translate is None:
        known = ", ".join(sorted({kind.__name__.strip("_") for kind in _TABLE}))
        raise BijectorError(
            where,
            f"the support {constraint!r} is not translated",
            f"NumPyro's {known} are; give the site constraint=... with a set of ours.",
        )
    return translate(constraint)
