"""Translate NumPyro's constraints into our sets."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from numpyro.distributions import constraints as theirs

import bijectors as sets

from ..base import Constraint
from ..errors import BijectorError
from .numpyro_import import name_submodules

name_submodules()


class OurSupport(theirs.Constraint):
    """One of our sets as a constraint of NumPyro, for the support of a distribution."""

    is_discrete = False

    def __init__(self, constraint: Constraint) -> None:
        self.constraint, self.event_dim = constraint, constraint.event_ndims
        super().__init__()

    def __call__(self, x):
        return self.constraint.contains(jnp.asarray(x))

    def tree_flatten(self):
        return (self.constraint,), (("constraint",), {})


# NumPyro's public names are instances or functions; the keys are their types.
_TABLE: dict[type, Callable[[Any], Constraint]] = {
    type(theirs.real): lambda c: sets.Real(),
    type(theirs.real_vector): lambda c: sets.Real(),
    type(theirs.real_matrix): lambda c: sets.Real(),
    type(theirs.positive): lambda c: sets.Positive(),
    type(theirs.nonnegative): lambda c: sets.Nonnegative(),
    type(theirs.softplus_positive): lambda c: sets.Positive(),
    type(theirs.greater_than(0.0)): lambda c: sets.GreaterThan(c.lower_bound),
    type(theirs.greater_than_eq(0.0)): lambda c: sets.GreaterThan(c.lower_bound),
    type(theirs.less_than(0.0)): lambda c: sets.LessThan(c.upper_bound),
    type(theirs.less_than_eq(0.0)): lambda c: sets.LessThan(c.upper_bound),
    type(theirs.interval(0.0, 1.0)): lambda c: sets.Interval(c.lower_bound, c.upper_bound),
    type(theirs.open_interval(0.0, 1.0)): lambda c: sets.Interval(c.lower_bound, c.upper_bound),
    type(theirs.unit_interval): lambda c: sets.Interval(0.0, 1.0),
    type(theirs.simplex): lambda c: sets.Simplex(),
    type(theirs.ordered_vector): lambda c: sets.Ordered(),
    type(theirs.positive_ordered_vector): lambda c: sets.PositiveOrdered(),
    type(theirs.zero_sum(1)): lambda c: sets.ZeroSum(c.event_dim),
    type(theirs.circular): lambda c: sets.Circular(),
    type(theirs.sphere): lambda c: sets.UnitVector(),
    type(theirs.l1_ball): lambda c: sets.Ball(order=1),
    type(theirs.lower_cholesky): lambda c: sets.LowerCholesky(),
    type(theirs.softplus_lower_cholesky): lambda c: sets.LowerCholesky(),
    type(theirs.scaled_unit_lower_cholesky): lambda c: sets.LowerCholesky(),
    type(theirs.corr_cholesky): lambda c: sets.CorrelationCholesky(),
    type(theirs.corr_matrix): lambda c: sets.Correlation(),
    type(theirs.positive_definite): lambda c: sets.PositiveDefinite(),
    type(theirs.positive_semidefinite): lambda c: sets.PositiveDefinite(),
    type(theirs.positive_definite_circulant_vector): lambda c: sets.PositiveDefiniteCirculant(),
    type(theirs.complex): lambda c: sets.Complex(),
    type(theirs.cat([theirs.real])): lambda c: _translate_cat(c),
    OurSupport: lambda c: c.constraint,
    type(theirs.independent(theirs.real, 1)): lambda c: from_numpyro(c.base_constraint),
    type(theirs.boolean): lambda c: sets.Boolean(),
    type(theirs.integer_interval(0, 1)): lambda c: sets.Integers(c.lower_bound, c.upper_bound),
    type(theirs.integer_greater_than(0)): lambda c: sets.Integers(low=c.lower_bound),
    type(theirs.nonnegative_integer): lambda c: sets.Integers(low=0),
    type(theirs.positive_integer): lambda c: sets.Integers(low=1),
    type(theirs.multinomial(1)): lambda c: sets.Counts(c.upper_bound),
}


def from_numpyro(constraint: theirs.Constraint, where: str = "constraint") -> Constraint:
    """Translate one constraint of NumPyro; bounds may be traced.

    Raises:
        BijectorError: The constraint has no translation.
    """
    translate = _TABLE.get(type(constraint))
    if translate is None:
        known = ", ".join(sorted({kind.__name__.strip("_") for kind in _TABLE}))
        raise BijectorError(
            where,
            f"the support {constraint!r} has no translation",
            f"Give the site constraint=... with one of our sets; of NumPyro's constraints, {known} "
            "are translated.",
        )
    return translate(constraint)


def _translate_cat(constraint: Any) -> Constraint:
    """Translate `cat` of vectors, for which its default axis 0 is the last axis."""
    if constraint.dim not in (0, -1):
        raise BijectorError(
            "cat",
            f"it joins along axis {constraint.dim}",
            "Join vectors along their last axis, dim=-1, or declare the pieces as sites.",
        )
    return sets.Concatenation(tuple(map(from_numpyro, constraint.cseq)), constraint.lengths)
