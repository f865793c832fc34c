"""Sets of values and the maps onto them from unconstrained vectors.

`forward` always goes from unconstrained to constrained. `table` imports every set with its maps
and has a row for each map.
"""

from .garbage import pause_collection as _pause_collection

with _pause_collection():
    from .base import (
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
    from .compose import Invert as Invert, Over as Over
    from .errors import BijectorError as BijectorError
    from .flows import autoregressive_flow as autoregressive_flow, coupling_flow as coupling_flow
    from .joint import Flattener as Flattener, Joint as Joint
    from .maps.affine import BoundedAffine as BoundedAffine
    from .maps.autoregressive import MaskedAutoregressive as MaskedAutoregressive
    from .maps.box_cox import BoxCox as BoxCox
    from .maps.by_autodiff import Monotone as Monotone
    from .maps.coupling import Coupling as Coupling
    from .maps.linear import Permute as Permute, Triangular as Triangular
    from .maps.power import Power as Power
    from .maps.reshape import Reshape as Reshape
    from .maps.sinh_arcsinh import SinhArcsinh as SinhArcsinh
    from .maps.spline import RationalQuadraticSpline as RationalQuadraticSpline
    from .maps.stack import Stack as Stack
    from .maps.tanh import Tanh as Tanh
    from .registry import bijector_for as bijector_for, prefer as prefer
    from .support import (
        coordinate_labels as coordinate_labels,
        feasible_point as feasible_point,
        in_support as in_support,
        unconstrained_shape as unconstrained_shape,
    )
    from .table import *
    from .testing import check_bijector as check_bijector, check_rule as check_rule
