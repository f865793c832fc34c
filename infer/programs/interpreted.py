"""Call a program of little work that is called once: NumPy is done before XLA has compiled it."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr
from jax.interpreters.partial_eval import dce_jaxpr

from ..types import ProgramSignature, signature_of
from .by_name import name_errors, refuse_leaks
from .by_numpy import NoRuleError, count_equations, evaluate_by_numpy
from .divided import explain_division
from .native import call_compiled
from .work import count_work

# XLA takes 20 ms or more to compile a program. NumPy takes so long for about so many equations, or
# for so many numbers.
MOST_EQUATIONS, MOST_NUMBERS = 1000, 2**20


class _Needed(NamedTuple):
    """What the results of a program depend on.

    Attributes:
        program: The jaxpr, closed.
        is_used: Whether it takes each leaf of the arguments.
        results: Structure of the results, as a pytree.
    """

    program: ClosedJaxpr
    is_used: list[bool]
    results: Any


def call_once(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call `function(*arguments)` as `call_compiled` does, but with NumPy if that is soon done.

    Args:
        function: A module-level function.
        arguments: Pytrees of arrays.
    """
    is_whole = jax.default_backend() == "cpu" and not explain_division(arguments)
    needed = _find_needed(function, signature_of(arguments)) if is_whole else None
    if needed is None:
        return call_compiled(function, *arguments, form="fast_compile")
    pairs = zip(jax.tree.leaves(arguments), needed.is_used, strict=True)
    try:
        results = evaluate_by_numpy(needed.program, [leaf for leaf, is_used in pairs if is_used])
    except NoRuleError:
        return call_compiled(function, *arguments, form="fast_compile")
    return jax.tree.unflatten(needed.results, results)


@lru_cache(maxsize=64)
def _find_needed(function: Callable[..., Any], signature: ProgramSignature) -> _Needed | None:
    """Trace a program and keep what its results need; None if that is too much for NumPy."""
    with jax.threefry_partitionable(True), name_errors():
        traced = jax.jit(function).trace(*signature.outline())
        refuse_leaks(traced)
    whole = traced.jaxpr
    if whole.effects:
        return None
    jaxpr, is_used = dce_jaxpr(whole.jaxpr, [True] * len(whole.jaxpr.outvars))
    program = ClosedJaxpr(jaxpr, whole.consts)
    if count_equations(program) > MOST_EQUATIONS or count_work(program) > MOST_NUMBERS:
        return None
    return _Needed(program, list(is_used), jax.tree.structure(traced.out_info))
