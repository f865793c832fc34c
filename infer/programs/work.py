"""Count the numbers that a traced program computes."""

from math import inf, prod
from typing import Any

from jax.extend.core import JaxprEqn

from .batches import LAPACK
from .loops import operand_types
from .rewrite import list_inner_programs


def count_work(program: Any, turns: float = inf) -> float:
    """Count the numbers that a jaxpr computes, times the lengths of its loops.

    A sum of products counts once per product.

    Args:
        program: The jaxpr.
        turns: The length of a while loop.
    """
    jaxpr = getattr(program, "jaxpr", program)
    return sum((_count_work_of(equation, turns) for equation in jaxpr.eqns), 0.0)


def _count_work_of(equation: JaxprEqn, turns: float) -> float:
    if inner := list_inner_programs(equation):
        length = turns if equation.primitive.name == "while" else equation.params.get("length", 1)
        return length * sum((count_work(own, turns) for own in inner), 0.0)
    results = sum(prod(getattr(result.aval, "shape", ())) for result in equation.outvars)
    return float(results * _count_terms(equation))


def _count_terms(equation: JaxprEqn) -> int:
    """Count the products that are summed for each result."""
    name = equation.primitive.name
    if name == "dot_general":
        (summed, _), _ = equation.params["dimension_numbers"]
        return prod(operand_types(equation)[0].shape[axis] for axis in summed)
    return operand_types(equation)[0].shape[-1] if name in LAPACK else 1
