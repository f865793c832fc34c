"""Which of our sets a bijector of TFP reaches, from the reals or from another set."""

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
from .bounds import Ends, ends_of, is_zero, numbers
from .image_of import ImageOf

# A row of the table: a bijector and a set, to the image, or to nothing where none is known.
Push = Callable[[Any, Constraint], Constraint | None]


def image_of_reals(bijector: Any) -> Constraint | None:
    """Find the set that a bijector of TFP reaches from unconstrained values."""
    return pushed(bijector, Real())


def pushed(bijector: Any, constraint: Constraint) -> Constraint | None:
    """Find the set that a bijector of TFP makes of another, if it is one of ours."""
    for kind in type(bijector).__mro__:
        push = _TABLE.get(kind.__name__.lstrip("_"))
        if push is not None:
            return push(bijector, constraint)
    return None


def _chain(bijector: Any, constraint: Constraint) -> Constraint | None:
    found: Constraint | None = constraint
    for link in reversed(bijector.bijectors):
        found = None if found is None else pushed(link, found)
    return found


def _increasing(limits: Callable[[Any], Ends]) -> Push:
    """Push the ends of a set of numbers through; `limits` are those of the whole line."""

    def push(bijector: Any, constraint: Constraint) -> Constraint | None:
        ends = ends_of(constraint)
        if ends is None:
            return None
        pairs = zip(ends, limits(bijector), strict=True)
        return numbers(*(limit if e is None else _at(bijector, e) for e, limit in pairs))

    return push


def _at(bijector: Any, end: Any) -> Any:
    end = jnp.asarray(end)
    return bijector.forward(end.astype(bijector.dtype or end.dtype))


def _softplus_limits(bijector: Any) -> Ends:
    return (0.0 if bijector.low is None else bijector.low), None


def _sigmoid_limits(bijector: Any) -> Ends:
    return (0.0, 1.0) if bijector.low is None else (bijector.low, bijector.high)


def _log(bijector: Any, constraint: Constraint) -> Constraint | None:
    ends = ends_of(constraint)
    if ends is None or ends[0] is None or not is_zero(ends[0]):
        return None
    return numbers(None, None if ends[1] is None else _at(bijector, ends[1]))


def _scale(bijector: Any, constraint: Constraint) -> Constraint | None:
    if isinstance(constraint, Real):
        return constraint
    ends = ends_of(constraint)
    if ends is None:
        return None
    low, high = (None if end is None else _at(bijector, end) for end in ends)
    # The sign of the scale may be traced, so either half-line is possible.
    unit = _at(bijector, 1.0)
    if low is None:
        return None if high is None else ImageOf(Chain(Affine(high, -unit), Exp()))
    if high is None:
        return ImageOf(Chain(Affine(low, unit), Exp()))
    return Interval(jnp.minimum(low, high), jnp.maximum(low, high))


def _invert(bijector: Any, constraint: Constraint) -> Constraint | None:
    onto_itself = pushed(bijector.bijector, Real())
    both_real = isinstance(constraint, Real) and isinstance(onto_itself, Real)
    return constraint if both_real else None


def _takes(kind: type[Constraint], image: Constraint) -> Push:
    return lambda bijector, constraint: image if type(constraint) is kind else None


_ONTO_REALS = _takes(Real, Real())

# By name, so that nothing of TFP is imported to make the table.
_TABLE: Mapping[str, Push] = {
    "Identity": lambda bijector, constraint: constraint,
    "Chain": _chain,
    "Invert": _invert,
    "Log": _log,
    "Scale": _scale,
    "Shift": _increasing(lambda b: (None, None)),
    "Sinh": _increasing(lambda b: (None, None)),
    "SinhArcsinh": _increasing(lambda b: (None, None)),
    "Exp": _increasing(lambda b: (0.0, None)),
    "Expm1": _increasing(lambda b: (-1.0, None)),
    "Softplus": _increasing(_softplus_limits),
    "Sigmoid": _increasing(_sigmoid_limits),
    "Tanh": _increasing(lambda b: (-1.0, 1.0)),
    "Softsign": _increasing(lambda b: (-1.0, 1.0)),
    "NormalCDF": _increasing(lambda b: (0.0, 1.0)),
    "GumbelCDF": _increasing(lambda b: (0.0, 1.0)),
    "MoyalCDF": _increasing(lambda b: (0.0, 1.0)),
    "AbsoluteValue": _takes(Real, Positive()),
    "Reciprocal": _takes(Positive, Positive()),
    "Square": _takes(Positive, Positive()),
    "Ascending": _takes(Real, Ordered()),
    "SoftmaxCentered": _takes(Real, Simplex()),
    "IteratedSigmoidCentered": _takes(Real, Simplex()),
    "CorrelationCholesky": _takes(Real, CorrelationCholesky()),
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
