"""The log-determinant of the Jacobian of any function, by autodiff."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, Literal
from jaxtyping import Array

# Primitives in which each entry of the output depends only on the input entries at its index.
_ELEMENTWISE = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh cbrt clamp convert_element_type
    copy cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 ge gt integer_pow is_finite le
    lgamma log log1p logistic lt max min mul ne neg not or pow rsqrt select_n sign sin sinh sqrt
    square stop_gradient sub tan tanh xor
""".split()  # noqa: SIM905
# Primitives that call another function on their inputs, in order.
_CALLS = ("jit", "pjit", "custom_jvp_call", "closed_call", "custom_vjp_call")


def log_det_of(function: Callable[[Array], Array], y: Array) -> Array:
    """Return the log absolute determinant in nats of the Jacobian of a function, by autodiff."""
    if is_elementwise(function, y):
        slopes = jax.jvp(function, (y,), (jnp.ones_like(y),))[1]
        return jnp.log(jnp.abs(slopes)).sum()
    jacobian = jax.jacfwd(function)(y).reshape(y.size, y.size)
    return jnp.linalg.slogdet(jacobian)[1]


def is_elementwise(function: Callable[[Array], Array], y: Array) -> bool:
    """Return whether function(y) has the shape of y, and each entry depends on its own alone.

    This is read off the traced program. If it cannot be decided there, the answer is false.
    """
    closed = jax.make_jaxpr(function)(y)
    jaxpr = closed.jaxpr
    same = all(out.aval.shape == y.shape for out in jaxpr.outvars)
    return same and _trace_elementwise(jaxpr, [True], y.shape) is not None


def _trace_elementwise(
    jaxpr: Jaxpr, moving: list[bool], shape: tuple[int, ...]
) -> list[bool] | None:
    """Return which outputs depend on the moving inputs; `None` if any is not elementwise."""
    known = {var for var, moves in zip(jaxpr.invars, moving, strict=True) if moves}
    is_moving = lambda var: not isinstance(var, Literal) and var in known  # noqa: E731
    for equation in jaxpr.eqns:
        inputs = [is_moving(var) for var in equation.invars]
        if not any(inputs):
            continue
        outputs = _trace_equation(equation, inputs, shape)
        if outputs is None:
            return None
        known |= {v for v, moves in zip(equation.outvars, outputs, strict=True) if moves}
    return [is_moving(var) for var in jaxpr.outvars]


def _trace_equation(equation, inputs: list[bool], shape: tuple[int, ...]) -> list[bool] | None:
    """Return which outputs of one equation depend on the moving inputs, as `_trace_elementwise`."""
    name, params = equation.primitive.name, equation.params
    if any(out.aval.shape != shape for out in equation.outvars):
        return None
    if name in _CALLS:
        inner = params.get("jaxpr", params.get("call_jaxpr"))
        inner = getattr(inner, "jaxpr", inner)
        return (
            _trace_elementwise(inner, inputs, shape) if len(inner.invars) == len(inputs) else None
        )
    return [True] * len(equation.outvars) if name in _ELEMENTWISE else None
