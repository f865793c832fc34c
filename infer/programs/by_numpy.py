"""Evaluate a traced program with NumPy, without XLA, so that what XLA compiled can be compared."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import JaxprEqn, Literal

from ..equations import find_called
from .numpy_rules import RULES
from .rewrite import list_inner_programs

# Number of equations that are evaluated at most; each takes some ten microseconds.
MOST_EQUATIONS = 50_000
# Primitives that make an array to be filled later.
EMPTY = frozenset(("empty", "empty2"))


class NoRuleError(Exception):
    """The program has a primitive without a rule, or is too long."""


def evaluate_by_numpy(program: Any, arguments: Any) -> list[np.ndarray]:
    """Evaluate a closed jaxpr.

    A scan is as long as its operands are, so that a program which maps over its arguments can be
    evaluated at fewer of them.

    Args:
        program: The jaxpr.
        arguments: A pytree of arrays.

    Returns:
        The flat results.

    Raises:
        NoRuleError: There is no rule for a primitive, or there are too many equations.
    """
    with np.errstate(all="ignore"):
        return _Evaluation().run(program, [_as_numpy(leaf) for leaf in jax.tree.leaves(arguments)])


def count_equations(program: Any) -> float:
    """Count the equations of a jaxpr, times the lengths of its scans; the body of a loop once."""
    jaxpr = getattr(program, "jaxpr", program)
    return sum((_count_in(equation) for equation in jaxpr.eqns), 0.0)


def _count_in(equation: JaxprEqn) -> float:
    inner = [count_equations(own) for own in list_inner_programs(equation)]
    return equation.params.get("length", 1) * sum(inner) if inner else 1.0


def _as_numpy(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(getattr(leaf, "dtype", None), jax.dtypes.prng_key)


class _Evaluation:
    """An evaluation under way, which counts its equations."""

    def __init__(self) -> None:
        self.equations = 0

    def run(self, program: Any, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Evaluate a jaxpr, closed or not."""
        jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
        values = dict(zip(jaxpr.constvars, map(_as_numpy, constants), strict=True))
        values |= dict(zip(jaxpr.invars, arguments, strict=True))

        def read(atom: Any) -> np.ndarray:
            return _as_type(atom.aval, atom.val) if isinstance(atom, Literal) else values[atom]

        for equation in jaxpr.eqns:
            self.equations += 1
            if self.equations > MOST_EQUATIONS:
                raise NoRuleError("it has too many operations")
            results = self._apply(equation, [read(atom) for atom in equation.invars])
            values.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _apply(self, equation: JaxprEqn, operands: list[np.ndarray]) -> Sequence[np.ndarray]:
        name, params = equation.primitive.name, equation.params
        if (called := find_called(equation)) is not None:
            return self.run(called, operands)
        if name == "scan":
            return self._scan(equation, operands)
        if name == "while":
            return self._loop(params, operands)
        if name == "custom_linear_solve":
            return self._solve(params, operands)
        if name == "cond":
            branch = np.clip(int(operands[0]), 0, len(params["branches"]) - 1)
            return self.run(params["branches"][branch], operands[1:])
        return _call_rule(equation, operands)

    def _solve(self, params: dict[str, Any], operands: list[np.ndarray]) -> list[np.ndarray]:
        """Solve a linear system by the program that it holds, as if nothing is differentiated."""
        counts = params["const_lengths"]
        first = counts.matvec + counts.vecmat
        own, right = operands[first : first + counts.solve], operands[sum(counts) :]
        return self.run(params["jaxprs"].solve, [*own, *right])

    def _scan(self, equation: JaxprEqn, operands: list[np.ndarray]) -> list[np.ndarray]:
        params = equation.params
        body, backward = params["jaxpr"], params["reverse"]
        # Versions of JAX name the counts differently; rows and results have one axis more outside.
        mapped = _count_wider(equation.invars, body.jaxpr.invars)
        carried = len(equation.outvars) - _count_wider(equation.outvars, body.jaxpr.outvars)
        first = len(operands) - mapped
        shared, carry, rows = (
            operands[: first - carried], operands[first - carried : first], operands[first:]
        )  # fmt: skip
        length = len(rows[0]) if rows else params["length"]
        made: list[list[np.ndarray]] = []
        for i in reversed(range(length)) if backward else range(length):
            results = self.run(body, [*shared, *carry, *(row[i] for row in rows)])
            carry = results[:carried]
            made.append(results[carried:])
        columns = zip(*(made[::-1] if backward else made), strict=True)
        return [*carry, *(map(np.stack, columns) if made else _make_empty(equation, carried))]

    def _loop(self, params: dict[str, Any], operands: list[np.ndarray]) -> list[np.ndarray]:
        of_condition, of_body = params["cond_nconsts"], params["body_nconsts"]
        condition, body = operands[:of_condition], operands[of_condition : of_condition + of_body]
        carry = operands[of_condition + of_body :]
        while True:
            (goes_on,) = self.run(params["cond_jaxpr"], [*condition, *carry])
            if goes_on.ndim:
                raise NoRuleError("a batch of loops")
            if not goes_on:
                return carry
            carry = self.run(params["body_jaxpr"], [*body, *carry])


def _count_wider(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    """Count the arrays that have an axis more outside of the body of a scan."""
    pairs = zip(outside, inside, strict=True)
    return sum(one.aval.ndim > other.aval.ndim for one, other in pairs)


def _make_empty(equation: JaxprEqn, carried: int) -> list[np.ndarray]:
    kinds: list[Any] = [result.aval for result in equation.outvars[carried:]]
    return [np.zeros((0, *kind.shape[1:]), kind.dtype) for kind in kinds]


def _call_rule(equation: JaxprEqn, operands: list[np.ndarray]) -> list[np.ndarray]:
    """Apply the rule of a primitive; its results have the types that JAX found in advance."""
    primitive = equation.primitive
    kinds: list[Any] = [result.aval for result in equation.outvars]
    if primitive.name in EMPTY:
        return [np.zeros(kind.shape, kind.dtype) for kind in kinds]
    rule = RULES.get(primitive.name)
    if rule is None:
        raise NoRuleError(f"no rule for {primitive.name}")
    if primitive.name == "scatter" and equation.params["update_jaxpr"] is not None:
        raise NoRuleError("no rule for x.at[i].apply")
    inputs: list[Any] = [operand.aval for operand in equation.invars]
    if any(map(_is_key, inputs)) and not primitive.name.startswith("random_"):
        raise NoRuleError(f"no rule for {primitive.name} of keys")
    found = rule(*operands, **equation.params)
    results = found if primitive.multiple_results else [found]
    return [_as_type(kind, result) for kind, result in zip(kinds, results, strict=True)]


def _as_type(kind: Any, result: Any) -> np.ndarray:
    # Keys are kept as their bits.
    is_plain = isinstance(getattr(kind, "dtype", None), np.dtype)
    return np.asarray(result, kind.dtype) if is_plain else np.asarray(result)
