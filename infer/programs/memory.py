"""Bound the memory that a traced program needs for what it computes."""

from collections.abc import Iterator
from math import prod
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal


def count_peak_bytes(program: Any) -> int:
    """Return an upper bound of the bytes of all results of a jaxpr that are needed at one time.

    Every equation counts as computed in turn, and its result as kept until it is last used; XLA
    fuses equations, and needs less. Arguments and constants do not count.
    """
    jaxpr = getattr(program, "jaxpr", program)
    last = _find_last_uses(jaxpr)
    alive, now, peak = {}, 0, 0
    for index, equation in enumerate(jaxpr.eqns):
        own = {result: _count_bytes(result.aval) for result in equation.outvars}
        alive |= own
        now += sum(own.values())
        inside = max(map(count_peak_bytes, _inner_programs(equation)), default=0)
        peak = max(peak, now + inside)
        done = [result for result in alive if last.get(result, index) <= index]
        now -= sum(alive.pop(result) for result in done)
    return peak


def _find_last_uses(jaxpr: Jaxpr) -> dict[Any, int]:
    """Return the index of the last equation that uses each result; of outputs, after the last."""
    last = {}
    for index, equation in enumerate(jaxpr.eqns):
        last |= {atom: index for atom in equation.invars if not isinstance(atom, Literal)}
    end = len(jaxpr.eqns)
    return last | {atom: end for atom in jaxpr.outvars if not isinstance(atom, Literal)}


def _inner_programs(equation: JaxprEqn) -> Iterator[Any]:
    """List the programs that an equation calls."""
    for parameter in equation.params.values():
        several = parameter if isinstance(parameter, tuple | list) else (parameter,)
        yield from (inner for inner in several if isinstance(inner, Jaxpr | ClosedJaxpr))


def _count_bytes(kind: Any) -> int:
    size = prod(getattr(kind, "shape", ()))
    return size * getattr(getattr(kind, "dtype", None), "itemsize", 0)
