"""Rows of the table for vectors, and for arrays made of them."""

from .. import domains
from ..base import Bijector
from ..domains import Domain
from ..rule import Case, Find, Rule, Rules, cases
from ..sets.ball import Ball, RadialTanh
from ..sets.circulant import ExpSpectrum, PositiveDefiniteCirculant
from ..sets.concatenation import Blocks, Concatenation
from ..sets.descending import CumulatedExpDown, Descending
from ..sets.interval import Interval
from ..sets.log_simplex import LogSimplex, LogSoftmaxILR
from ..sets.ordered import CumulatedExp, Ordered
from ..sets.positive import Positive
from ..sets.positive_ordered import CumulatedExpFromZero, PositiveOrdered
from ..sets.real import Real
from ..sets.simplex import Simplex, SoftmaxALR, SoftmaxILR, StickBreaking
from ..sets.sphere import Direction, UnitVector
from ..sets.stochastic import RowByRow, Stochastic
from ..sets.zero_sum import IsometricZeroSum, ZeroSum

_VECTORS = ((1,), (2,), (10,), (50,), (200,))


# Functions instead of lambdas, so that a rule can be pickled.
def _build_row_by_row(constraint: Stochastic, find: Find) -> Bijector:
    return RowByRow(find(Simplex(), (1,)), constraint.columns)


def _build_concatenated(constraint: Concatenation, find: Find) -> Bijector:
    pairs = zip(constraint.parts, constraint.sizes, strict=True)
    return Blocks(tuple(find(part, (size,)) for part, size in pairs), constraint.sizes)


# The first rule of a type is its default.
RULES: Rules = (
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
