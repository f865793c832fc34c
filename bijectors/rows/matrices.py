"""Rows of the table for matrices: Cholesky factors, correlations, covariances."""

from .. import domains
from ..base import Bijector, Constraint
from ..maps.gram import Gram
from ..maps.scaled import ScaledRows, ScaledUnitRows
from ..rule import Case, Find, Rule, Rules, cases
from ..sets.cholesky import LowerCholesky, PositiveDiagonal
from ..sets.correlation import Correlation
from ..sets.correlation_cholesky import CorrelationCholesky, NormalizedRows, PartialCorrelations
from ..sets.covariance import PositiveDefinite

_MATRICES = ((1, 1), (2, 2), (10, 10), (50, 50))


# Functions instead of lambdas, so that a rule can be pickled.
def _build_soft_diagonal(constraint: LowerCholesky) -> Bijector:
    return PositiveDiagonal(soft=True, columns=constraint.columns)


def _build_scaled_rows(constraint: Constraint, find: Find) -> Bijector:
    return ScaledRows(find(CorrelationCholesky(), (1, 1)))


def _build_scaled_correlation(constraint: Constraint, find: Find) -> Bijector:
    return Gram(_build_scaled_rows(constraint, find))


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
)
