"""Equations of traced programs: which call another program once, and what depends on what."""

from collections.abc import Iterable
from typing import Any

from jax.extend.core import Jaxpr

# Names of their primitives, with the parameter that holds the called program. What such an
# equation computes is what that program computes, as long as nothing is differentiated later.
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "custom_vmap_call": "call",
}


def find_dependent(jaxpr: Jaxpr, sources: Iterable[Any]) -> list[bool]:
    """Return which results of a program depend on some of its variables.

    An equation that holds a program is taken to use all its inputs for all its results.
    """
    moving = set(map(id, sources))
    for equation in jaxpr.eqns:
        if moving & set(map(id, equation.invars)):
            moving |= set(map(id, equation.outvars))
    return [id(result) in moving for result in jaxpr.outvars]
