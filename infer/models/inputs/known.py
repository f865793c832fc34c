"""Evaluate with NumPy the equations of a traced program that compute indices from data."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Known(NamedTuple):
    """Numbers that are known before a program runs.

    Attributes:
        array: The numbers.
        names: Data that they are computed from; none if they are constants of the program.
    """

    array: np.ndarray
    names: frozenset[str] = frozenset()


def _select_n(_: Mapping[str, Any], which: np.ndarray, *cases: np.ndarray) -> np.ndarray | None:
    return np.where(which, cases[1], cases[0]) if which.dtype == bool else None


def _broadcast_in_dim(params: Mapping[str, Any], operand: np.ndarray) -> np.ndarray:
    shape = [1] * len(params["shape"])
    for axis, size in zip(params["broadcast_dimensions"], operand.shape, strict=True):
        shape[axis] = size
    return np.broadcast_to(operand.reshape(shape), params["shape"])


def _slice(params: Mapping[str, Any], operand: np.ndarray) -> np.ndarray:
    strides = params["strides"] or (1,) * operand.ndim
    ends = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
    return operand[tuple(slice(*end) for end in ends)]


def _iota(params: Mapping[str, Any]) -> np.ndarray:
    shape, axis = params["shape"], params["dimension"]
    column = np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return np.broadcast_to(column, shape)


def _gather(params: Mapping[str, Any], operand: np.ndarray, index: np.ndarray) -> np.ndarray | None:
    """Take entries of a vector by an index of any shape, as in group_of[row]."""
    if operand.ndim != 1 or params["slice_sizes"] != (1,):
        return None
    if params["dimension_numbers"].offset_dims:
        return None
    return operand[np.clip(index[..., 0], 0, len(operand) - 1)]


def _divide(_: Mapping[str, Any], a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    if not np.issubdtype(a.dtype, np.integer):
        return a / b
    # Integers are rounded towards zero.
    return None if (b == 0).any() else np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))


def _remainder(_: Mapping[str, Any], a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    return None if (b == 0).any() else np.fmod(a, b)


def _ignore_params(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _, *operands: function(*operands)


# Primitives that compute indices from data, as NumPy functions.
TABLE: dict[str, Callable[..., Any]] = {
    "abs": _ignore_params(np.abs),
    "add": _ignore_params(np.add),
    "and": _ignore_params(np.bitwise_and),
    "broadcast_in_dim": _broadcast_in_dim,
    "clamp": lambda _, low, x, high: np.clip(x, low, high),
    "concatenate": lambda params, *parts: np.concatenate(parts, params["dimension"]),
    "convert_element_type": lambda params, x: x.astype(params["new_dtype"]),
    "copy": _ignore_params(np.asarray),
    "div": _divide,
    "eq": _ignore_params(np.equal),
    "expand_dims": lambda params, x: np.expand_dims(x, params["dimensions"]),
    "floor": _ignore_params(np.floor),
    "gather": _gather,
    "ge": _ignore_params(np.greater_equal),
    "gt": _ignore_params(np.greater),
    "iota": _iota,
    "le": _ignore_params(np.less_equal),
    "lt": _ignore_params(np.less),
    "max": _ignore_params(np.maximum),
    "min": _ignore_params(np.minimum),
    "mul": _ignore_params(np.multiply),
    "ne": _ignore_params(np.not_equal),
    "neg": _ignore_params(np.negative),
    "not": _ignore_params(np.invert),
    "or": _ignore_params(np.bitwise_or),
    "rem": _remainder,
    "reshape": lambda params, x: x.reshape(params["new_sizes"]),
    "rev": lambda params, x: np.flip(x, params["dimensions"]),
    "select_n": _select_n,
    "sign": _ignore_params(np.sign),
    "slice": _slice,
    "squeeze": lambda params, x: np.squeeze(x, params["dimensions"]),
    "stop_gradient": _ignore_params(np.asarray),
    "sub": _ignore_params(np.subtract),
    "transpose": lambda params, x: np.transpose(x, params["permutation"]),
}
