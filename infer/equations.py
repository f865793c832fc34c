"""Equations of traced programs: which call another program once, and what depends on what."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial, reduce
from operator import or_
from types import MappingProxyType
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

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
# Primitives that hold a Python function instead, from JAX 0.12 on, as that of `jnp.nonzero`.
HIGH = "call_hi_primitive"
# Equations that `find_sources` follows into the programs that they hold.
FOLLOWED = (*CALLS, "cond", "scan")


def find_called(equation: JaxprEqn) -> Any:
    """Return the program that an equation calls once; None if it calls none."""
    name = equation.primitive.name
    if name in CALLS:
        return equation.params[CALLS[name]]
    is_known = name == HIGH and not equation.effects
    return _expand(equation) if is_known and all(map(_is_array, equation.invars)) else None


def _is_array(atom: Any) -> bool:
    return hasattr(atom.aval, "weak_type")


@lru_cache(maxsize=256)
def _expand(equation: JaxprEqn) -> ClosedJaxpr:
    """Trace what a primitive holds; for one equation, the same program is returned each time."""
    avals: list[Any] = [atom.aval for atom in equation.invars]
    operands = [jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=a.weak_type) for a in avals]
    held: Any = equation.primitive
    return jax.make_jaxpr(partial(held.to_lojax, **equation.params))(*operands)


def find_dependent(jaxpr: Jaxpr, sources: Iterable[Any]) -> list[bool]:
    """Return which results of a program depend on some of its variables."""
    marks = dict.fromkeys(sources, 1)
    found = find_sources(jaxpr, [0] * len(jaxpr.invars), marks)
    pairs = zip(jaxpr.outvars, found, strict=True)
    return [bool(own) or (not isinstance(v, Literal) and v in marks) for v, own in pairs]


def find_sources(
    program: Any, given: Sequence[int], marks: Mapping[Any, int] = MappingProxyType({})
) -> list[int]:
    """Find which sources each result of a program is computed from; sources are bits of integers.

    The steps of a scan and the branches of a `cond` are followed. Of any other equation that holds
    a program, each result is taken to depend on all inputs.

    Args:
        program: A traced program.
        given: The sources of each of its arguments.
        marks: Variables that are sources themselves, also of programs that are followed: what is
            computed from one of them counts as computed from its own bits alone.
    """
    jaxpr = getattr(program, "jaxpr", program)
    found: dict[Any, int] = dict(zip(jaxpr.invars, given, strict=True))

    def read(atom: Any) -> int:
        return 0 if isinstance(atom, Literal) else marks.get(atom, found.get(atom, 0))

    for equation in jaxpr.eqns:
        own = [read(atom) for atom in equation.invars]
        if any(own) or marks:
            found.update(zip(equation.outvars, _follow(equation, own, marks), strict=True))
            # An equation may write to a reference whatever it is given.
            found.update((v, _join(own)) for v in equation.invars if is_reference(v))
    return [0 if isinstance(atom, Literal) else found.get(atom, 0) for atom in jaxpr.outvars]


def is_reference(atom: Any) -> bool:
    """Return whether an operand is a `jax.Ref`, whose numbers an equation may change."""
    return hasattr(atom.aval, "inner_aval")


def _follow(equation: JaxprEqn, given: Sequence[int], marks: Mapping[Any, int]) -> Sequence[int]:
    name, params = equation.primitive.name, equation.params
    if name in CALLS:
        return _find_inside(params[CALLS[name]], given, marks)
    if name == "cond":
        branches = [_find_inside(branch, given[1:], marks) for branch in params["branches"]]
        return [given[0] | _join(own) for own in zip(*branches, strict=True)]
    if name == "scan":
        return _follow_steps(equation, given, marks)
    return [_join(given)] * len(equation.outvars)


def _find_inside(program: Any, given: Sequence[int], marks: Mapping[Any, int]) -> list[int]:
    """Do as `find_sources`, but a result that is a source itself counts as that."""
    results = getattr(program, "jaxpr", program).outvars
    found = find_sources(program, given, marks)
    pairs = zip(results, found, strict=True)
    return [own if isinstance(v, Literal) else marks.get(v, own) for v, own in pairs]


def _follow_steps(
    equation: JaxprEqn, given: Sequence[int], marks: Mapping[Any, int]
) -> Sequence[int]:
    """Add what the carry of a scan is computed from step by step, until a step adds nothing."""
    step = equation.params["jaxpr"]
    carried, first = count_carried(equation, step)
    carry = list(given[first : first + carried])
    while True:
        own = [*given[:first], *carry, *given[first + carried :]]
        found = _find_inside(step, own, marks)
        after = [old | new for old, new in zip(carry, found[:carried], strict=True)]
        if after == carry:
            return [*carry, *found[carried:]]
        carry = after


def count_carried(equation: JaxprEqn, step: ClosedJaxpr) -> tuple[int, int]:
    """Count the carries of a scan, and the constants before them."""
    ranks: Callable[[Sequence[Any]], list[int]] = lambda atoms: [a.aval.ndim for a in atoms]  # noqa: E731
    rows = lambda outer, own: sum(a > b for a, b in zip(ranks(outer), ranks(own), strict=True))  # noqa: E731
    carried = len(equation.outvars) - rows(equation.outvars, step.jaxpr.outvars)
    return carried, len(equation.invars) - carried - rows(equation.invars, step.jaxpr.invars)


def _join(sources: Iterable[int]) -> int:
    return reduce(or_, sources, 0)
