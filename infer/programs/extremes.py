"""Find where a gradient asks which entries are the largest, and answer by their places.

The derivative of a maximum marks the entries that equal it, and divides by their number. XLA may
compute the entries twice, with other last bits: then no entry equals the maximum, and the gradient
lacks a term or is 0 / 0. JAX 0.10 and 0.12 both do so on CPUs, compiled, for the minimum of some
sines over the first axis. An index cannot differ so.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, Var
from jaxtyping import Array, Bool

FIND = {"reduce_max": jax.lax.argmax, "reduce_min": jax.lax.argmin}
KEEP_VALUES = {"broadcast_in_dim", "reshape", "stop_gradient"}


class Extreme(NamedTuple):
    """A comparison of entries with their own maximum or minimum.

    Attributes:
        entries: The entries.
        name: Of the primitive that reduces them.
        axes: The axes that are reduced.
    """

    entries: Var
    name: str
    axes: tuple[int, ...]


def find_extremes(jaxpr: Jaxpr) -> dict[Var, Extreme]:
    """Return the comparisons of floating-point entries with their own extreme, by their result."""
    reduced: dict[Any, Extreme] = {}
    found: dict[Var, Extreme] = {}
    for equation in jaxpr.eqns:
        name, operands = equation.primitive.name, equation.invars
        entries: Any = operands[0] if operands else None
        if name in FIND and jnp.issubdtype(entries.aval.dtype, jnp.floating):
            reduced[equation.outvars[0]] = Extreme(entries, name, equation.params["axes"])
        elif name in KEEP_VALUES and _is_in(operands[0], reduced):
            reduced[equation.outvars[0]] = reduced[operands[0]]
        elif name == "eq" and (extreme := _compared(equation, reduced)):
            found[equation.outvars[0]] = extreme
    return found


def _is_in(atom: Any, reduced: dict[Any, Extreme]) -> bool:
    return isinstance(atom, Var) and atom in reduced


def _compared(equation: JaxprEqn, reduced: dict[Any, Extreme]) -> Extreme | None:
    for one, other in (equation.invars, equation.invars[::-1]):
        if _is_in(other, reduced) and reduced[other].entries is one:
            return reduced[other]
    return None


def mark_extreme(entries: Array, extreme: Extreme) -> Bool[Array, "..."]:
    """Mark the first of the largest or smallest entries along the axes, as `eq` marks all."""
    count = len(extreme.axes)
    moved = jnp.moveaxis(entries, extreme.axes, range(-count, 0))
    flat = moved.reshape(*moved.shape[: moved.ndim - count], -1)
    place = FIND[extreme.name](flat, flat.ndim - 1, jnp.int32)
    marks = place[..., None] == jnp.arange(flat.shape[-1], dtype=jnp.int32)
    return jnp.moveaxis(marks.reshape(moved.shape), range(-count, 0), extreme.axes)
