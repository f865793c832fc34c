"""Which leaves of a function's result depend on its arguments, and not on constants alone."""

from collections.abc import Callable
from typing import Any

import jax

from ..equations import find_dependent


def find_dependent_leaves(function: Callable[..., Any], *arguments: Any) -> list[bool]:
    """Return for each leaf of the result whether it depends on an array of the arguments.

    Args:
        function: The function; it is traced.
        arguments: Arrays, or their shapes and types.
    """
    program = jax.make_jaxpr(function)(*arguments).jaxpr
    return find_dependent(program, program.invars)
