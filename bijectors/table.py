"""The table: a line for each set's file, and a row for each map onto it.

`bijectors` exports what is imported here, so a new set is one file and its row.
"""

from numpy import array as _array

from .base import Bijector as Bijector, Constraint as Constraint
from .compose import Chain as Chain
from .maps.affine import Affine as Affine
from .maps.gram import Gram as Gram
from .maps.reshape import Reshape as Reshape
from .maps.scaled import ScaledRows as ScaledRows, ScaledUnitRows as ScaledUnitRows
from .rule import (
    Case as Case,
    Domain as Domain,
    Domains as Domains,
    Find as Find,
    Rule as Rule,
    Rules as Rules,
    cases as cases,
)
from .sets.ball import Ball as Ball, RadialTanh as RadialTanh
from .sets.bounds import (
    ExpAbove as ExpAbove,
    ExpBelow as ExpBelow,
    GreaterThan as GreaterThan,
    LessThan as LessThan,
)
from .sets.cholesky import LowerCholesky as LowerCholesky, PositiveDiagonal as PositiveDiagonal
from .sets.circulant import (
    ExpSpectrum as ExpSpectrum,
    PositiveDefiniteCirculant as PositiveDefiniteCirculant,
)
from .sets.circular import Angle as Angle, Circular as Circular
from .sets.complex import Complex as Complex, RealAndImaginary as RealAndImaginary
from .sets.concatenation import Blocks as Blocks, Concatenation as Concatenation
from .sets.correlation import Correlation as Correlation
from .sets.correlation_cholesky import (
    CorrelationCholesky as CorrelationCholesky,
    NormalizedRows as NormalizedRows,
    PartialCorrelations as PartialCorrelations,
)
from .sets.covariance import PositiveDefinite as PositiveDefinite
from .sets.descending import CumulatedExpDown as CumulatedExpDown, Descending as Descending
from .sets.discrete import (
    Boolean as Boolean,
    Counts as Counts,
    Discrete as Discrete,
    Integers as Integers,
)
from .sets.interval import Interval as Interval, Logistic as Logistic
from .sets.log_simplex import LogSimplex as LogSimplex, LogSoftmaxILR as LogSoftmaxILR
from .sets.negative import Negative as Negative
from .sets.nonnegative import Nonnegative as Nonnegative
from .sets.ordered import CumulatedExp as CumulatedExp, Ordered as Ordered
from .sets.positive import Exp as Exp, Positive as Positive, Softplus as Softplus
from .sets.positive_ordered import (
    CumulatedExpFromZero as CumulatedExpFromZero,
    PositiveOrdered as PositiveOrdered,
)
from .sets.real import Identity as Identity, Real as Real
from .sets.simplex import (
    Simplex as Simplex,
    SoftmaxALR as SoftmaxALR,
    SoftmaxILR as SoftmaxILR,
    StickBreaking as StickBreaking,
)
from .sets.sphere import Direction as Direction, UnitVector as UnitVector
from .sets.stochastic import RowByRow as RowByRow, Stochastic as Stochastic
from .sets.zero_sum import IsometricZeroSum as IsometricZeroSum, ZeroSum as ZeroSum

_ANYWHERE: Domains = {"float32": Domain(400.0, 2e-3), "float64": Domain(400.0, 1e-10)}
_NO_OVERFLOW: Domains = {"float32": Domain(80.0, 1e-4), "float64": Domain(400.0, 1e-12)}
_SOFTMAX: Domains = {"float32": Domain(15.0, 1e-3), "float64": Domain(100.0, 1e-10)}
_GAPS: Domains = {"float32": Domain(3.0, 1e-2), "float64": Domain(10.0, 1e-4)}
_ROWS: Domains = {"float32": Domain(10.0, 1e-2), "float64": Domain(100.0, 1e-8)}
_SQUARED: Domains = {"float32": Domain(1.0, 1e-2), "float64": Domain(3.0, 1e-4)}
_CONDITIONED: Domains = {"float32": Domain(2.0, 1e-2), "float64": Domain(4.0, 1e-4)}
_SINGULAR: Domains = {"float32": Domain(0.5, 1e-2), "float64": Domain(1.0, 1e-4)}
_NEARLY: Domains = {"float32": Domain(0.1, 1e-2), "float64": Domain(0.3, 1e-4)}
_VECTORS = ((1,), (2,), (10,), (50,), (200,))
_MATRICES = ((1, 1), (2, 2), (10, 10), (50, 50))
_LOWS, _HIGHS = _array([-3.0, 0.0, 2.0]), _array([-1.0, 1.0, 2.5])


def _sized(single: float, double: float) -> Domains:
    """Domains of a map whose reach shrinks with the size of the value."""
    return {"float32": Domain(single, 1e-2), "float64": Domain(double, 1e-6)}


# Functions of this module, not lambdas, so that a model, which holds the table, can be pickled.
def _exp_above(constraint: GreaterThan) -> Bijector:
    return ExpAbove(constraint.low)


def _soft_above(constraint: GreaterThan) -> Bijector:
    return Chain(Affine(constraint.low, 1.0), Softplus())


def _exp_below(constraint: LessThan) -> Bijector:
    return ExpBelow(constraint.high)


def _soft_below(constraint: LessThan) -> Bijector:
    return Chain(Affine(constraint.high, -1.0), Softplus())


def _logistic(constraint: Interval) -> Bijector:
    return Logistic(constraint.low, constraint.high)


def _row_by_row(constraint: Stochastic, find: Find) -> Bijector:
    return RowByRow(find(Simplex(), (1,)), constraint.columns)


def _isometric(constraint: ZeroSum) -> Bijector:
    return IsometricZeroSum(constraint.axes)


def _radial(constraint: Ball) -> Bijector:
    return RadialTanh(constraint.order)


def _positive_diagonal(constraint: LowerCholesky) -> Bijector:
    return PositiveDiagonal(columns=constraint.columns)


def _soft_diagonal(constraint: LowerCholesky) -> Bijector:
    return PositiveDiagonal(soft=True, columns=constraint.columns)


def _scaled_rows(constraint: Constraint, find: Find) -> Bijector:
    return ScaledRows(find(CorrelationCholesky(), (1, 1)))


def _scaled_correlation(constraint: Constraint, find: Find) -> Bijector:
    return Gram(_scaled_rows(constraint, find))


def _exp_spectrum(constraint: PositiveDefiniteCirculant) -> Bijector:
    assert constraint.size is not None
    return ExpSpectrum(constraint.size)


def _concatenated(constraint: Concatenation, find: Find) -> Bijector:
    pairs = zip(constraint.parts, constraint.sizes, strict=True)
    return Blocks(tuple(find(part, (size,)) for part, size in pairs), constraint.sizes)


def _matrices(constraint: Constraint) -> tuple[Case, ...]:
    """List matrices that a Cholesky factorization maps back; the larger, the sooner singular."""
    small = cases(constraint, (1, 1), (2, 2), (4, 4))
    return (*small, Case(constraint, (10, 10), _SINGULAR), Case(constraint, (50, 50), _NEARLY))


# The first rule of a type is its default.
RULES: Rules = (
    Rule(Real, "identity", Identity(), cases(Real(), (), (2, 3)), **_ANYWHERE),
    Rule(Positive, "exp", Exp(), cases(Positive(), (), (4,)), **_NO_OVERFLOW),
    Rule(Positive, "softplus", Softplus(), cases(Positive(), ()), **_NO_OVERFLOW),
    Rule(Nonnegative, "exp", Exp(), cases(Nonnegative(), ()), **_NO_OVERFLOW),
    Rule(Nonnegative, "softplus", Softplus(), cases(Nonnegative(), ()), **_NO_OVERFLOW),
    Rule(Negative, "exp", ExpBelow(0.0), cases(Negative(), ()), **_NO_OVERFLOW),
    Rule(
        GreaterThan,
        "exp",
        _exp_above,
        (Case(GreaterThan(3.0)), Case(GreaterThan(_LOWS), (2, 3))),
    ),
    Rule(GreaterThan, "softplus", _soft_above, (Case(GreaterThan(_LOWS), (3,)),)),
    Rule(
        LessThan,
        "exp",
        _exp_below,
        (Case(LessThan(-3.0)), Case(LessThan(_LOWS), (3,))),
    ),
    Rule(LessThan, "softplus", _soft_below, (Case(LessThan(_LOWS), (3,)),)),
    Rule(
        Interval,
        "logistic",
        _logistic,
        (Case(Interval(0.0, 1.0)), Case(Interval(_LOWS, _HIGHS), (3,))),
    ),
    Rule(Circular, "direction", Angle(), cases(Circular(), (), (3,)), **_ANYWHERE),
    Rule(
        Simplex,
        "ilr",
        SoftmaxILR(),
        cases(Simplex(), *_VECTORS, (3, 4)),
        **_SOFTMAX,
    ),
    Rule(Simplex, "alr", SoftmaxALR(), cases(Simplex(), *_VECTORS), **_SOFTMAX),
    Rule(
        Simplex,
        "stick_breaking",
        StickBreaking(),
        (
            *cases(Simplex(), (1,), (2,), (10,)),
            Case(Simplex(), (50,), _sized(1.0, 6.0)),
            Case(Simplex(), (200,), _sized(0.3, 2.0)),
        ),
        Domain(6.0, 1e-2),
        Domain(20.0, 1e-6),
    ),
    Rule(
        LogSimplex,
        "ilr",
        LogSoftmaxILR(),
        cases(LogSimplex(), (1,), (2,), (10,), (3, 4)),
        **_ANYWHERE,
    ),
    Rule(
        Stochastic,
        "ilr",
        _row_by_row,
        (*cases(Stochastic(), (2, 3), (4, 1)), *cases(Stochastic(columns=True), (3, 2), (50, 4))),
        nested=True,
        **_SOFTMAX,
    ),
    Rule(
        ZeroSum,
        "isometric",
        _isometric,
        (
            *cases(ZeroSum(), *_VECTORS),
            *cases(ZeroSum(2), (3, 4)),
            Case(ZeroSum(3), (2, 3, 2)),
        ),
        **_ANYWHERE,
    ),
    Rule(
        Ordered,
        "cumulated_exp",
        CumulatedExp(),
        cases(Ordered(), *_VECTORS, (2, 3)),
        **_GAPS,
    ),
    Rule(
        Descending,
        "cumulated_exp",
        CumulatedExpDown(),
        cases(Descending(), *_VECTORS),
        **_GAPS,
    ),
    Rule(
        PositiveOrdered,
        "cumulated_exp",
        CumulatedExpFromZero(),
        cases(PositiveOrdered(), *_VECTORS),
        **_GAPS,
    ),
    Rule(
        UnitVector,
        "direction",
        Direction(),
        cases(UnitVector(), *_VECTORS[1:], (4, 3)),
        **_ANYWHERE,
    ),
    Rule(
        Ball,
        "tanh",
        _radial,
        (*cases(Ball(), *_VECTORS), *cases(Ball(order=1), *_VECTORS)),
        Domain(3.0, 1e-3),
        Domain(8.0, 1e-4),
    ),
    Rule(
        LowerCholesky,
        "exp",
        _positive_diagonal,
        (
            *cases(LowerCholesky(), *_MATRICES, (200, 200), (2, 3, 3)),
            *cases(LowerCholesky(), (5, 2), (2, 3, 2), (50, 2)),
        ),
        **_NO_OVERFLOW,
    ),
    Rule(
        LowerCholesky,
        "softplus",
        _soft_diagonal,
        cases(LowerCholesky(), *_MATRICES, (3, 1)),
        **_NO_OVERFLOW,
    ),
    Rule(
        LowerCholesky,
        "scaled_correlation",
        _scaled_rows,
        cases(LowerCholesky(), *_MATRICES),
        nested=True,
        **_ROWS,
    ),
    Rule(
        LowerCholesky,
        "scaled_unit",
        ScaledUnitRows(),
        cases(LowerCholesky(), *_MATRICES),
        **_ROWS,
    ),
    Rule(
        CorrelationCholesky,
        "normalized_rows",
        NormalizedRows(),
        cases(CorrelationCholesky(), *_MATRICES, (200, 200), (2, 3, 3)),
        **_ROWS,
    ),
    Rule(
        CorrelationCholesky,
        "partial_correlations",
        PartialCorrelations(),
        (
            *cases(CorrelationCholesky(), (1, 1), (2, 2), (10, 10)),
            Case(CorrelationCholesky(), (50, 50), _sized(1.0, 4.0)),
            Case(CorrelationCholesky(), (200, 200), _sized(0.3, 1.0)),
        ),
        Domain(3.0, 1e-2),
        Domain(20.0, 1e-6),
    ),
    Rule(
        Correlation,
        "normalized_rows",
        Gram(NormalizedRows(), unit_diagonal=True),
        cases(Correlation(), *_MATRICES),
        **_CONDITIONED,
    ),
    Rule(
        Correlation,
        "partial_correlations",
        Gram(PartialCorrelations(), unit_diagonal=True),
        _matrices(Correlation()),
        **_SQUARED,
    ),
    Rule(
        PositiveDefinite,
        "scaled_correlation",
        _scaled_correlation,
        cases(PositiveDefinite(), *_MATRICES),
        nested=True,
        **_CONDITIONED,
    ),
    Rule(
        PositiveDefinite,
        "exp",
        Gram(PositiveDiagonal()),
        _matrices(PositiveDefinite()),
        **_SQUARED,
    ),
    Rule(
        PositiveDefinite,
        "softplus",
        Gram(PositiveDiagonal(soft=True)),
        _matrices(PositiveDefinite()),
        **_SQUARED,
    ),
    Rule(
        Complex,
        "real_and_imaginary",
        RealAndImaginary(),
        cases(Complex(), (), (3,)),
        **_ANYWHERE,
    ),
    Rule(
        Concatenation,
        "blocks",
        _concatenated,
        (
            Case(Concatenation((Positive(), Real()), (1, 2)), (3,)),
            Case(Concatenation((Simplex(), Interval(0.0, 1.0), Ordered()), (3, 2, 2)), (7,)),
        ),
        nested=True,
    ),
    Rule(
        PositiveDefiniteCirculant,
        "exp",
        _exp_spectrum,
        cases(PositiveDefiniteCirculant(), *_VECTORS),
        **_GAPS,
    ),
)
