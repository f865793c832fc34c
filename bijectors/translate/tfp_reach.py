"""Find which of our sets is the image of another set under a bijector of TFP."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from ..base import Constraint
from ..compose import Chain
from ..maps.affine import Affine
from ..sets.correlation_cholesky import CorrelationCholesky
from ..sets.interval import Interval
from ..sets.ordered import Ordered
from ..sets.positive import Exp, Positive
from ..sets.real import Real
from ..sets.simplex import Simplex
from .bounds import Ends, between, ends_of, is_zero
from .image_of import ImageOf

# A row of the table: takes a bijector and a set, and returns the image, or `None` if unknown.
Push = Callable[[Any, Constraint], Constraint | None]


def image_of_reals(bijector: Any) -> Constraint | None:
    """Return the image of the reals under a bijector of TFP, if it is one of our sets."""
    return push_forward(bijector, Real())


def push_forward(bijector: Any, constraint: Constraint) -> Constraint | None:
    """Return the image of a set under a bijector of TFP, if it is one of our sets."""
    for kind in type(bijector).__mro__:
        push = _TABLE.get(kind.__name__.lstrip("_"))
        if push is not None:
            return push(bijector, constraint)
    return None


def _push_chain(bijector: Any, constraint: Constraint) -> Constraint | None:
    found: Constraint | None = constraint
    for link in reversed(bijector.bijectors):
        found = None if found is None else push_forward(link, found)
    return found


def _push_ends(limits: Callable[[Any], Ends]) -> Push:
    """Map the ends of a set of numbers; `limits` are the limits at plus and minus infinity."""

    def push(bijector: Any, constraint: Constraint) -> Constraint | None:
        ends = ends_of(constraint)
        if ends is None:
            return None
        pairs = zip(ends, limits(bijector), strict=True)
        return between(*(limit if e is None else _evaluate(bijector, e) for e, limit in pairs))

    return push


def _evaluate(bijector: Any, end: Any) -> Any:
    end = jnp.asarray(end)
    return bijector.forward(end.astype(bijector.dtype or end.dtype))


def _softplus_limits(bijector: Any) -> Ends:
    return (0.0 if bijector.low is None else bijector.low), None


def _sigmoid_limits(bijector: Any) -> Ends:
    return (0.0, 1.0) if bijector.low is None else (bijector.low, bijector.high)


def _push_log(bijector: Any, constraint: Constraint) -> Constraint | None:
    ends = ends_of(constraint)
    if ends is None or ends[0] is None or not is_zero(ends[0]):
        return None
    return between(None, None if ends[1] is None else _evaluate(bijector, ends[1]))


def _push_scale(bijector: Any, constraint: Constraint) -> Constraint | None:
    if isinstance(constraint, Real):
        return constraint
    ends = ends_of(constraint)
    if ends is None:
        return None
    low, high = (None if end is None else _evaluate(bijector, end) for end in ends)
    # The sign of the scale may be traced, so either half-line is possible.
    unit = _evaluate(bijector, 1.0)
    if low is None:
        return None if high is None else ImageOf(Chain(Affine(high, -unit), Exp()))
    if high is None:
        return ImageOf(Chain(Affine(low, unit), Exp()))
    return Interval(jnp.minimum(low, high), jnp.maximum(low, high))


def _push_invert(bijector: Any, constraint: Constraint) -> Constraint | None:
    onto_itself = push_forward(bijector.bijector, Real())
    both_real = isinstance(constraint, Real) and isinstance(onto_itself, Real)
    return constraint if both_real else None


def _maps_only(kind: type[Constraint], image: Constraint) -> Push:
    return lambda bijector, constraint: image if type(constraint) is kind else None


_ONTO_REALS = _maps_only(Real, Real())

# By name, so that making the table does not import TFP.
_TABLE: Mapping[str, Push] = {
    "Identity": lambda bijector, constraint: constraint,
    "Chain": _push_chain,
    "Invert": _push_invert,
    "Log": _push_log,
    "Scale": _push_scale,
    "Shift": _push_ends(lambda b: (None, None)),
    "Sinh": _push_ends(lambda b: (None, None)),
    "SinhArcsinh": _push_ends(lambda b: (None, None)),
    "Exp": _push_ends(lambda b: (0.0, None)),
    "Expm1": _push_ends(lambda b: (-1.0, None)),
    "Softplus": _push_ends(_softplus_limits),
    "Sigmoid": _push_ends(_sigmoid_limits),
    "Tanh": _push_ends(lambda b: (-1.0, 1.0)),
    "Softsign": _push_ends(lambda b: (-1.0, 1.0)),
    "NormalCDF": _push_ends(lambda b: (0.0, 1.0)),
    "GumbelCDF": _push_ends(lambda b: (0.0, 1.0)),
    "MoyalCDF": _push_ends(lambda b: (0.0, 1.0)),
    "AbsoluteValue": _maps_only(Real, Positive()),
    "Reciprocal": _maps_only(Positive, Positive()),
    "Square": _maps_only(Positive, Positive()),
    "Ascending": _maps_only(Real, Ordered()),
    "SoftmaxCentered": _maps_only(Real, Simplex()),
    "IteratedSigmoidCentered": _maps_only(Real, Simplex()),
    "CorrelationCholesky": _maps_only(Real, CorrelationCholesky()),
    "LambertWTail": _ONTO_REALS,
    "ScaleMatvecDiag": _ONTO_REALS,
    "ScaleMatvecTriL": _ONTO_REALS,
    "ScaleMatvecLU": _ONTO_REALS,
    "ScaleMatvecLinearOperator": _ONTO_REALS,
    "Permute": _ONTO_REALS,
    "Transpose": _ONTO_REALS,
    "Cumsum": _ONTO_REALS,
    "Householder": _ONTO_REALS,
    "RationalQuadraticSpline": _ONTO_REALS,
}
