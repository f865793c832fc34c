"""Which leaves of a function's result depend on its arguments, and not on constants alone."""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Literal


def find_dependent_leaves(function: Callable[..., Any], *arguments: Any) -> list[bool]:
    """Return for each leaf of the result whether it depends on an array of the arguments.

    Args:
        function: The function; it is traced.
        arguments: Arrays, or their shapes and types.
    """
    program = jax.make_jaxpr(function)(*arguments).jaxpr
    reached = set(program.invars)
    for equation in program.eqns:
        if any(not isinstance(v, Literal) and v in reached for v in equation.invars):
            reached.update(equation.outvars)
    return [not isinstance(v, Literal) and v in reached for v in program.outvars]
