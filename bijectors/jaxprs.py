"""Traced programs (jaxprs): which equations call another program, and what results depend on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

# Primitives that run another program once on their operands, in order, and the parameter that
# holds it.
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

# A program: a jaxpr, closed or not.
Program = Jaxpr | ClosedJaxpr
# Operands that an equation reads if only some of its results are wanted; None if it is not needed.
Reads = Callable[[JaxprEqn, tuple[bool, ...]], Iterable[Any] | None]


class Needed(NamedTuple):
    """The part of a program that some of its results depend on.

    Attributes:
        equations: In order, each with which of its results are needed.
        variables: All that is read, and the wanted results.
    """

    equations: list[tuple[JaxprEqn, tuple[bool, ...]]]
    variables: frozenset[Any]


def jaxpr_of(program: Any) -> Any:
    """Return the jaxpr of a program, closed or not."""
    return getattr(program, "jaxpr", program)


def constants_of(program: Any) -> Sequence[Any]:
    """Return the values of a program's constants; none if it is not closed."""
    return getattr(program, "consts", ())


def is_variable(atom: Any) -> bool:
    """Return whether an operand or result is a variable, and not a literal."""
    return not isinstance(atom, Literal)


def called_program(equation: JaxprEqn) -> Any:
    """Return the program that an equation calls once on its operands; None for other equations."""
    name = CALLS.get(equation.primitive.name)
    return None if name is None else equation.params[name]


def nested_programs(equation: JaxprEqn) -> Iterator[Program]:
    """Yield every program among an equation's parameters: calls, loop bodies and branches."""
    for value in equation.params.values():
        for inner in value if isinstance(value, tuple | list) else (value,):
            if isinstance(inner, Jaxpr | ClosedJaxpr):
                yield inner


def equations_in(program: Any) -> Iterator[JaxprEqn]:
    """Yield all equations of a program and of the programs nested in it, in order."""
    for equation in jaxpr_of(program).eqns:
        yield equation
        for inner in nested_programs(equation):
            yield from equations_in(inner)


def needed_by(jaxpr: Any, wanted: Sequence[bool], reads: Reads) -> Needed:
    """Walk from the wanted results of a jaxpr back to what they depend on.

    Args:
        jaxpr: The program, not closed.
        wanted: Which of its results are wanted.
        reads: What an equation reads, given which of its results are needed.
    """
    pairs = zip(jaxpr.outvars, wanted, strict=True)
    needed = {result for result, is_wanted in pairs if is_wanted and is_variable(result)}
    equations = []
    for equation in reversed(jaxpr.eqns):
        here = tuple(result in needed for result in equation.outvars)
        atoms = reads(equation, here)
        if atoms is not None:
            needed |= set(filter(is_variable, atoms))
            equations.append((equation, here))
    return Needed(equations[::-1], frozenset(needed))
