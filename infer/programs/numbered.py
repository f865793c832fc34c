"""A traced program as a list of operations on numbered values, none of which is computed twice."""

from collections import Counter
from collections.abc import Hashable, Iterable
from math import prod
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal as Constant

# Calls that only name a part of a program, with the parameter that holds it.
NAMED = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr"}
ADDITIONS = ("add", "add_any")
# Number of entries up to which constants are compared.
SMALL = 16


class Operation(NamedTuple):
    """One operation on values, which are known by their numbers.

    Attributes:
        equation: The equation to apply; for a sum or a row of pieces, the last of those joined.
        operands: Numbers of the operands.
        results: Numbers of the results.
        kind: A plain equation, a sum of all operands, or all operands in a row.
    """

    equation: JaxprEqn
    operands: tuple[int, ...]
    results: tuple[int, ...]
    kind: Literal["equation", "sum", "row"] = "equation"


class Numbered(NamedTuple):
    """A program on numbered values.

    Attributes:
        types: Shape and dtype of each value.
        constants: Values that are known, by number.
        arguments: Numbers of the arguments.
        operations: What is computed, in order; all of it is needed for a result.
        results: Numbers of the results.
    """

    types: list[Any]
    constants: dict[int, Any]
    arguments: tuple[int, ...]
    operations: list[Operation]
    results: tuple[int, ...]


def number(program: ClosedJaxpr) -> Numbered:
    """Number the values of a program without effects; equal operations are done once."""
    numbering = _Numbering()
    arguments = tuple(map(numbering.add_value, program.in_avals))
    results = numbering.run(program, arguments)
    operations = _drop_unused(numbering.operations, results)
    return Numbered(numbering.types, numbering.constants, arguments, operations, results)


class _Numbering:
    """The values and operations found so far."""

    def __init__(self) -> None:
        self.types: list[Any] = []
        self.constants: dict[int, Any] = {}
        self.operations: list[Operation] = []
        self._known: dict[Hashable, tuple[int, ...]] = {}

    def add_value(self, kind: Any) -> int:
        self.types.append(kind)
        return len(self.types) - 1

    def run(self, program: ClosedJaxpr, arguments: Iterable[int]) -> tuple[int, ...]:
        """Number the operations of a program; return the numbers of its results."""
        jaxpr = program.jaxpr
        numbers = dict(zip(jaxpr.invars, arguments, strict=True))
        for variable, value in zip(jaxpr.constvars, program.consts, strict=True):
            numbers[variable] = self._add_constant(value, variable.aval)

        def find(atom: Any) -> int:
            is_constant = isinstance(atom, Constant)
            return self._add_constant(atom.val, atom.aval) if is_constant else numbers[atom]

        for equation in jaxpr.eqns:
            operands = tuple(map(find, equation.invars))
            name = equation.primitive.name
            if name in NAMED:
                results = self.run(equation.params[NAMED[name]], operands)
            else:
                results = self._add_operation(equation, operands)
            numbers.update(zip(equation.outvars, results, strict=True))
        return tuple(map(find, jaxpr.outvars))

    def _add_constant(self, value: Any, kind: Any) -> int:
        is_small = _is_concrete(value, kind) and prod(kind.shape) <= SMALL
        held = np.asarray(value, kind.dtype) if is_small else value
        key = (kind.dtype, kind.shape, held.tobytes()) if is_small else ("array", id(value))
        if key not in self._known:
            self._known[key] = (self.add_value(kind),)
            self.constants[self._known[key][0]] = held
        return self._known[key][0]

    def _add_operation(self, equation: JaxprEqn, operands: tuple[int, ...]) -> tuple[int, ...]:
        key = key_of(equation, operands)
        known = None if key is None else self._known.get(key)
        if known is not None:
            return known
        results = tuple(self.add_value(variable.aval) for variable in equation.outvars)
        self.operations.append(Operation(equation, operands, results))
        if key is not None:
            self._known[key] = results
        return results


def _is_concrete(value: Any, kind: Any) -> bool:
    """Return whether NumPy can hold a constant."""
    is_traced = isinstance(value, Tracer)
    return not is_traced and not jnp.issubdtype(kind.dtype, jax.dtypes.extended)


def key_of(equation: JaxprEqn, operands: Hashable) -> Hashable | None:
    """Return what an equation computes from which operands; None if that cannot be compared."""
    key = equation.primitive, tuple(equation.params.items()), equation.ctx, operands
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _drop_unused(operations: list[Operation], results: Iterable[int]) -> list[Operation]:
    """Leave out what no result depends on."""
    used, kept = set(results), []
    for operation in reversed(operations):
        if used.intersection(operation.results):
            used.update(operation.operands)
            kept.append(operation)
    return kept[::-1]


def join_chains(numbered: Numbered, shortest: int) -> Numbered:
    """Turn long chains of additions, and of concatenations, into one operation on all operands.

    Args:
        numbered: The program.
        shortest: Minimum number of operands of a chain.
    """
    uses = Counter(v for operation in numbered.operations for v in operation.operands)
    uses.update(numbered.results)
    chains: dict[int, Operation] = {}
    for operation in numbered.operations:
        if key := _chain_of(numbered, operation):
            operands: list[int] = []
            for operand in operation.operands:
                inner = chains.get(operand) if uses[operand] == 1 else None
                joins = inner is not None and _chain_of(numbered, inner) == key
                operands += inner.operands if inner is not None and joins else (operand,)
            (result,) = operation.results
            kind = "sum" if key[0] == "sum" else "row"
            chains[result] = Operation(operation.equation, tuple(operands), (result,), kind)
    long = {v: chain for v, chain in chains.items() if len(chain.operands) >= shortest}
    changed = [long.get(o.results[0], o) if o.results else o for o in numbered.operations]
    return numbered._replace(operations=_drop_unused(changed, numbered.results))


def _chain_of(numbered: Numbered, operation: Operation) -> tuple[Any, ...] | None:
    """Return which operations of its kind an operation may be joined with; None if with none."""
    name, params = operation.equation.primitive.name, operation.equation.params
    if name in ADDITIONS:
        kind = numbered.types[operation.results[0]]
        is_float = jnp.issubdtype(kind.dtype, jnp.floating)
        return ("sum", kind.shape, kind.dtype) if is_float else None
    if name == "concatenate":
        return "row", params["dimension"]
    # The results of two stacks are never of one shape, so that these are not joined.
    return ("stack", operation.results[0]) if name == "stack" else None
