"""Call a program of little work by NumPy, which is done before XLA has compiled it."""

from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr
from jax.interpreters.partial_eval import dce_jaxpr

from bijectors.garbage import pause_collection

from ..equations import CALLS
from ..types import ProgramSignature, signature_of
from .by_name import name_errors, refuse_leaks
from .by_numpy import NoRuleError, count_equations, evaluate_by_numpy
from .divided import explain_division
from .native import call_compiled, prepare
from .numpy_rules import ENTRYWISE
from .rewrite import list_equations
from .work import count_work

# XLA takes 20 ms or more to compile a program. NumPy takes so long for about so many equations, or
# for so many numbers.
MOST_EQUATIONS, MOST_NUMBERS = 1000, 2**20
# The same for a program of a slice of the draws: then it takes NumPy 2 us a draw at most.
OFTEN_EQUATIONS, OFTEN_NUMBERS = 100, 2**18
# Types of numbers with which NumPy computes as XLA does, but for the last bits.
PLAIN_TYPES = {"float32", "float64", "bool"}


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

    def is_within(self, equations: int, numbers: int) -> bool:
        """Return whether the program has so few equations, which compute so few numbers."""
        few = count_equations(self.program) <= equations
        return few and count_work(self.program) <= numbers

    def evaluate(self, *arguments: Any) -> Any:
        """Compute the results of the program with NumPy.

        Raises:
            NoRuleError: There is no rule for a primitive.
        """
        pairs = zip(jax.tree.leaves(arguments), self.is_used, strict=True)
        given = [leaf for leaf, is_used in pairs if is_used]
        return jax.tree.unflatten(self.results, evaluate_by_numpy(self.program, given))


def call_once(
    function: Callable[..., Any], *arguments: Any, static: tuple[Hashable, ...] = ()
) -> Any:
    """Call `function(*static, *arguments)`, compiled or, if that is soon done, with NumPy.

    Args:
        function: A module-level function.
        arguments: Pytrees of arrays.
        static: Leading arguments that it is compiled for.
    """
    if (needed := _find_small(function, static, arguments)) is not None:
        with suppress(NoRuleError):
            return needed.evaluate(*arguments)
    return call_compiled(function, *arguments, static=static, form="fast_compile")


def prepare_once(
    function: Callable[..., Any], *arguments: Any, static: tuple[Hashable, ...] = ()
) -> None:
    """Begin to compile what `call_once` will call compiled; only shapes and types matter."""
    if _find_small(function, static, arguments) is None:
        prepare(function, static, arguments, "fast_compile")


def interpret_entries(function: Callable[..., Any], model: Any, rows: np.ndarray) -> Any:
    """Return a function that calls `function(model, rows)` with NumPy; None if XLA has to.

    Its results depend on the rows alone, for any model of this structure, and each of their entries
    is computed by itself, so that its last bits do not depend on other rows.

    Args:
        function: A module-level function.
        model: A pytree of arrays.
        rows: Rows of a slice; only their shape and type matter.
    """
    needed = _find_needed(function, (), (model, rows))
    few = needed is not None and needed.is_within(OFTEN_EQUATIONS, OFTEN_NUMBERS)
    if needed is None or not few or any(needed.is_used[:-1]):
        return None
    equations = list(list_equations(needed.program))
    results = [result.aval for equation in equations for result in equation.outvars]
    types = {str(getattr(own, "dtype", "")) for own in results}
    names = {equation.primitive.name for equation in equations}
    is_plain = names <= ENTRYWISE | CALLS.keys() and types <= PLAIN_TYPES
    return needed.evaluate if is_plain else None


def trace_outline(
    function: Callable[..., Any], static: tuple[Hashable, ...], signature: ProgramSignature
) -> Any:
    """Return the shapes and types of the results of a program, which is traced once."""
    found = _trace(function, static, signature).out_info
    return jax.tree.map(lambda own: jax.ShapeDtypeStruct(own.shape, own.dtype), found)


def _find_small(
    function: Callable[..., Any], static: tuple[Hashable, ...], arguments: Any
) -> _Needed | None:
    """Find what a program needs; None if that is too much for NumPy."""
    needed = _find_needed(function, static, arguments)
    return needed if needed and needed.is_within(MOST_EQUATIONS, MOST_NUMBERS) else None


def _find_needed(
    function: Callable[..., Any], static: tuple[Hashable, ...], arguments: Any
) -> _Needed | None:
    """Find what a program needs; None if only XLA can call it."""
    if jax.default_backend() != "cpu" or explain_division(arguments):
        return None
    return _reduce(function, static, signature_of(arguments))


@lru_cache(maxsize=64)
@pause_collection()
def _trace(
    function: Callable[..., Any], static: tuple[Hashable, ...], signature: ProgramSignature
) -> jax.stages.Traced:
    with jax.threefry_partitionable(True), name_errors():
        return jax.jit(partial(function, *static)).trace(*signature.outline())


@lru_cache(maxsize=64)
def _reduce(
    function: Callable[..., Any], static: tuple[Hashable, ...], signature: ProgramSignature
) -> _Needed | None:
    """Keep of a traced program what its results need; None if it has effects."""
    refuse_leaks(traced := _trace(function, static, signature))
    whole = traced.jaxpr
    if whole.effects:
        return None
    jaxpr, is_used = dce_jaxpr(whole.jaxpr, [True] * len(whole.jaxpr.outvars))
    program = ClosedJaxpr(jaxpr, whole.consts)
    return _Needed(program, list(is_used), jax.tree.structure(traced.out_info))
