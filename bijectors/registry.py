"""The table of rules: which map belongs to which set, and the cases that test it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .affine import Affine
from .ball import Ball, RadialTanh
from .base import Bijector, Constraint, Shape
from .bounds import ExpAbove, ExpBelow, GreaterThan, LessThan
from .cholesky import LowerCholesky, PositiveDiagonal
from .circular import Angle, Circular
from .compose import Chain, over
from .correlation import Correlation
from .correlation_cholesky import CorrelationCholesky, NormalisedRows, PartialCorrelations
from .covariance import PositiveDefinite
from .descending import CumulatedExpDown, Descending
from .errors import BijectorError
from .gram import Gram
from .interval import Interval, Logistic
from .negative import Negative
from .nonnegative import Nonnegative
from .ordered import CumulatedExp, Ordered
from .positive import Exp, Positive, Softplus
from .positive_ordered import CumulatedExpFromZero, PositiveOrdered
from .real import Identity, Real
from .simplex import Simplex, SoftmaxALR, SoftmaxILR, StickBreaking
from .sphere import Direction, UnitVector
from .stochastic import RowByRow, Stochastic
from .zero_sum import HelmertZeroSum, ZeroSum


class Domain(NamedTuple):
    """Where a map keeps its promises in one precision.

    Attributes:
        radius: Largest |y| with a finite value, a member of the set, that maps back.
        tolerance: Largest error of y after a round trip, absolute.
    """

    radius: float
    tolerance: float


class Case(NamedTuple):
    """A set and the shape of a whole value of it, for tests."""

    constraint: Constraint
    shape: Shape = ()


@dataclass(frozen=True)
class Rule:
    """One row of the table: a type of set, and how to build a map onto it.

    Attributes:
        constraint: Type of set, matched exactly.
        name: Name of the map, by which a site may ask for it.
        build: Makes the map of one set of that type.
        cases: Sets and shapes on which the tests try the map.
        float32: Where the map keeps its promises in single precision.
        float64: The same in double precision.
    """

    constraint: type[Constraint]
    name: str
    build: Callable[[Any], Bijector]
    cases: tuple[Case, ...] = field(default=(), repr=False, compare=False)
    float32: Domain = Domain(8.0, 2e-3)
    float64: Domain = Domain(20.0, 1e-6)


Rules = tuple[Rule, ...]

_ANYWHERE = {"float32": Domain(400.0, 2e-3), "float64": Domain(400.0, 1e-10)}
_NO_OVERFLOW = {"float32": Domain(80.0, 1e-4), "float64": Domain(400.0, 1e-12)}
_SOFTMAX = {"float32": Domain(15.0, 1e-3), "float64": Domain(100.0, 1e-10)}
_GAPS = {"float32": Domain(3.0, 1e-2), "float64": Domain(10.0, 1e-4)}
_ROWS = {"float32": Domain(10.0, 1e-2), "float64": Domain(100.0, 1e-8)}
_SQUARED = {"float32": Domain(1.0, 1e-2), "float64": Domain(3.0, 1e-4)}
_LOWS, _HIGHS = np.array([-3.0, 0.0, 2.0]), np.array([-1.0, 1.0, 2.5])


def _cases(constraint: Constraint, *shapes: Shape) -> tuple[Case, ...]:
    return tuple(Case(constraint, shape) for shape in shapes)


def _soft_above(constraint: GreaterThan) -> Bijector:
    return Chain(Affine(constraint.low, 1.0), Softplus())


def _soft_below(constraint: LessThan) -> Bijector:
    return Chain(Affine(constraint.high, -1.0), Softplus())


# The first rule of a type is its default.
RULES: Rules = (
    Rule(Real, "identity", lambda _: Identity(), _cases(Real(), (), (2, 3)), **_ANYWHERE),
    Rule(Positive, "exp", lambda _: Exp(), _cases(Positive(), (), (4,)), **_NO_OVERFLOW),
    Rule(Positive, "softplus", lambda _: Softplus(), _cases(Positive(), ()), **_NO_OVERFLOW),
    Rule(Nonnegative, "exp", lambda _: Exp(), _cases(Nonnegative(), ()), **_NO_OVERFLOW),
    Rule(Nonnegative, "softplus", lambda _: Softplus(), _cases(Nonnegative(), ()), **_NO_OVERFLOW),
    Rule(Negative, "exp", lambda _: ExpBelow(0.0), _cases(Negative(), ()), **_NO_OVERFLOW),
    Rule(
        GreaterThan,
        "exp",
        lambda c: ExpAbove(c.low),
        (Case(GreaterThan(3.0)), Case(GreaterThan(_LOWS), (2, 3))),
    ),
    Rule(GreaterThan, "softplus", _soft_above, (Case(GreaterThan(_LOWS), (3,)),)),
    Rule(
        LessThan,
        "exp",
        lambda c: ExpBelow(c.high),
        (Case(LessThan(-3.0)), Case(LessThan(_LOWS), (3,))),
    ),
    Rule(LessThan, "softplus", _soft_below, (Case(LessThan(_LOWS), (3,)),)),
    Rule(
        Interval,
        "logistic",
        lambda c: Logistic(c.low, c.high),
        (Case(Interval(0.0, 1.0)), Case(Interval(_LOWS, _HIGHS), (3,))),
    ),
    Rule(Circular, "direction", lambda _: Angle(), _cases(Circular(), (), (3,)), **_ANYWHERE),
    Rule(
        Simplex,
        "ilr",
        lambda _: SoftmaxILR(),
        _cases(Simplex(), (1,), (2,), (10,), (3, 4)),
        **_SOFTMAX,
    ),
    Rule(Simplex, "alr", lambda _: SoftmaxALR(), _cases(Simplex(), (2,), (10,)), **_SOFTMAX),
    Rule(
        Simplex,
        "stick_breaking",
        lambda _: StickBreaking(),
        _cases(Simplex(), (1,), (2,), (10,)),
        Domain(6.0, 1e-2),
        Domain(20.0, 1e-6),
    ),
    Rule(
        Stochastic,
        "ilr",
        lambda c: RowByRow(SoftmaxILR(), c.columns),
        (*_cases(Stochastic(), (2, 3), (4, 1)), *_cases(Stochastic(columns=True), (3, 2))),
        **_SOFTMAX,
    ),
    Rule(
        ZeroSum,
        "helmert",
        lambda c: HelmertZeroSum(c.axes),
        (
            *_cases(ZeroSum(), (1,), (2,), (10,)),
            *_cases(ZeroSum(2), (3, 4)),
            Case(ZeroSum(3), (2, 3, 2)),
        ),
        **_ANYWHERE,
    ),
    Rule(
        Ordered,
        "cumulated_exp",
        lambda _: CumulatedExp(),
        _cases(Ordered(), (1,), (2,), (10,), (2, 3)),
        **_GAPS,
    ),
    Rule(
        Descending,
        "cumulated_exp",
        lambda _: CumulatedExpDown(),
        _cases(Descending(), (1,), (10,)),
        **_GAPS,
    ),
    Rule(
        PositiveOrdered,
        "cumulated_exp",
        lambda _: CumulatedExpFromZero(),
        _cases(PositiveOrdered(), (1,), (2,), (10,)),
        **_GAPS,
    ),
    Rule(
        UnitVector,
        "direction",
        lambda _: Direction(),
        _cases(UnitVector(), (2,), (3,), (50,)),
        **_ANYWHERE,
    ),
    Rule(
        Ball,
        "tanh",
        lambda c: RadialTanh(c.order),
        (*_cases(Ball(), (1,), (2,), (3,)), *_cases(Ball(order=1), (1,), (2,), (3,))),
        Domain(1.0, 1e-3),
        Domain(4.0, 1e-4),
    ),
    Rule(
        LowerCholesky,
        "exp",
        lambda _: PositiveDiagonal(),
        _cases(LowerCholesky(), (1, 1), (2, 2), (5, 5), (2, 3, 3)),
        **_NO_OVERFLOW,
    ),
    Rule(
        LowerCholesky,
        "softplus",
        lambda _: PositiveDiagonal(soft=True),
        _cases(LowerCholesky(), (1, 1), (4, 4)),
        **_NO_OVERFLOW,
    ),
    Rule(
        CorrelationCholesky,
        "normalised_rows",
        lambda _: NormalisedRows(),
        _cases(CorrelationCholesky(), (1, 1), (2, 2), (5, 5), (2, 3, 3)),
        **_ROWS,
    ),
    Rule(
        CorrelationCholesky,
        "partial_correlations",
        lambda _: PartialCorrelations(),
        _cases(CorrelationCholesky(), (1, 1), (2, 2), (5, 5)),
        Domain(3.0, 1e-2),
        Domain(20.0, 1e-6),
    ),
    Rule(
        Correlation,
        "normalised_rows",
        lambda _: Gram(NormalisedRows(), unit_diagonal=True),
        _cases(Correlation(), (1, 1), (2, 2), (5, 5)),
        **_SQUARED,
    ),
    Rule(
        Correlation,
        "partial_correlations",
        lambda _: Gram(PartialCorrelations(), unit_diagonal=True),
        _cases(Correlation(), (2, 2), (4, 4)),
        **_SQUARED,
    ),
    Rule(
        PositiveDefinite,
        "exp",
        lambda _: Gram(PositiveDiagonal()),
        _cases(PositiveDefinite(), (1, 1), (2, 2), (4, 4)),
        **_SQUARED,
    ),
    Rule(
        PositiveDefinite,
        "softplus",
        lambda _: Gram(PositiveDiagonal(soft=True)),
        _cases(PositiveDefinite(), (3, 3)),
        **_SQUARED,
    ),
)


def rules_for(constraint: Constraint, rules: Rules = RULES, where: str = "constraint") -> Rules:
    """List the rules that know the type of `constraint`, default first.

    Raises:
        BijectorError: No rule knows it; the message lists the types that are known.
    """
    found = tuple(rule for rule in rules if rule.constraint is type(constraint))
    if not found:
        known = ", ".join(sorted({rule.constraint.__name__ for rule in rules}))
        raise BijectorError(
            where,
            f"no rule knows the constraint {constraint!r}",
            f"The table knows {known}; add a row with "
            f"rules=(bijectors.Rule({type(constraint).__name__}, name, build), *bijectors.RULES).",
        )
    return found


def bijector_for(
    constraint: Constraint,
    shape: Shape | None = None,
    choice: Bijector | str | None = None,
    rules: Rules = RULES,
    where: str = "constraint",
) -> Bijector:
    """Find the map onto a set, repeated over the batch axes of `shape`.

    Args:
        constraint: The set.
        shape: Shape of a whole value; by default the set's own.
        choice: A map to use instead, or the name of one of the set's rules.
        rules: The table; put your own rules first.
        where: Name to give in errors, such as a site's.

    Raises:
        BijectorError: No rule knows the set or the chosen name.
    """
    shape = constraint.declared_shape if shape is None else shape
    if isinstance(choice, Bijector):
        return over(choice, shape)
    own = constraint.own_bijector()
    if own is not None and choice is None:
        return over(own, shape)
    found = rules_for(constraint, rules, where)
    return over(_chosen(found, choice, where).build(constraint), shape)


def _chosen(found: Rules, name: str | None, where: str) -> Rule:
    named = [rule for rule in found if name in (None, rule.name)]
    if not named:
        known = ", ".join(repr(rule.name) for rule in found)
        kind = found[0].constraint.__name__
        raise BijectorError(
            where, f"no map of {kind} is called {name!r}", f"Choose one of {known}."
        )
    return named[0]
