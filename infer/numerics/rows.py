"""Map a function over rows: one after another where that is faster on a CPU, or all together."""

from collections.abc import Callable
from math import prod
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr
from jaxtyping import Array, Float

# Entries of the largest array of a program up to which a CPU takes row after row. A batch of them
# reads a larger one once, but takes longer to compile, and its products may be too large for a
# native form: those of a Gaussian process of 60 points took 5 times as long.
LARGEST_IN_TURN = 2**15


def map_rows(function: Callable[..., Any], rows: Float[Array, "rows size"]) -> Any:
    """Map a function over rows.

    Args:
        function: A function of one row, shape (size,).
        rows: Its arguments.
    """
    # JAX would compare bound methods, and with them the arrays of their objects.
    one = lambda row: function(row)  # noqa: E731
    if jax.default_backend() != "cpu":
        return jax.vmap(one)(rows)
    if _find_largest(jax.make_jaxpr(one)(rows[0])) <= LARGEST_IN_TURN:
        return jax.lax.map(one, rows)
    return jax.vmap(one)(rows)


def _find_largest(program: Any) -> int:
    """Return the entries of the largest array that a jaxpr reads or computes."""
    largest = 0
    for equation in getattr(program, "jaxpr", program).eqns:
        atoms = (*equation.invars, *equation.outvars)
        sizes = [prod(getattr(atom.aval, "shape", ())) for atom in atoms]
        held = jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program)
        inner = [_find_largest(own) for own in held if _is_program(own)]
        largest = max(largest, *sizes, *inner)
    return largest


def _is_program(value: Any) -> bool:
    return isinstance(value, Jaxpr | ClosedJaxpr)
