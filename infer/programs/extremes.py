"""Find where a gradient asks what equals a maximum, and answer whatever the rounding.

The derivative of a maximum marks what equals it, and divides by the number of marks. XLA may
compute the entries twice, with other last bits: then nothing equals the maximum, and the gradient
lacks a term or is 0 / 0. JAX 0.10 and 0.12 both do so on CPUs, compiled, for the minimum of some
sines over the first axis, and JAX 0.10 for the larger of two computed arrays. Two answers do not
depend on that:

- Along axes, the entry with the index of the maximum is marked, whether or not it is equal, beside
  those that are.
- The larger of two arrays equals the first one where that is at least the second, as JAX 0.12 asks.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, Literal, Var
from jaxtyping import Array, Bool

FIND = {"reduce_max": jax.lax.argmax, "reduce_min": jax.lax.argmin}
IS_CHOSEN = {"max": jnp.greater_equal, "min": jnp.less_equal}


class Comparison(NamedTuple):
    """A comparison with an extreme, in another form.

    Attributes:
        operands: What is compared.
        mark: Returns which entries are equal, given the values of the operands.
    """

    operands: Sequence[Any]
    mark: Callable[[Array, Array], Bool[Array, "..."]]


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


def find_comparisons(jaxpr: Jaxpr) -> dict[Any, Comparison]:
    """Return the comparisons of floating-point entries with their own extreme, by their result."""
    reduced: dict[Any, Extreme] = {}
    chosen: dict[Any, Any] = {}
    repeats: dict[Any, Any] = {}
    found: dict[Any, Comparison] = {}
    for equation in jaxpr.eqns:
        # A call may have no operands, or no results.
        name, operands = equation.primitive.name, equation.invars
        result: Any = next(iter(equation.outvars), None)
        if name in FIND and _has_numbers(operands[0].aval):
            reduced[result] = _begin(equation)
        elif name in IS_CHOSEN and _has_numbers(result.aval):
            chosen[result] = equation
        elif name in ("broadcast_in_dim", "reshape"):
            repeats[result] = equation
            if _is_in(operands[0], reduced) and (moved := _follow(equation, reduced[operands[0]])):
                reduced[result] = moved
        elif name == "eq":
            own = _compare_along(equation, reduced) or _compare_pair(equation, chosen, repeats)
            found |= {result: own} if own else {}
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


def _is_in(atom: Any, variables: dict[Any, Any]) -> bool:
    return isinstance(atom, Var) and atom in variables


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


def _compare_along(equation: Any, reduced: dict[Any, Extreme]) -> Comparison | None:
    """Return the comparison of entries with an extreme of them, if each meets that of its row."""
    for side, entries in enumerate(equation.invars):
        other, kind = equation.invars[1 - side], entries.aval
        if _is_in(other, reduced) and reduced[other].entries is entries:
            extreme = reduced[other]
            meets = (
                place == axis or kind.shape[axis] == 1 or (place is None and axis in extreme.axes)
                for axis, place in enumerate(extreme.places)
            )
            own = partial(mark_extreme, extreme=extreme._replace(side=side))
            return Comparison(equation.invars, own) if all(meets) else None
    return None


def _compare_pair(
    equation: Any, chosen: dict[Any, Any], repeats: dict[Any, Any]
) -> Comparison | None:
    """Return the comparison of one of two arrays with the other, in place of the larger of both."""
    for one, extreme in (equation.invars, reversed(equation.invars)):
        if _is_in(extreme, chosen):
            first, second = chosen[extreme].invars
            for own, other in ((first, second), (second, first)):
                if _is_same(one, own, repeats):
                    return Comparison((own, other), IS_CHOSEN[chosen[extreme].primitive.name])
    return None


def _is_same(one: Any, other: Any, repeats: dict[Any, Any]) -> bool:
    """Return whether two operands are one array; `jax.vmap` may broadcast it for each use."""
    if one is other:
        return True
    if isinstance(one, Literal) or isinstance(other, Literal):
        return isinstance(one, Literal) and isinstance(other, Literal) and one.val == other.val
    if one not in repeats or other not in repeats:
        return False
    pair = repeats[one], repeats[other]
    is_alike = pair[0].primitive is pair[1].primitive and pair[0].params == pair[1].params
    return is_alike and all(map(partial(_is_same, repeats=repeats), *(e.invars for e in pair)))
