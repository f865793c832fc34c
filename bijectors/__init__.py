"""Sets of values and the maps onto them from unconstrained vectors.

`forward` goes from unconstrained to constrained, everywhere. Every set, with its maps, is
imported in `table`, where its row stands.
"""

from .affine import BoundedAffine as BoundedAffine
from .autoregressive import MaskedAutoregressive as MaskedAutoregressive
from .base import (
    Constraint as Constraint,
    Elementwise as Elementwise,
    Image as Image,
    VectorConstraint as VectorConstraint,
    Vectorwise as Vectorwise,
    bijection as bijection,
)
from .box_cox import BoxCox as BoxCox
from .by_autodiff import Monotone as Monotone
from .compose import Invert as Invert, Over as Over
from .coupling import Coupling as Coupling
from .errors import BijectorError as BijectorError
from .flows import autoregressive_flow as autoregressive_flow, coupling_flow as coupling_flow
from .joint import Flattener as Flattener, Joint as Joint
from .linear import Permute as Permute, Triangular as Triangular
from .power import Power as Power
from .registry import bijector_for as bijector_for, prefer as prefer
from .sinh_arcsinh import SinhArcsinh as SinhArcsinh
from .spline import RationalQuadraticSpline as RationalQuadraticSpline
from .stack import Stack as Stack
from .support import (
    coordinate_labels as coordinate_labels,
    feasible_point as feasible_point,
    in_support as in_support,
    unconstrained_shape as unconstrained_shape,
)
from .table import *
from .tanh import Tanh as Tanh
from .testing import check_bijector as check_bijector, check_rule as check_rule
