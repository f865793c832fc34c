"""The table of rules: an import for the file of each set, and a row for each map onto it.

A new set needs one file, one row, and one line in `__init__.pyi`.
"""

from numpy import array as _array

from . import domains
from .base import Bijector, Constraint
from .compose import Chain
from .domains import Domain
from .maps.affine import Affine
from .maps.gram import Gram
from .maps.scaled import ScaledRows, ScaledUnitRows
from .rule import (
    Case,
    Find,
    Rule,
    Rules,
    cases,
)
from .sets.ball import Ball, RadialTanh
from .sets.bounds import (
    ExpAbove,
    ExpBelow,
    GreaterThan,
    LessThan,
)
from .sets.cholesky import LowerCholesky, PositiveDiagonal
from .sets.circulant import (
    ExpSpectrum,
    PositiveDefiniteCirculant,
)
from .sets.circular import Angle, Circular
from .sets.complex import Complex, RealAndImaginary
from .sets.concatenation import Blocks, Concatenation
from .sets.correlation import Correlation
from .sets.correlation_cholesky import (
    CorrelationCholesky,
    NormalizedRows,
    PartialCorrelations,
)
from .sets.covariance import PositiveDefinite
from .sets.descending import CumulatedExpDown, Descending
from .sets.interval import Interval, Logistic
from .sets.log_simplex import LogSimplex, LogSoftmaxILR
from .sets.negative import Negative
from .sets.nonnegative import Nonnegative
from .sets.ordered import CumulatedExp, Ordered
from .sets.positive import Exp, Positive, Softplus
from .sets.positive_ordered import (
    CumulatedExpFromZero,
    PositiveOrdered,
)
from .sets.real import Identity, Real
from .sets.simplex import (
    Simplex,
    SoftmaxALR,
    SoftmaxILR,
    StickBreaking,
)
from .sets.sphere import Direction, UnitVector
from .sets.stochastic import RowByRow, Stochastic
from .sets.zero_sum import IsometricZeroSum, ZeroSum

_VECTORS = ((1,), (2,), (10,), (50,), (200,))
_MATRICES = ((1, 1), (2, 2), (10, 10), (50, 50))
_LOWS, _HIGHS = _array([-3.0, 0.0, 2.0]), _array([-1.0, 1.0, 2.5])


# Functions instead of lambdas, so that a model, which holds the table, can be pickled.
def _build_soft_above(constraint: GreaterThan) -> Bijector:
    return Chain(Affine(constraint.low, 1.0), Softplus())


def _build_soft_below(constraint: LessThan) -> Bijector:
    return Chain(Affine(constraint.high, -1.0), Softplus())


def _build_row_by_row(constraint: Stochastic, find: Find) -> Bijector:
    return RowByRow(find(Simplex(), (1,)), constraint.columns)


def _build_soft_diagonal(constraint: LowerCholesky) -> Bijector:
    return PositiveDiagonal(soft=True, columns=constraint.columns)


def _build_scaled_rows(constraint: Constraint, find: Find) -> Bijector:
    return ScaledRows(find(CorrelationCholesky(), (1, 1)))


def _build_scaled_correlation(constraint: Constraint, find: Find) -> Bijector:
    return Gram(_build_scaled_rows(constraint, find))


def _build_concatenated(constraint: Concatenation, find: Find) -> Bijector:
    pairs = zip(constraint.parts, constraint.sizes, strict=True)
    return Blocks(tuple(find(part, (size,)) for part, size in pairs), constraint.sizes)


def _matrix_cases(constraint: Constraint) -> tuple[Case, ...]:
    """Make cases of matrices whose Cholesky factorization fails sooner the larger they are."""
    small = cases(constraint, (1, 1), (2, 2), (4, 4))
    return (
        *small,
        Case(constraint, (10, 10), domains.GRAM_10),
        Case(constraint, (50, 50), domains.GRAM_50),
    )


# The first rule of a type is its default.
RULES: Rules = (
    Rule(Real, "identity", Identity(), cases(Real(), (), (2, 3)), **domains.ANYWHERE),
    Rule(Positive, "exp", Exp(), cases(Positive(), (), (4,)), **domains.EXPONENTIAL),
    Rule(Positive, "softplus", Softplus(), cases(Positive(), ()), **domains.EXPONENTIAL),
    Rule(Nonnegative, "exp", Exp(), cases(Nonnegative(), ()), **domains.EXPONENTIAL),
    Rule(Nonnegative, "softplus", Softplus(), cases(Nonnegative(), ()), **domains.EXPONENTIAL),
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
    Rule(Simplex, "ilr", SoftmaxILR(), cases(Simplex(), *_VECTORS, (3, 4)), **domains.SOFTMAX),
    Rule(Simplex, "alr", SoftmaxALR(), cases(Simplex(), *_VECTORS), **domains.SOFTMAX),
    Rule(
        Simplex,
        "stick_breaking",
        StickBreaking(),
        (
            *cases(Simplex(), (1,), (2,), (10,)),
            Case(Simplex(), (50,), domains.make_domains(1.0, 6.0)),
            Case(Simplex(), (200,), domains.make_domains(0.3, 2.0)),
        ),
        Domain(6.0, 1e-2),
        Domain(20.0, 1e-6),
    ),
    Rule(
        LogSimplex,
        "ilr",
        LogSoftmaxILR(),
        cases(LogSimplex(), (1,), (2,), (10,), (3, 4)),
        **domains.ANYWHERE,
    ),
    Rule(
        Stochastic,
        "ilr",
        _build_row_by_row,
        (*cases(Stochastic(), (2, 3), (4, 1)), *cases(Stochastic(columns=True), (3, 2), (50, 4))),
        nested=True,
        **domains.SOFTMAX,
    ),
    Rule(
        ZeroSum,
        "isometric",
        IsometricZeroSum.of,
        (*cases(ZeroSum(), *_VECTORS), *cases(ZeroSum(2), (3, 4)), Case(ZeroSum(3), (2, 3, 2))),
        **domains.ANYWHERE,
    ),
    Rule(
        Ordered,
        "cumulated_exp",
        CumulatedExp(),
        cases(Ordered(), *_VECTORS, (2, 3)),
        **domains.CUMULATIVE,
    ),
    Rule(
        Descending,
        "cumulated_exp",
        CumulatedExpDown(),
        cases(Descending(), *_VECTORS),
        **domains.CUMULATIVE,
    ),
    Rule(
        PositiveOrdered,
        "cumulated_exp",
        CumulatedExpFromZero(),
        cases(PositiveOrdered(), *_VECTORS),
        **domains.CUMULATIVE,
    ),
    Rule(
        UnitVector,
        "direction",
        Direction(),
        cases(UnitVector(), *_VECTORS[1:], (4, 3)),
        **domains.ANYWHERE,
    ),
    Rule(
        Ball,
        "tanh",
        RadialTanh.of,
        (*cases(Ball(), *_VECTORS), *cases(Ball(order=1), *_VECTORS)),
        Domain(3.0, 1e-3),
        Domain(8.0, 1e-4),
    ),
    Rule(
        LowerCholesky,
        "exp",
        PositiveDiagonal.of,
        (
            *cases(LowerCholesky(), *_MATRICES, (200, 200), (2, 3, 3)),
            *cases(LowerCholesky(), (5, 2), (2, 3, 2), (50, 2)),
        ),
        **domains.EXPONENTIAL,
    ),
    Rule(
        LowerCholesky,
        "softplus",
        _build_soft_diagonal,
        cases(LowerCholesky(), *_MATRICES, (3, 1)),
        **domains.EXPONENTIAL,
    ),
    Rule(
        LowerCholesky,
        "scaled_correlation",
        _build_scaled_rows,
        cases(LowerCholesky(), *_MATRICES),
        nested=True,
        **domains.STICKS,
    ),
    Rule(
        LowerCholesky,
        "scaled_unit",
        ScaledUnitRows(),
        cases(LowerCholesky(), *_MATRICES),
        **domains.TRIANGULAR,
    ),
    Rule(
        CorrelationCholesky,
        "partial_correlations",
        PartialCorrelations(),
        cases(CorrelationCholesky(), *_MATRICES, (200, 200), (2, 3, 3)),
        **domains.STICKS,
    ),
    Rule(
        CorrelationCholesky,
        "normalized_rows",
        NormalizedRows(),
        cases(CorrelationCholesky(), *_MATRICES, (200, 200), (2, 3, 3)),
        **domains.TRIANGULAR,
    ),
    Rule(
        Correlation,
        "partial_correlations",
        Gram(PartialCorrelations(), unit_diagonal=True),
        cases(Correlation(), *_MATRICES),
        **domains.CONDITIONED_GRAM,
    ),
    Rule(
        Correlation,
        "normalized_rows",
        Gram(NormalizedRows(), unit_diagonal=True),
        cases(Correlation(), *_MATRICES),
        **domains.CONDITIONED_GRAM,
    ),
    Rule(
        PositiveDefinite,
        "scaled_correlation",
        _build_scaled_correlation,
        cases(PositiveDefinite(), *_MATRICES),
        nested=True,
        **domains.CONDITIONED_GRAM,
    ),
    Rule(
        PositiveDefinite,
        "exp",
        Gram(PositiveDiagonal()),
        _matrix_cases(PositiveDefinite()),
        **domains.GRAM,
    ),
    Rule(
        PositiveDefinite,
        "softplus",
        Gram(PositiveDiagonal(soft=True)),
        _matrix_cases(PositiveDefinite()),
        **domains.GRAM,
    ),
    Rule(
        Complex,
        "real_and_imaginary",
        RealAndImaginary(),
        cases(Complex(), (), (3,)),
        **domains.ANYWHERE,
    ),
    Rule(
        Concatenation,
        "blocks",
        _build_concatenated,
        (
            Case(Concatenation((Positive(), Real()), (1, 2)), (3,)),
            Case(Concatenation((Simplex(), Interval(0.0, 1.0), Ordered()), (3, 2, 2)), (7,)),
        ),
        nested=True,
    ),
    Rule(
        PositiveDefiniteCirculant,
        "exp",
        ExpSpectrum.of,
        cases(PositiveDefiniteCirculant(), *_VECTORS),
        **domains.CUMULATIVE,
    ),
)
