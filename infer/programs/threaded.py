"""Predict which operations XLA divides among threads, which a native function cannot do.

XLA's CPU compiler divides a large operation among threads unless a branch contains it directly.
In the loop of a native function it then fails, after the whole compile and with a line on stderr.
The costs are those of XLA's `parallel_task_assignment.cc` and `hlo_cost_analysis.cc` (2026).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import jax
from jax.extend.core import JaxprEqn, Literal

from ..equations import CALLS
from .rewrite import list_inner_programs

# An operation that computes more than it reads and writes is divided from this cost on, of a flop
# for each flop, 2 for each transcendental function and 10 for each byte; another one by its bytes.
LEAST_COST, LEAST_BYTES = 200_000, 2**19
# Shorter arrays are not followed; their operations are far below these limits.
SHORT = 64
# Flops that XLA counts for each result of a special function; the first two were measured.
FLOPS = {"lgamma": 143, "digamma": 162, "erf_inv": 60}
FLOPS |= dict.fromkeys(("igamma", "igammac", "bessel_i0e", "bessel_i1e", "polygamma", "zeta"), 150)
# One flop each, or one function.
PLAIN = frozenset(
    ("add", "add_any", "sub", "mul", "div", "rem", "neg", "sign", "abs", "max", "min", "clamp")
    + ("floor", "ceil", "round", "square", "integer_pow", "select_n", "convert_element_type")
    + ("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor", "not", "is_finite", "nextafter")
    + ("shift_left", "shift_right_logical", "shift_right_arithmetic")
)
FUNCTIONS = frozenset(
    ("exp", "exp2", "expm1", "log", "log1p", "logistic", "sin", "cos", "tan", "sinh", "cosh")
    + ("tanh", "asin", "acos", "atan", "asinh", "acosh", "atanh", "atan2", "erf", "erfc")
    + ("pow", "sqrt", "rsqrt", "cbrt")
)
SUMS = frozenset(
    ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or")
)
MOVES = frozenset(("broadcast_in_dim", "transpose", "rev", "copy"))
# Without a change of size, nothing is moved.
SAME = frozenset(("broadcast_in_dim", "reshape", "squeeze", "expand_dims"))
FUSED = PLAIN | FUNCTIONS | SUMS | MOVES | FLOPS.keys()


@dataclass(eq=False, slots=True)
class _Value:
    """An array in the body of a loop, computed in one operation with as much as XLA can fuse.

    Attributes:
        size: Number of its entries.
        bytes: Their size.
        flops, functions: What it costs beyond its sources and parts.
        parts: What the operation computes, itself included; empty if it is read from memory.
        sources: What the operation reads.
        kept: Whether it is stored, since something that XLA does not fuse with it uses it.
    """

    size: int
    bytes: int
    flops: int = 0
    functions: int = 0
    parts: set["_Value"] = field(default_factory=set)
    sources: set["_Value"] = field(default_factory=set)
    kept: bool = False

    def is_divided(self) -> bool:
        """Return whether XLA divides the operation that computes it among threads."""
        if not self.parts or self.size == 1 or not self.kept:
            return False
        moved = self.bytes + sum(own.bytes for own in self.sources)
        flops = sum(own.flops for own in self.parts)
        cost = flops + 2 * sum(own.functions for own in self.parts) + 10 * moved
        # XLA finds fewer flops, since it simplifies what is computed.
        return cost >= LEAST_COST if flops > 2 * moved else moved >= LEAST_BYTES


def count_divided(program: Any) -> int:
    """Estimate how many operations in the loops of a jaxpr XLA divides among threads.

    It does so on a CPU, until release 0.11.

    Args:
        program: The jaxpr.
    """
    if jax.__version_info__ >= (0, 11) or jax.default_backend() != "cpu":
        return 0
    return sum(own.is_divided() for body in _list_bodies(program) for own in _follow(body))


def _list_bodies(program: Any) -> Iterator[Any]:
    """Yield the bodies of all loops of a jaxpr."""
    for equation in getattr(program, "jaxpr", program).eqns:
        if equation.primitive.name in ("while", "scan"):
            yield equation.params["jaxpr" if "jaxpr" in equation.params else "body_jaxpr"]
        for inner in list_inner_programs(equation):
            yield from _list_bodies(inner)


def _follow(body: Any) -> list[_Value]:
    """Return all arrays that the body of a loop computes."""
    found: list[_Value] = []
    jaxpr = body.jaxpr
    for own in _follow_calls(jaxpr, [_outline(atom) for atom in jaxpr.invars], found):
        own.kept = True
    return found


def _follow_calls(jaxpr: Any, inputs: Sequence[_Value], found: list[_Value]) -> list[_Value]:
    """Follow the arrays of a jaxpr and of those that it calls, in order; return its results."""
    values = dict(zip(jaxpr.invars, inputs, strict=True))
    values |= {atom: _outline(atom) for atom in jaxpr.constvars}
    read = lambda atom: _outline(atom) if isinstance(atom, Literal) else values[atom]  # noqa: E731
    for equation in jaxpr.eqns:
        given = [read(atom) for atom in equation.invars]
        if called := CALLS.get(equation.primitive.name):
            inner = equation.params[called]
            results = _follow_calls(getattr(inner, "jaxpr", inner), given, found)
        elif (
            equation.primitive.name in SAME and given[0].size == _outline(equation.outvars[0]).size
        ):
            results = given[:1]
        else:
            results = [_compute(equation, atom, given) for atom in equation.outvars]
            found += results
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _outline(atom: Any) -> _Value:
    """Return an array that is read from memory; a short one counts as nothing."""
    size = prod(getattr(atom.aval, "shape", ()))
    value = _Value(size, size * getattr(getattr(atom.aval, "dtype", None), "itemsize", 0))
    value.sources = {value} if size >= SHORT else set()
    return value


def _compute(equation: JaxprEqn, atom: Any, given: list[_Value]) -> _Value:
    """Return a result of an equation, and note that it uses its operands."""
    name, value = equation.primitive.name, _outline(atom)
    is_fused = name in FUSED
    for own in given:
        own.kept = own.kept or not is_fused
    most = max((own.size for own in given), default=0)
    if is_fused and max(most, value.size) >= SHORT:
        each = FLOPS.get(name, int(name in PLAIN | SUMS))
        value.flops = each * max(most, value.size)
        value.functions = value.size * (name in FUNCTIONS)
        value.parts = {value}.union(*(own.parts for own in given))
        value.sources = set().union(*(own.sources for own in given))
    return value
