"""Translate NumPyro's constraints into our sets."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from numpyro.distributions import constraints as theirs

from ..base import Constraint
from ..errors import BijectorError
from ..sets.ball import Ball
from ..sets.bounds import GreaterThan, LessThan
from ..sets.cholesky import LowerCholesky
from ..sets.circulant import PositiveDefiniteCirculant
from ..sets.circular import Circular
from ..sets.complex import Complex
from ..sets.concatenation import Concatenation
from ..sets.correlation import Correlation
from ..sets.correlation_cholesky import CorrelationCholesky
from ..sets.covariance import PositiveDefinite
from ..sets.discrete import Boolean, Counts, Integers
from ..sets.interval import Interval
from ..sets.nonnegative import Nonnegative
from ..sets.ordered import Ordered
from ..sets.positive import Positive
from ..sets.positive_ordered import PositiveOrdered
from ..sets.real import Real
from ..sets.simplex import Simplex
from ..sets.sphere import UnitVector
from ..sets.zero_sum import ZeroSum
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
    type(theirs.real): lambda c: Real(),
    type(theirs.real_vector): lambda c: Real(),
    type(theirs.real_matrix): lambda c: Real(),
    type(theirs.positive): lambda c: Positive(),
    type(theirs.nonnegative): lambda c: Nonnegative(),
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
    type(theirs.positive_ordered_vector): lambda c: PositiveOrdered(),
    type(theirs.zero_sum(1)): lambda c: ZeroSum(c.event_dim),
    type(theirs.circular): lambda c: Circular(),
    type(theirs.sphere): lambda c: UnitVector(),
    type(theirs.l1_ball): lambda c: Ball(order=1),
    type(theirs.lower_cholesky): lambda c: LowerCholesky(),
    type(theirs.softplus_lower_cholesky): lambda c: LowerCholesky(),
    type(theirs.scaled_unit_lower_cholesky): lambda c: LowerCholesky(),
    type(theirs.corr_cholesky): lambda c: CorrelationCholesky(),
    type(theirs.corr_matrix): lambda c: Correlation(),
    type(theirs.positive_definite): lambda c: PositiveDefinite(),
    type(theirs.positive_semidefinite): lambda c: PositiveDefinite(),
    type(theirs.positive_definite_circulant_vector): lambda c: PositiveDefiniteCirculant(),
    type(theirs.complex): lambda c: Complex(),
    type(theirs.cat([theirs.real])): lambda c: _translate_cat(c),
    OurSupport: lambda c: c.constraint,
    type(theirs.independent(theirs.real, 1)): lambda c: from_numpyro(c.base_constraint),
    type(theirs.boolean): lambda c: Boolean(),
    type(theirs.integer_interval(0, 1)): lambda c: Integers(c.lower_bound, c.upper_bound),
    type(theirs.integer_greater_than(0)): lambda c: Integers(low=c.lower_bound),
    type(theirs.nonnegative_integer): lambda c: Integers(low=0),
    type(theirs.positive_integer): lambda c: Integers(low=1),
    type(theirs.multinomial(1)): lambda c: Counts(c.upper_bound),
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


def _translate_cat(constraint: Any) -> Concatenation:
    """Translate `cat` of vectors, for which its default axis 0 is the last axis."""
    if constraint.dim not in (0, -1):
        raise BijectorError(
            "cat",
            f"it joins along axis {constraint.dim}",
            "Join vectors along their last axis, dim=-1, or declare the pieces as sites.",
        )
    return Concatenation(tuple(map(from_numpyro, constraint.cseq)), constraint.lengths)
