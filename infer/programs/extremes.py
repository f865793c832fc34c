"""Find where a gradient asks which entries are the largest, and answer by their places as well.

The derivative of a maximum marks the entries that equal it, and divides by their number. XLA may
compute the entries twice, with other last bits: then no entry equals the maximum, and the gradient
lacks a term or is 0 / 0. JAX 0.10 and 0.12 both do so on CPUs, compiled, for the minimum of some
sines over the first axis. An index cannot differ so: the entry with the index of the maximum is
marked, whether or not it is equal, beside those that are.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, Var
from jaxtyping import Array, Bool

FIND = {"reduce_max": jax.lax.argmax, "reduce_min": jax.lax.argmin}


class Extreme(NamedTuple):
    """A maximum or minimum, or an array that repeats it.

    Attributes:
        entries: What it is the extreme of.
        name: Of the primitive that reduces them.
        axes: The axes that are reduced.
        places: For each axis of the array, the axis of the entries that it stands for; None for an
            axis along which the extreme is the same.
        side: Which operand of a comparison with the entries they are, 0 or 1.
    """

    entries: Var
    name: str
    axes: tuple[int, ...]
    places: tuple[int | None, ...]
    side: int = 0


def find_extremes(jaxpr: Jaxpr) -> dict[Var, Extreme]:
    """Return the comparisons of floating-point entries with their own extreme, by their result."""
    reduced: dict[Any, Extreme] = {}
    found: dict[Var, Extreme] = {}
    for equation in jaxpr.eqns:
        name, operands = equation.primitive.name, equation.invars
        if name in FIND and _has_numbers(operands[0].aval):
            reduced[equation.outvars[0]] = _begin(equation)
        elif name in ("broadcast_in_dim", "reshape") and _is_in(operands[0], reduced):
            if moved := _follow(equation, reduced[operands[0]]):
                reduced[equation.outvars[0]] = moved
        elif name == "eq" and (extreme := _compared(equation, reduced)):
            found[equation.outvars[0]] = extreme
    return found


def mark_extreme(one: Array, other: Array, extreme: Extreme) -> Bool[Array, "..."]:
    """Mark where entries and their extreme are equal, and always one of the entries.

    If an entry along the axes is NaN, so is the extreme, and nothing is marked.

    Args:
        one: The first operand of the comparison.
        other: The second.
        extreme: What is compared, and which operand is the entries.
    """
    entries = (one, other)[extreme.side]
    count = len(extreme.axes)
    moved = jnp.moveaxis(entries, extreme.axes, range(-count, 0))
    flat = moved.reshape(*moved.shape[: moved.ndim - count], -1)
    place = FIND[extreme.name](flat, flat.ndim - 1, jnp.int32)
    first = place[..., None] == jnp.arange(flat.shape[-1], dtype=jnp.int32)
    at_place = jnp.moveaxis(first.reshape(moved.shape), range(-count, 0), extreme.axes)
    return (at_place & ~jnp.isnan(entries)) | (one == other)


def _has_numbers(kind: Any) -> bool:
    return jnp.issubdtype(kind.dtype, jnp.floating) and 0 not in kind.shape


def _is_in(atom: Any, reduced: dict[Any, Extreme]) -> bool:
    return isinstance(atom, Var) and atom in reduced


def _begin(equation: Any) -> Extreme:
    entries, axes = equation.invars[0], tuple(equation.params["axes"])
    kept = tuple(axis for axis in range(entries.aval.ndim) if axis not in axes)
    return Extreme(entries, equation.primitive.name, axes, kept)


def _follow(equation: Any, extreme: Extreme) -> Extreme | None:
    """Follow an extreme through an operation that repeats it; None if its axes are mixed."""
    before, after = equation.invars[0].aval, equation.outvars[0].aval
    if equation.primitive.name == "broadcast_in_dim":
        sources = dict(zip(equation.params["broadcast_dimensions"], extreme.places, strict=True))
        return extreme._replace(places=tuple(map(sources.get, range(after.ndim))))
    long = [place for n, place in zip(before.shape, extreme.places, strict=True) if n != 1]
    if [n for n in before.shape if n != 1] != [n for n in after.shape if n != 1]:
        return None
    return extreme._replace(places=tuple(None if n == 1 else long.pop(0) for n in after.shape))


def _compared(equation: Any, reduced: dict[Any, Extreme]) -> Extreme | None:
    """Return the extreme that entries are compared with, if each meets that of its own row."""
    for side, entries in enumerate(equation.invars):
        other, kind = equation.invars[1 - side], entries.aval
        if _is_in(other, reduced) and reduced[other].entries is entries:
            extreme = reduced[other]
            meets = (
                place == axis or kind.shape[axis] == 1 or (place is None and axis in extreme.axes)
                for axis, place in enumerate(extreme.places)
            )
            return extreme._replace(side=side) if all(meets) else None
    return None
