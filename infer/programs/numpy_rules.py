"""What the primitives of JAX compute, said once more with NumPy and SciPy."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from math import prod
from typing import Any

import jax
import numpy as np

from .numpy_places import cut, dynamic_slice, dynamic_update_slice, extreme, gather, scatter

# Takes the parameters of an equation and its operands; returns its only result.
Rule = Callable[..., Any]


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Divide; integers are rounded toward zero, and are -1 if divided by zero, as by XLA."""
    if a.dtype.kind not in "iu":
        return a / b
    floor = np.floor_divide(a, b)
    is_below = (np.remainder(a, b) != 0) & ((a < 0) != (b < 0))
    return np.where(b == 0, np.array(-1).astype(a.dtype), floor + is_below.astype(a.dtype))


def _remainder(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the remainder of that division; of integers divided by zero, all remains."""
    rest = np.fmod(a, b)
    return np.where(b == 0, a, rest) if a.dtype.kind in "iu" else rest


def _round(a: np.ndarray, rounding_method: Any = 0, **_: Any) -> np.ndarray:
    """Round half to even, or half away from zero, which is method 0."""
    if int(rounding_method):
        return np.rint(a)
    return np.copysign(np.floor(np.abs(a) + 0.5), a)


def _shift_right_logical(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    unsigned = a.view(f"u{a.dtype.itemsize}")
    return (unsigned >> b.astype(unsigned.dtype)).view(a.dtype)


def _bitcast(a: np.ndarray, *, new_dtype: Any, **_: Any) -> np.ndarray:
    """Read bits as another type; numbers of half its size are read along a new last axis."""
    old, new = a.dtype.itemsize, np.dtype(new_dtype).itemsize
    found = np.ascontiguousarray(a[..., None] if old >= new else a).view(new_dtype)
    return found[..., 0] if old <= new else found


def _select(which: np.ndarray, *cases: np.ndarray) -> np.ndarray:
    if len(cases) == 2:
        return np.where(which.astype(bool), cases[1], cases[0])
    return np.choose(which, cases)


def _broadcast(a: np.ndarray, *, shape: Any, broadcast_dimensions: Any, **_: Any) -> np.ndarray:
    places = dict(zip(broadcast_dimensions, a.shape, strict=True))
    return np.broadcast_to(a.reshape([places.get(i, 1) for i in range(len(shape))]), shape)


def _pad(a: np.ndarray, value: np.ndarray, *, padding_config: Any, **_: Any) -> np.ndarray:
    """Spread the entries, and put zeros or other values around them; negative padding cuts."""
    spread = [n + max(n - 1, 0) * inside for n, (_, _, inside) in
              zip(a.shape, padding_config, strict=True)]  # fmt: skip
    made = np.full(spread, value, a.dtype)
    made[tuple(slice(None, None, inside + 1) for _, _, inside in padding_config)] = a
    grown = np.pad(
        made, [(max(low, 0), max(high, 0)) for low, high, _ in padding_config],
        constant_values=value,
    )  # fmt: skip
    kept = [slice(max(-low, 0), n - max(-high, 0)) for n, (low, high, _) in
           zip(grown.shape, padding_config, strict=True)]  # fmt: skip
    return grown[tuple(kept)]


def _reshape(a: np.ndarray, *, new_sizes: Any, dimensions: Any = None, **_: Any) -> np.ndarray:
    """Reshape, after reordering the axes if `dimensions` says so."""
    return (a if dimensions is None else np.transpose(a, dimensions)).reshape(new_sizes)


def _iota(*_: Any, dtype: Any, shape: Any, dimension: int, **__: Any) -> np.ndarray:
    along = [1] * len(shape)
    along[dimension] = shape[dimension]
    return np.broadcast_to(np.arange(shape[dimension]).reshape(along).astype(dtype), shape)


def _convert(a: np.ndarray, *, new_dtype: Any, **_: Any) -> np.ndarray:
    # The imaginary part is dropped, as by JAX.
    real = np.real(a) if a.dtype.kind == "c" and np.dtype(new_dtype).kind != "c" else a
    found = real.astype(new_dtype)
    if real.dtype.kind != "f" or found.dtype.kind not in "iu":
        return found
    # What no integer of the type is near is the nearest one, and NaN is 0, as by XLA.
    limits = np.iinfo(found.dtype)
    found = np.where(real >= limits.max, limits.max, found)
    return np.where(real <= limits.min, limits.min, np.where(np.isnan(real), 0, found)).astype(
        new_dtype
    )


def _reduce(function: Callable[..., Any], a: np.ndarray, *, axes: Any, **_: Any) -> np.ndarray:
    return function(a, axis=tuple(axes))


def _reduce_max(a: np.ndarray, *, axes: Any, **_: Any) -> np.ndarray:
    return np.max(a, axis=tuple(axes), initial=extreme(a.dtype, -1))


def _reduce_min(a: np.ndarray, *, axes: Any, **_: Any) -> np.ndarray:
    return np.min(a, axis=tuple(axes), initial=extreme(a.dtype, 1))


def _extremum(function: Callable[..., Any], a: np.ndarray, *, axes: Any, **_: Any) -> np.ndarray:
    return function(a, axis=axes[0])


def _cumulate(
    function: Callable[..., Any], a: np.ndarray, *, axis: int, reverse: bool, **_: Any
) -> np.ndarray:
    if reverse:
        return np.flip(function(np.flip(a, axis), axis=axis), axis)
    return function(a, axis=axis)


def _product(a: np.ndarray, b: np.ndarray, *, dimension_numbers: Any, **_: Any) -> np.ndarray:
    """Compute a product of matrices, after moving batches first and sums last."""
    (summed, summed_too), (batch, batch_too) = dimension_numbers
    left, rows = _arrange(a, batch, summed)
    right, columns = _arrange(b, batch_too, summed_too)
    found = left @ np.swapaxes(right, -1, -2)
    return found.reshape([a.shape[i] for i in batch] + rows + columns)


def _arrange(a: np.ndarray, batch: Any, summed: Any) -> tuple[np.ndarray, list[int]]:
    """Return an array as a batch of matrices with sums along their rows; and its other sizes."""
    free = [i for i in range(a.ndim) if i not in batch and i not in summed]
    sizes = [a.shape[i] for i in free]
    moved = np.transpose(a, (*batch, *free, *summed))
    lead = [a.shape[i] for i in batch]
    return moved.reshape(*lead, prod(sizes), prod(a.shape[i] for i in summed)), sizes


def _cholesky(a: np.ndarray, **_: Any) -> np.ndarray:
    """Factor matrices; NaN for those that are not positive definite."""
    made = np.full_like(a, np.nan)
    for place in np.ndindex(a.shape[:-2]):
        try:
            made[place] = np.linalg.cholesky(a[place])
        except np.linalg.LinAlgError:
            continue
    return np.tril(made)


def _lu(a: np.ndarray, **_: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Factor square or wide matrices with partial pivoting; also return pivots and permutation.

    Source: Golub & Van Loan (2013), Matrix Computations, algorithm 3.4.1.
    """
    made, (rows, columns) = a.copy(), a.shape[-2:]
    rank = min(rows, columns)
    pivots = np.empty((*a.shape[:-2], rank), np.int32)
    order = np.broadcast_to(np.arange(rows, dtype=np.int32), a.shape[:-1]).copy()
    for place in np.ndindex(a.shape[:-2]):
        own = made[place]
        for k in range(rank):
            # LAPACK compares complex numbers so.
            sizes = np.abs(np.real(own[k:, k])) + np.abs(np.imag(own[k:, k]))
            best = k + int(np.argmax(sizes))
            pivots[*place, k] = best
            own[[k, best]] = own[[best, k]]
            order[place][[k, best]] = order[place][[best, k]]
            if own[k, k] != 0:
                own[k + 1 :, k] /= own[k, k]
            own[k + 1 :, k + 1 :] -= np.outer(own[k + 1 :, k], own[k, k + 1 :])
    return made, pivots, order


def _triangular_solve(
    a: np.ndarray, b: np.ndarray, *, left_side: bool, lower: bool, transpose_a: bool,
    conjugate_a: bool, unit_diagonal: bool, **_: Any,
) -> np.ndarray:  # fmt: skip
    """Solve with one triangle of a matrix, from the left or the right."""
    part = np.tril(a, -unit_diagonal) if lower else np.triu(a, unit_diagonal)
    part = part + np.eye(a.shape[-1], dtype=a.dtype) if unit_diagonal else part
    part = part.conj() if conjugate_a else part
    part = np.swapaxes(part, -1, -2) if transpose_a else part
    if left_side:
        return np.linalg.solve(part, b)
    return np.swapaxes(np.linalg.solve(np.swapaxes(part, -1, -2), np.swapaxes(b, -1, -2)), -1, -2)


def _platform_index(*, platforms: Any) -> int:
    """Return which group of platforms has the present one; None stands for all others."""
    backend = jax.default_backend()
    named = [i for i, group in enumerate(platforms) if group and backend in group]
    return (named or [i for i, group in enumerate(platforms) if group is None])[0]


def _sort(*parts: np.ndarray, dimension: int, num_keys: int, **_: Any) -> list[np.ndarray]:
    """Sort all parts by the first ones, along one dimension; NaN is last."""
    keys = np.moveaxis(np.stack(parts[:num_keys][::-1]), dimension + 1, -1)
    order = np.moveaxis(np.lexsort(keys, axis=-1), -1, dimension)
    return [np.take_along_axis(part, order, dimension) for part in parts]


def _polynomial(a: np.ndarray, *coefficients: np.ndarray, **_: Any) -> np.ndarray:
    """Evaluate a polynomial, its coefficients in ascending order."""
    found = np.zeros_like(a)
    for coefficient in reversed(coefficients):
        found = found * a + coefficient
    return found


def _same(a: np.ndarray, **_: Any) -> np.ndarray:
    return a


def _plain(function: Callable[..., Any]) -> Rule:
    """Make the rule of a function that needs no parameter."""
    return lambda *operands, **_: function(*operands)


def _special(name: str) -> Rule:
    """Make the rule of a function of SciPy, whose import takes 0.2 s and which few models need."""
    return lambda *operands, **_: getattr(import_module("scipy.special"), name)(*operands)


_PLAIN: dict[str, Callable[..., Any]] = {
    "neg": np.negative, "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "abs": np.abs,
    "is_finite": np.isfinite, "exp": np.exp, "exp2": np.exp2, "log": np.log, "log1p": np.log1p,
    "expm1": np.expm1, "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh,
    "sinh": np.sinh, "cosh": np.cosh, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "sqrt": np.sqrt,
    "rsqrt": lambda a: 1 / np.sqrt(a), "cbrt": np.cbrt, "square": np.square,
    "logistic": lambda a: 1 / (1 + np.exp(-a)), "not": np.invert, "real": np.real,
    "imag": np.imag, "conj": np.conj, "complex": lambda a, b: a + 1j * b,
    "add": np.add, "add_any": np.add, "sub": np.subtract, "mul": np.multiply,
    "div": _divide, "rem": _remainder, "pow": np.power, "max": np.maximum,
    "min": np.minimum, "atan2": np.arctan2, "nextafter": np.nextafter, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor, "eq": np.equal, "ne": np.not_equal,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "shift_left": np.left_shift, "shift_right_logical": _shift_right_logical,
    "shift_right_arithmetic": np.right_shift, "select_n": _select,
    "clamp": lambda low, a, high: np.minimum(np.maximum(a, low), high),
    "copy": np.asarray, "copy_p": np.asarray, "random_wrap": np.asarray,
    "random_unwrap": np.asarray, "stop_gradient": np.asarray, "reciprocal": np.reciprocal,
    "log2": np.log2, "one_minus_square": lambda a: 1 - a * a,
}  # fmt: skip
# Functions of scipy.special.
_SPECIAL = {
    "lgamma": "gammaln", "digamma": "digamma", "polygamma": "polygamma", "zeta": "zeta",
    "erf": "erf", "erfc": "erfc", "erf_inv": "erfinv", "bessel_i0e": "i0e", "bessel_i1e": "i1e",
    "igamma": "gammainc", "igammac": "gammaincc", "regularized_incomplete_beta": "betainc",
}  # fmt: skip
_NUMPY: dict[str, Rule] = {
    "integer_pow": lambda a, *, y, **_: a**y if y >= 0 else 1 / a**-y,
    "round": _round,
    "reduce_precision": _same,
    "bitcast_convert_type": _bitcast,
    "convert_element_type": _convert,
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "squeeze": lambda a, *, dimensions, **_: np.squeeze(a, tuple(dimensions)),
    "expand_dims": lambda a, *, dimensions, **_: np.expand_dims(a, tuple(dimensions)),
    "transpose": lambda a, *, permutation, **_: np.transpose(a, permutation),
    "rev": lambda a, *, dimensions, **_: np.flip(a, tuple(dimensions)),
    "concatenate": lambda *parts, dimension, **_: np.concatenate(parts, dimension),
    "pad": _pad,
    "slice": cut,
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
    "gather": gather,
    "iota": _iota,
    "platform_index": _platform_index,
    "tile": lambda a, *, reps, **_: np.tile(a, reps),
    "stack": lambda *parts, axis=0, **_: np.stack(parts, axis),
    "split": lambda a, *, sizes, axis, **_: np.split(a, np.cumsum(sizes)[:-1], axis),
    "unstack": lambda a, *, axis=0, **_: list(np.moveaxis(a, axis, 0)),
    "sort": _sort,
    "polynomial": _polynomial,
    "optimization_barrier": lambda *parts, **_: list(parts),
    "reduce_sum": partial(_reduce, np.sum),
    "reduce_prod": partial(_reduce, np.prod),
    "reduce_and": partial(_reduce, np.logical_and.reduce),
    "reduce_or": partial(_reduce, np.logical_or.reduce),
    "reduce_max": _reduce_max,
    "reduce_min": _reduce_min,
    "argmax": partial(_extremum, np.argmax),
    "argmin": partial(_extremum, np.argmin),
    "cumsum": partial(_cumulate, np.cumsum),
    "cumprod": partial(_cumulate, np.cumprod),
    "cummax": partial(_cumulate, np.maximum.accumulate),
    "cummin": partial(_cumulate, np.minimum.accumulate),
    "cumlogsumexp": partial(_cumulate, np.logaddexp.accumulate),
    "dot_general": _product,
    "cholesky": _cholesky,
    "lu": _lu,
    "triangular_solve": _triangular_solve,
    "scatter": partial(scatter, None),
    "scatter-add": partial(scatter, np.add),
    "scatter-sub": partial(scatter, np.subtract),
    "scatter-mul": partial(scatter, np.multiply),
    "scatter-min": partial(scatter, np.minimum),
    "scatter-max": partial(scatter, np.maximum),
}
RULES: dict[str, Rule] = (
    _NUMPY
    | {name: _plain(function) for name, function in _PLAIN.items()}
    | {name: _special(function) for name, function in _SPECIAL.items()}
)
# Those that compute each entry by itself from entries of the operands, or only move it.
ENTRYWISE = _PLAIN.keys() | {
    "broadcast_in_dim", "concatenate", "convert_element_type", "expand_dims", "integer_pow", "iota",
    "reshape", "rev", "slice", "split", "squeeze", "stack", "tile", "transpose", "unstack",
}  # fmt: skip
