"""Decide membership in a set with NumPy, in double precision.

This shares no code with `Constraint.contains`, so each checks the other.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from .base import Constraint
from .sets.ball import Ball
from .sets.bounds import GreaterThan, LessThan
from .sets.cholesky import LowerCholesky
from .sets.circulant import PositiveDefiniteCirculant
from .sets.circular import Circular
from .sets.concatenation import Concatenation
from .sets.correlation import Correlation
from .sets.correlation_cholesky import CorrelationCholesky
from .sets.covariance import PositiveDefinite
from .sets.descending import Descending
from .sets.interval import Interval
from .sets.log_simplex import LogSimplex
from .sets.negative import Negative
from .sets.nonnegative import Nonnegative
from .sets.ordered import Ordered
from .sets.positive import Positive
from .sets.positive_ordered import PositiveOrdered
from .sets.simplex import Simplex
from .sets.sphere import UnitVector
from .sets.stochastic import Stochastic
from .sets.zero_sum import ZeroSum


def is_member(constraint: Constraint, value: Any) -> np.ndarray:
    """Return which values are members, computing with the given floats in double precision.

    Inequalities have no tolerance. Sums may be off by the rounding error of their terms.

    Args:
        constraint: A set of the table; for any other set, its `contains` is called.
        value: Shape (*batch, *event), in any precision.

    Returns:
        Shape (*batch,); false for values that are not finite.
    """
    value = np.asarray(value)
    check = _CHECKS.get(type(constraint))
    if check is None:
        return np.asarray(constraint.contains(jnp.asarray(value)))
    finite = np.isfinite(value)
    # With one more batch axis, every check returns an array.
    exact = np.where(finite, value, 0).astype(np.float64)[None]
    event = tuple(range(-constraint.event_ndims, 0))
    return np.asarray(finite.all(event) & check(constraint, exact, value.dtype)[0])


def _sum_tolerance(size: int, dtype: np.dtype) -> float:
    """Bound the relative error of a sum of `size` rounded numbers."""
    return 8 * np.sqrt(size) * float(np.finfo(dtype).eps)


def _is_above(bound: Any, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return x > np.asarray(bound, dtype)


def _is_between(c: Interval, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return (x >= np.asarray(c.low, dtype)) & (x <= np.asarray(c.high, dtype))


def _is_simplex(_: Any, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return (x >= 0).all(-1) & (np.abs(x.sum(-1) - 1) <= _sum_tolerance(x.shape[-1], dtype))


def _is_log_simplex(_: Any, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    # The unit in the last place of a logarithm grows with its magnitude.
    tolerance = _sum_tolerance(x.shape[-1], dtype) * (1 + np.abs(x).min(-1))
    return np.abs(np.exp(x).sum(-1) - 1) <= tolerance


def _is_stochastic(c: Stochastic, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    rows = np.swapaxes(x, -2, -1) if c.columns else x
    return np.asarray(_is_simplex(c, rows, dtype).all(-1))


def _is_zero_sum(c: ZeroSum, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    inside = tuple(range(-c.axes, 0))
    size = max(x.shape[axis] for axis in inside)
    tolerance = _sum_tolerance(size, dtype) * np.abs(x).max(inside, initial=0.0)
    sums = [np.abs(x.sum(axis, keepdims=True)).max(inside) for axis in inside]
    return np.all([s <= tolerance for s in sums], 0)


def _is_increasing(_: Any, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.asarray((np.diff(x) > 0).all(-1))


def _is_unit(_: Any, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.abs((x**2).sum(-1) - 1) <= _sum_tolerance(x.shape[-1], dtype)


def _is_lower(_: Any, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    positive = (np.diagonal(x, axis1=-2, axis2=-1) > 0).all(-1)
    return positive & (np.triu(x, 1) == 0).all((-2, -1))


def _is_definite(_: Any, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Check the smallest eigenvalue with the rows scaled to one, which loses no digits."""
    scale = np.sqrt(np.abs(np.diagonal(x, axis1=-2, axis2=-1)))
    scale = np.where(scale > 0, scale, 1.0)
    scaled = x / scale[..., :, None] / scale[..., None, :]
    symmetric = (x == np.swapaxes(x, -2, -1)).all((-2, -1))
    return symmetric & (np.linalg.eigvalsh(scaled)[..., 0] > 0)


def _is_correlation(c: Any, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    off = np.abs(np.diagonal(x, axis1=-2, axis2=-1) - 1).max(-1)
    return _is_definite(c, x, dtype) & (off <= _sum_tolerance(x.shape[-1], dtype))


def _is_circulant(_: Any, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    spectrum = np.fft.rfft(x)
    tolerance = _sum_tolerance(x.shape[-1], dtype) * np.abs(x).sum(-1)
    return (spectrum.real > 0).all(-1) & (np.abs(spectrum.imag).max(-1) <= tolerance)


def _is_concatenation(c: Concatenation, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    pieces = np.split(x.astype(dtype), np.cumsum(c.sizes)[:-1], -1)
    found = [is_member(part, piece) for part, piece in zip(c.parts, pieces, strict=True)]
    whole = [own if p.event_ndims else own.all(-1) for p, own in zip(c.parts, found, strict=True)]
    return np.all(whole, 0)


_CHECKS: dict[type, Callable[[Any, np.ndarray, np.dtype], np.ndarray]] = {
    Positive: lambda c, x, dtype: x > 0,
    Nonnegative: lambda c, x, dtype: x >= 0,
    Negative: lambda c, x, dtype: x < 0,
    GreaterThan: lambda c, x, dtype: _is_above(c.low, x, dtype),
    LessThan: lambda c, x, dtype: _is_above(-np.asarray(c.high), -x, dtype),
    Interval: _is_between,
    Circular: lambda c, x, dtype: np.abs(x) <= np.asarray(np.pi, dtype),
    Simplex: _is_simplex,
    LogSimplex: _is_log_simplex,
    Stochastic: _is_stochastic,
    ZeroSum: _is_zero_sum,
    Ordered: _is_increasing,
    Descending: lambda c, x, dtype: _is_increasing(c, -x, dtype),
    PositiveOrdered: lambda c, x, dtype: _is_increasing(c, x, dtype) & (x[..., 0] > 0),
    UnitVector: _is_unit,
    Ball: lambda c, x, dtype: np.linalg.norm(x, c.order, axis=-1) < 1,
    LowerCholesky: _is_lower,
    CorrelationCholesky: lambda c, x, dtype: _is_lower(c, x, dtype) & _is_unit(c, x, dtype).all(-1),
    Correlation: _is_correlation,
    PositiveDefinite: _is_definite,
    PositiveDefiniteCirculant: _is_circulant,
    Concatenation: _is_concatenation,
}
