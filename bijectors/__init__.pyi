"""Sets of values and the maps onto them from unconstrained vectors.

`forward` always goes from unconstrained to constrained.
"""

from .base import (
    Bijector as Bijector,
    Constraint as Constraint,
    Elementwise as Elementwise,
    Image as Image,
    MatrixBijector as MatrixBijector,
    MatrixConstraint as MatrixConstraint,
    ScalarConstraint as ScalarConstraint,
    VectorBijector as VectorBijector,
    VectorConstraint as VectorConstraint,
    Vectorwise as Vectorwise,
    bijection as bijection,
)
from .compose import Chain as Chain, Invert as Invert, Over as Over
from .domains import Domain as Domain, Domains as Domains
from .errors import BijectorError as BijectorError
from .flows import autoregressive_flow as autoregressive_flow, coupling_flow as coupling_flow
from .joint import Flattener as Flattener, Joint as Joint
from .maps.affine import Affine as Affine, BoundedAffine as BoundedAffine
from .maps.autoregressive import MaskedAutoregressive as MaskedAutoregressive
from .maps.box_cox import BoxCox as BoxCox
from .maps.by_autodiff import Monotone as Monotone
from .maps.coupling import Coupling as Coupling
from .maps.gram import Gram as Gram
from .maps.linear import Permute as Permute, Triangular as Triangular
from .maps.power import Power as Power
from .maps.reshape import Reshape as Reshape
from .maps.scaled import ScaledRows as ScaledRows, ScaledUnitRows as ScaledUnitRows
from .maps.sinh_arcsinh import SinhArcsinh as SinhArcsinh
from .maps.spline import RationalQuadraticSpline as RationalQuadraticSpline
from .maps.stack import Stack as Stack
from .maps.tanh import Tanh as Tanh
from .registry import bijector_for as bijector_for, prefer as prefer
from .rule import Case as Case, Find as Find, Rule as Rule, Rules as Rules, cases as cases
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
from .support import (
    coordinate_labels as coordinate_labels,
    feasible_point as feasible_point,
    in_support as in_support,
    unconstrained_shape as unconstrained_shape,
)
from .table import RULES as RULES
from .testing import check_bijector as check_bijector, check_rule as check_rule
