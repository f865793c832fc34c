"""JAX functions of PyTensor's Ops: PyTensor's own, and a few in a form that suits gradients.

PyMC selects among formulas by a switch. JAX's gradient of a switch multiplies the slope of what was
not selected by zero, which gives NaN if that slope is infinite.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .library import library

Function = Callable[..., Any]


def function_of(node: Any) -> Function:
    """Return the JAX function of a node.

    Raises:
        NotImplementedError: PyTensor has none.
    """
    kind = type(getattr(node.op, "scalar_op", None)).__name__
    # Constants of an inner graph, as of a scan, stay numbers even while a program is traced.
    with jax.ensure_compile_time_eval():
        function = library().jax_funcify(node.op, node=node, storage_map={})
    return _FLATTENED[kind](function) if kind in _FLATTENED else function


def _level_at(pole: float, beside: float) -> Callable[[Function], Function]:
    """Return what gives a logarithm the slope zero at its pole; its value is minus infinity."""

    def level(function: Function) -> Function:
        def leveled(x: Any) -> Any:
            x = jnp.asarray(x)
            return jnp.where(x == pole, -jnp.inf, function(jnp.where(x == pole, beside, x)))

        return leveled

    return level


def _bound(erfcx: Function) -> Function:
    """Return erfcx for arguments from where it is finite; it is about 2 exp(x^2) below zero."""

    def bounded(x: Any) -> Any:
        x = jnp.asarray(x)
        lowest = -np.sqrt(np.log(float(jnp.finfo(x.dtype).max)) - 2)
        # Entry by entry: in jax 0.12 the second derivative of erfcx of an array raises.
        return jnp.vectorize(erfcx)(jnp.maximum(x, lowest))

    return bounded


_FLATTENED: dict[str, Callable[[Function], Function]] = {
    "Erfcx": _bound,
    "Log": _level_at(0.0, 1.0),
    "Log1p": _level_at(-1.0, 0.0),
}
