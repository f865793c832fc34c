"""List the equations that a traced program needs, in order, with its plain calls written out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import jax
from jax.extend.core import JaxprEqn, Literal

# Calls that are written out; those with a derivative of their own stay as they are.
WRITTEN_OUT = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr"}


@dataclass(frozen=True, eq=False)
class Constant:
    """A value that is known while a program is traced; it equals only itself."""

    value: Any


# An array of the program by its number, or a constant.
Source = int | Constant


class Step(NamedTuple):
    """An equation, and the arrays that it reads and makes.

    Attributes:
        equation: The equation.
        inputs: What it reads.
        outputs: Numbers of the arrays that it makes.
    """

    equation: JaxprEqn
    inputs: tuple[Source, ...]
    outputs: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of the primitive."""
        return self.equation.primitive.name

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of what it reads, if these are arrays."""
        types: list[Any] = [atom.aval for atom in self.equation.invars]
        return [own.shape for own in types]

    def compute(self, operands: Sequence[Any]) -> list[Any]:
        """Compute the equation; calls keep their own derivatives."""
        primitive = self.equation.primitive
        with self.equation.ctx.manager:
            params = primitive.get_bind_params(self.equation.params)
            results = primitive.bind(*operands, **params)
        return list(results) if primitive.multiple_results else [results]


class Steps(NamedTuple):
    """A program as a list.

    Attributes:
        steps: Those that the results depend on.
        arguments: Numbers of its arguments.
        results: Its results.
    """

    steps: tuple[Step, ...]
    arguments: tuple[int, ...]
    results: tuple[Source, ...]

    def read(self, values: Mapping[int, Any]) -> list[Any]:
        """Return the results from the values of all arrays."""
        return [read(values, source) for source in self.results]


def read(values: Mapping[int, Any], source: Source) -> Any:
    """Return an array of a program, or a constant."""
    return source.value if isinstance(source, Constant) else values[source]


def flatten_program(program: Any) -> Steps:
    """List the steps of a closed jaxpr."""
    numbers, steps = count(), []
    arguments = tuple(next(numbers) for _ in program.jaxpr.invars)
    names: dict[Any, Source] = dict(zip(program.jaxpr.invars, arguments, strict=True))
    results = _write_out(program, names, numbers, steps)
    return Steps(_keep_needed(steps, results), arguments, results)


def _write_out(program: Any, names: dict[Any, Source], numbers: Any, steps: list[Step]) -> Any:
    """Append the steps of a jaxpr whose arguments are named; return its results."""
    jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
    names |= {v: Constant(own) for v, own in zip(jaxpr.constvars, constants, strict=True)}

    def source(atom: Any) -> Source:
        return Constant(atom.val) if isinstance(atom, Literal) else names[atom]

    for equation in jaxpr.eqns:
        inputs = tuple(map(source, equation.invars))
        inner = equation.params.get(WRITTEN_OUT.get(equation.primitive.name, ""))
        outputs: tuple[Any, ...]
        if inner is None:
            outputs = tuple(next(numbers) for _ in equation.outvars)
            steps.append(Step(equation, inputs, outputs))
        else:
            own = dict(zip(inner.jaxpr.invars, inputs, strict=True))
            outputs = _write_out(inner, own, numbers, steps)
        names |= dict(zip(equation.outvars, outputs, strict=True))
    return tuple(map(source, jaxpr.outvars))


def _keep_needed(steps: Sequence[Step], results: Sequence[Source]) -> tuple[Step, ...]:
    needed: set[Any] = {source for source in results if isinstance(source, int)}
    kept = []
    for step in reversed(steps):
        if needed.intersection(step.outputs) or step.equation.effects:
            needed.update(source for source in step.inputs if isinstance(source, int))
            kept.append(step)
    return tuple(reversed(kept))


def trace_steps(function: Any, *arguments: Any) -> Steps:
    """Trace a function of arrays, and list its steps; its results are the leaves."""
    return flatten_program(jax.make_jaxpr(function)(*arguments))
