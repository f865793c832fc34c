"""Run a JAX function with 50 digits or more, by evaluating its jaxpr in mpmath."""

from collections.abc import Callable
from functools import reduce

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import mpmath
import numpy as np

Exact = np.ndarray


def exactly(function: Callable, y: np.ndarray, digits: int = 50) -> Exact:
    """Evaluate `function` at y, an array of doubles, with `digits` digits.

    Returns:
        An object array of mpmath numbers, with the shape of the function's only result.
    """
    closed = jax.make_jaxpr(function)(jnp.asarray(y))
    with mpmath.workdps(digits):
        (result,) = _run(closed.jaxpr, closed.consts, [_lift(np.asarray(y))])
    return result


def log_det(value: Callable, y: np.ndarray, digits: int = 50) -> float:
    """Compute log |det J| of `value` at y from the formula of the value alone."""
    size = int(np.prod(y.shape))
    flat = lambda y: value(y).reshape(-1)  # noqa: E731
    jacobian = exactly(lambda y: jax.jacfwd(flat)(y).reshape(size, size), y, digits)
    with mpmath.workdps(digits):
        return float(mpmath.log(abs(mpmath.det(mpmath.matrix(jacobian.tolist())))))


def _run(jaxpr, constants, arguments) -> list:
    known = dict(zip(jaxpr.constvars, map(_lift, constants), strict=True))
    known |= dict(zip(jaxpr.invars, arguments, strict=True))

    def read(atom):
        return _lift(np.asarray(atom.val)) if isinstance(atom, jex.Literal) else known[atom]

    for equation in jaxpr.eqns:
        found = _apply(equation, [read(atom) for atom in equation.invars])
        known |= dict(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _lift(array) -> Exact:
    """Convert floats to mpmath numbers; booleans and integers stay as they are."""
    array = np.asarray(array)
    if array.dtype.kind != "f":
        return array
    return _each(lambda number: mpmath.mpf(float(number)), array)


def _each(function: Callable, *arrays) -> Exact:
    arrays = np.broadcast_arrays(*arrays)
    out = np.empty(arrays[0].shape, object)
    for at in np.ndindex(out.shape):
        out[at] = function(*(a[at] for a in arrays))
    return out


def _apply(equation, values) -> list:
    name, parameters = equation.primitive.name, equation.params
    inner = parameters.get("jaxpr") or parameters.get("call_jaxpr")
    if inner is not None:
        return _run(inner.jaxpr, inner.consts, values)
    if name in MOVE:
        return [MOVE[name](parameters, *values)]
    if all(np.asarray(v).dtype != object for v in values):
        return [_lift(a) for a in _bound(equation, values)]
    if name in NUMBER:
        return [_each(NUMBER[name], *values)]
    if name in COMPARE:
        return [_each(COMPARE[name], *values).astype(bool)]
    if name in REDUCE:
        return [_reduced(REDUCE[name], values[0], parameters["axes"])]
    if name in SPECIAL:
        return [SPECIAL[name](parameters, *values)]
    return _moved(equation, values)


def _bound(equation, values) -> list:
    found = equation.primitive.bind(*map(jnp.asarray, values), **equation.params)
    return [np.asarray(a) for a in (found if equation.primitive.multiple_results else [found])]


NUMBER = {
    # A primitive of jax 0.12, in the derivative of tanh.
    "one_minus_square": lambda x: (1 - x) * (1 + x),
    "add": lambda a, b: a + b,
    "add_any": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "abs": abs,
    "sign": mpmath.sign,
    "exp": mpmath.exp,
    "exp2": lambda a: mpmath.mpf(2) ** a,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "expm1": mpmath.expm1,
    "tanh": mpmath.tanh,
    "sinh": mpmath.sinh,
    "asinh": mpmath.asinh,
    "logistic": lambda a: 1 / (1 + mpmath.exp(-a)),
    "sqrt": mpmath.sqrt,
    "rsqrt": lambda a: 1 / mpmath.sqrt(a),
    "square": lambda a: a * a,
    "cos": mpmath.cos,
    "sin": mpmath.sin,
    "pow": lambda a, b: a**b,
    "max": max,
    "min": min,
    "complex": mpmath.mpc,
    "real": lambda a: a.real,
    "imag": lambda a: a.imag,
}
COMPARE = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "is_finite": mpmath.isfinite,
}
REDUCE = {"reduce_sum": lambda a, b: a + b, "reduce_max": max, "reduce_min": min}


def _reduced(function: Callable, array: Exact, axes) -> Exact:
    if not array.size:
        return _each(lambda _: mpmath.mpf(0), np.zeros(np.delete(array.shape, axes)))
    for axis in sorted(axes, reverse=True):
        array = _each(lambda *row: reduce(function, row), *np.moveaxis(array, axis, 0))
    return array


def _cumulated(parameters, array: Exact) -> Exact:
    axis, backwards = parameters["axis"], parameters["reverse"]
    rows = np.moveaxis(array, axis, 0)
    rows = rows[::-1] if backwards else rows
    sums = np.add.accumulate(rows, axis=0)
    return np.moveaxis(sums[::-1] if backwards else sums, 0, axis)


def _dot(parameters, a: Exact, b: Exact) -> Exact:
    (mine, theirs), (batch_a, batch_b) = parameters["dimension_numbers"]
    assert not batch_a
    assert not batch_b
    return np.asarray(np.tensordot(a, b, (mine, theirs)), object)


def _selected(parameters, which, *cases) -> Exact:
    choose = lambda w, *options: options[int(w)]  # noqa: E731
    return _each(choose, which, *cases)


def _inverse_real_fourier(parameters, spectrum: Exact) -> Exact:
    """x_j = sum_k w_k Re(s_k exp(2 pi i j k / n)) / n, where w_k is 1 at the ends and 2 inside."""
    assert parameters["fft_type"].name == "IRFFT"
    (size,) = parameters["fft_lengths"]
    weights = [1 if 2 * k in (0, size) else 2 for k in range(spectrum.shape[-1])]
    turn = lambda j, k: weights[k] * mpmath.expjpi(mpmath.mpf(2 * j * k) / size) / size  # noqa: E731
    waves = _each(turn, *np.indices((size, len(weights))))
    return _each(lambda x: x.real, np.tensordot(spectrum, waves, (-1, 1)))


SPECIAL = {
    "fft": _inverse_real_fourier,
    "cumsum": _cumulated,
    "dot_general": _dot,
    "select_n": _selected,
    "integer_pow": lambda p, a: _each(lambda x: x ** p["y"], a),
    "convert_element_type": lambda p, a: a,
    "copy": lambda p, a: a,
    "stop_gradient": lambda p, a: a,
}


def _sliced(parameters, array):
    strides = parameters["strides"] or (1,) * array.ndim
    return array[
        tuple(map(slice, parameters["start_indices"], parameters["limit_indices"], strides))
    ]


def _spread(parameters, array):
    shape = np.ones(len(parameters["shape"]), int)
    shape[list(parameters["broadcast_dimensions"])] = array.shape
    return np.broadcast_to(array.reshape(shape), parameters["shape"])


def _counted(parameters):
    numbers = np.arange(parameters["shape"][parameters["dimension"]], dtype=parameters["dtype"])
    as_axis = {"shape": parameters["shape"], "broadcast_dimensions": [parameters["dimension"]]}
    return _lift(_spread(as_axis, numbers))


# By NumPy, since JAX would compile a program for each shape.
MOVE = {
    "broadcast_in_dim": _spread,
    "concatenate": lambda p, *arrays: np.concatenate(arrays, p["dimension"]),
    "iota": _counted,
    "reshape": lambda p, a: a.reshape(p["new_sizes"]),
    "rev": lambda p, a: np.flip(a, p["dimensions"]),
    "slice": _sliced,
    "squeeze": lambda p, a: np.squeeze(a, tuple(p["dimensions"])),
    "transpose": lambda p, a: a.transpose(p["permutation"]),
}


def _moved(equation, values) -> list:
    """Apply any other primitive that only moves numbers, to their positions in one list."""
    exact = [np.asarray(v).dtype == object for v in values]
    numbers = np.concatenate([v.reshape(-1) for v, e in zip(values, exact, strict=True) if e])
    places, start = [], 0
    for value, is_exact in zip(values, exact, strict=True):
        if is_exact:
            labels = start + np.arange(value.size, dtype=np.float64).reshape(value.shape)
            start += value.size
        places.append(labels if is_exact else value)
    return [np.asarray(numbers[moved.astype(int)], object) for moved in _bound(equation, places)]
