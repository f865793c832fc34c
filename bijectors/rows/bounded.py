"""Rows of the table for other numbers: bounded, on a circle, or complex."""

from numpy import array as _array

from .. import domains
from ..base import Bijector
from ..compose import Chain
from ..maps.affine import Affine
from ..rule import Case, Rule, Rules, cases
from ..sets.bounds import ExpAbove, ExpBelow, GreaterThan, LessThan
from ..sets.circular import Angle, Circular
from ..sets.complex import Complex, RealAndImaginary
from ..sets.interval import Interval, Logistic
from ..sets.negative import Negative
from ..sets.positive import Softplus

_LOWS, _HIGHS = _array([-3.0, 0.0, 2.0]), _array([-1.0, 1.0, 2.5])


# Functions instead of lambdas, so that a rule can be pickled.
def _build_soft_above(constraint: GreaterThan) -> Bijector:
    return Chain(Affine(constraint.low, 1.0), Softplus())


def _build_soft_below(constraint: LessThan) -> Bijector:
    return Chain(Affine(constraint.high, -1.0), Softplus())


# The first rule of a type is its default.
RULES: Rules = (
    Rule(Negative, "exp", ExpBelow(0.0), cases(Negative(), ()), **domains.EXPONENTIAL),
    Rule(
        GreaterThan,
        "exp",
        ExpAbove.of,
        (Case(GreaterThan(3.0)), Case(GreaterThan(_LOWS), (2, 3))),
    ),
    Rule(GreaterThan, "softplus", _build_soft_above, (Case(GreaterThan(_LOWS), (3,)),)),
    Rule(LessThan, "exp", ExpBelow.of, (Case(LessThan(-3.0)), Case(LessThan(_LOWS), (3,)))),
    Rule(LessThan, "softplus", _build_soft_below, (Case(LessThan(_LOWS), (3,)),)),
    Rule(
        Interval,
        "logistic",
        Logistic.of,
        (Case(Interval(0.0, 1.0)), Case(Interval(_LOWS, _HIGHS), (3,))),
    ),
    Rule(Circular, "direction", Angle(), cases(Circular(), (), (3,)), **domains.ANYWHERE),
    Rule(
        Complex,
        "real_and_imaginary",
        RealAndImaginary(),
        cases(Complex(), (), (3,)),
        **domains.ANYWHERE,
    ),
)
