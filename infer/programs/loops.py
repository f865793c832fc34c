"""Choose the loop that computes an operation for which XLA has no native code."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, JaxprEqn, jaxpr_as_fun
from jaxtyping import Array

from ..numerics.matrices import (
    cholesky_in_loop,
    is_fast_product,
    product_in_loop,
    triangular_solve_in_loop,
)
from ..numerics.pivoting import lu_in_loop, sort_in_loop
from ..numerics.scatter import scatter_in_loop
from .once import store

# Larger matrices lose more time in these loops than the native form saves.
LARGEST_MATRIX = 128
# The loop of a sort compares all pairs: 256 numbers with each other, or 16 times 64.
MOST_COMPARISONS = 2**16

# The replacement of an equation; None leaves it unchanged.
Loop = Callable[..., Any] | None


def choose_loop(equation: JaxprEqn) -> Loop:
    """Choose the loop for an equation; None if the table lacks it or one of its parameters."""
    entry = TABLE.get(equation.primitive.name)
    known = entry is not None and equation.params.keys() <= entry.params
    return entry.rule(equation) if entry and known else None


def operand_types(equation: JaxprEqn) -> list[Any]:
    """Return shapes and dtypes of the operands."""
    return [atom.aval for atom in equation.invars]


def _scatter(equation: JaxprEqn) -> Loop:
    """Rewrite a scatter, whether or not its indices are promised to be sorted or unique."""
    operand, _, updates = operand_types(equation)
    if not operand.ndim or not updates.size:
        return None
    params = equation.params
    combine = _find_combiner(params["update_jaxpr"], params["update_consts"])
    return partial(scatter_in_loop, combine, params["dimension_numbers"], params["mode"])


def _find_combiner(program: Any, constants: Sequence[Any]) -> Callable[[Array, Array], Array]:
    """Return how a scatter combines the old and the new entry; without a program, it replaces."""
    if program is None:
        return _take_new
    if len(program.eqns) == 1:
        (only,) = program.eqns
        plain = only.invars == program.invars and only.outvars == program.outvars
        if plain and only.primitive.name in PLAIN:
            return PLAIN[only.primitive.name]
    return jnp.vectorize(lambda *pair: jaxpr_as_fun(ClosedJaxpr(program, constants))(*pair)[0])


def _take_new(_: Array, new: Array) -> Array:
    return new


def _cholesky(equation: JaxprEqn) -> Loop:
    return cholesky_in_loop if _is_small(equation) else None


def _triangular_solve(equation: JaxprEqn) -> Loop:
    """Rewrite a solve with real matrices, for which `conjugate_a` has no effect."""
    options = ("left_side", "lower", "transpose_a", "unit_diagonal")
    params = {name: equation.params[name] for name in options}
    return partial(triangular_solve_in_loop, **params) if _is_small(equation) else None


def _lu(equation: JaxprEqn) -> Loop:
    return lu_in_loop if _is_small(equation) else None


def _is_small(equation: JaxprEqn) -> bool:
    kind = operand_types(equation)[0]
    is_small = min(kind.shape[-2:]) > 0 and max(kind.shape[-2:]) <= LARGEST_MATRIX
    return is_small and jnp.issubdtype(kind.dtype, jnp.floating)


def _sort(equation: JaxprEqn) -> Loop:
    """Rewrite a sort by one key, in which XLA would compute the keys once for each comparison."""
    (keys, *_), dimension = operand_types(equation), equation.params["dimension"]
    is_short = keys.size * keys.shape[dimension] <= MOST_COMPARISONS
    is_ordered = not jnp.issubdtype(keys.dtype, jnp.complexfloating)
    if not (is_short and is_ordered and equation.params["num_keys"] == 1):
        return None
    sort = partial(sort_in_loop, dimension=dimension)
    return lambda keys, *others: sort(store(keys), *others)


def _product(equation: JaxprEqn) -> Loop:
    left, right = operand_types(equation)
    params = equation.params
    dimensions = params["dimension_numbers"]
    kinds = {left.dtype, right.dtype, params["preferred_element_type"] or left.dtype}
    if len(kinds) > 1 or not jnp.issubdtype(left.dtype, jnp.floating):
        return None
    if params["out_sharding"] is not None:
        return None
    if is_fast_product(dimensions, left.shape, right.shape):
        return None
    return partial(product_in_loop, dimensions, precision=params["precision"])


# How a scatter combines two entries, by the name of the primitive.
PLAIN: dict[str, Callable[[Array, Array], Array]] = {
    "add": jax.lax.add,
    "sub": jax.lax.sub,
    "mul": jax.lax.mul,
    "min": jax.lax.min,
    "max": jax.lax.max,
}


class Entry(NamedTuple):
    """A row of the table.

    Attributes:
        rule: Returns the loop for an equation, or None to leave it unchanged.
        params: Names of the parameters that the rule honors.
    """

    rule: Callable[[JaxprEqn], Loop]
    params: frozenset[str]


def _entry(rule: Callable[[JaxprEqn], Loop], params: str = "") -> Entry:
    return Entry(rule, frozenset(params.split()))


_OF_SCATTER = _entry(
    _scatter,
    "update_jaxpr update_consts dimension_numbers indices_are_sorted unique_indices mode",
)
TABLE: dict[str, Entry] = {
    "scatter": _OF_SCATTER,
    "scatter-add": _OF_SCATTER,
    "scatter-sub": _OF_SCATTER,
    "scatter-mul": _OF_SCATTER,
    "scatter-min": _OF_SCATTER,
    "scatter-max": _OF_SCATTER,
    "cholesky": _entry(_cholesky),
    "lu": _entry(_lu),
    "sort": _entry(_sort, "dimension is_stable num_keys"),
    "triangular_solve": _entry(
        _triangular_solve, "left_side lower transpose_a conjugate_a unit_diagonal"
    ),
    "dot_general": _entry(
        _product, "dimension_numbers precision preferred_element_type out_sharding"
    ),
}
