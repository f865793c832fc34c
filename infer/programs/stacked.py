"""Do the same operations on many small arrays once, on their stack.

A model of a thousand sites is traced to the same equations a thousand times. XLA takes seconds to
minutes for them, since its passes are superlinear in their number. Here values are stacked if they
are computed by the same expression of numbers of the same kind: of constants, of scalar arguments,
or of pieces of one array. An operation on each of them is then one operation on the stack.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxpr_as_fun
from jax.interpreters.batching import fancy_primitive_batchers
from jaxtyping import Array

from .batches import LAPACK
from .numbered import SMALL, Numbered, Operation, join_chains, key_of, number
from .rewrite import NEITHER_NATIVE

# Fewer equal operations are left alone.
FEWEST = 8
# Number of entries of a result, above which operations are left alone: arrays are then so long that
# few equations compute much.
LARGEST = 256
# Batches of these differ in more than their last bits, or are slower than one after the other.
ALONE = LAPACK.keys() | NEITHER_NATIVE | {"optimization_barrier", "random_bits", "threefry2x32"}


def stack_equal(program: ClosedJaxpr) -> ClosedJaxpr:
    """Return a program that computes the same, up to rounding, in fewer equations.

    Sums of many terms are taken in another order. A program with effects is returned as it is.
    """
    if program.effects:
        return program
    stacked = _trace(program, [])
    return stacked if len(stacked.eqns) < len(program.eqns) else program


def stack_results(program: ClosedJaxpr, groups: Sequence[Sequence[int]]) -> ClosedJaxpr:
    """Return a program that does the same, and returns each group of results as one stack.

    XLA takes seconds to minutes for a program of a thousand results.

    Args:
        program: The program.
        groups: Indices of the results in each stack, all of one shape and type.
    """
    if not program.effects:
        return _trace(program, groups)

    def stack_all(*arguments: Any) -> list[Array]:
        results = jaxpr_as_fun(program)(*arguments)
        return [jnp.stack([results[i] for i in own]) for own in groups]

    return jax.make_jaxpr(stack_all)(*_kinds_of(program))


def _trace(program: ClosedJaxpr, groups: Sequence[Sequence[int]]) -> ClosedJaxpr:
    """Trace the program again, with stacks; without groups it returns each result alone."""
    numbered = join_chains(number(program), FEWEST)
    evaluate = partial(_evaluate, numbered, _plan(numbered), groups)
    return jax.make_jaxpr(evaluate)(*_kinds_of(program))


def _kinds_of(program: ClosedJaxpr) -> list[jax.ShapeDtypeStruct]:
    return [
        jax.ShapeDtypeStruct(kind.shape, kind.dtype, weak_type=getattr(kind, "weak_type", False))
        for kind in program.in_avals
    ]


class _Step(NamedTuple):
    """Operations that are done at once: equal ones, or one alone."""

    level: int
    operations: list[Operation]


def _plan(numbered: Numbered) -> list[_Step]:
    """Find equal operations, and put all in an order in which operands come first."""
    signatures = _Signatures(numbered)
    equal: dict[Hashable, list[Operation]] = {}
    for operation in numbered.operations:
        equal.setdefault(signatures.enter(operation), []).append(operation)
    steps = []
    for operations in equal.values():
        together = [operations] if len(operations) >= FEWEST else [[own] for own in operations]
        steps += [_Step(signatures.levels[own[0].results[0]], own) for own in together]
    return sorted(steps, key=lambda step: step.level)


class _Signatures:
    """Which expression each value is computed by, as a number.

    Operations of one signature are independent: both depend on the same values other than stacked
    ones, and in as many steps. So all are ready at the same level.

    Attributes:
        levels: Length of the longest chain of operations that leads to each value.
    """

    def __init__(self, numbered: Numbered) -> None:
        self._types, self._numbers, self._apart = numbered.types, {}, set[int]()
        self._of = {v: self._of_argument(v) for v in numbered.arguments}
        self._of |= {v: self._of_constant(v, held) for v, held in numbered.constants.items()}
        self.levels = dict.fromkeys(self._of, 0)

    def enter(self, operation: Operation) -> Hashable:
        """Return what an operation computes, and remember it for its results."""
        key = self._key_of(operation)
        level = 1 + max((self.levels[v] for v in operation.operands), default=0)
        for index, result in enumerate(operation.results):
            is_apart = key == operation.results
            own = self._set_apart(result) if is_apart else self._intern(("result", key, index))
            self._of[result], self.levels[result] = own, level
        return key

    def _intern(self, key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _of_argument(self, value: int) -> int:
        kind = self._types[value]
        is_number = not kind.shape and not jnp.issubdtype(kind.dtype, jax.dtypes.extended)
        return self._intern(("number", kind.dtype)) if is_number else self._set_apart(value)

    def _of_constant(self, value: int, held: Any) -> int:
        is_small = isinstance(held, np.ndarray) and held.size <= SMALL
        key = "constant", self._types[value].dtype, self._types[value].shape
        return self._intern(key) if is_small else self._set_apart(value)

    def _set_apart(self, value: int) -> int:
        self._apart.add(value)
        return self._intern(("value", value))

    def _key_of(self, operation: Operation) -> Hashable:
        alone = operation.results
        sizes = [prod(self._types[v].shape) for v in operation.results]
        if operation.kind != "equation" or max(sizes, default=LARGEST + 1) > LARGEST:
            return alone
        piece = _piece_of(operation)
        if piece is not None and operation.operands[0] in self._apart:
            return "piece", operation.operands, piece[1:]
        params = operation.equation.params
        primitive = operation.equation.primitive
        if primitive.name in ALONE or primitive not in fancy_primitive_batchers:
            return alone
        if _holds_program(params):
            return alone
        of_operands = tuple(self._of[v] for v in operation.operands)
        key = key_of(operation.equation, of_operands)
        return alone if key is None else self._intern(key)


def _holds_program(params: dict[str, Any]) -> bool:
    leaves = jax.tree.leaves(list(params.values()))
    return any(isinstance(own, Jaxpr | ClosedJaxpr) or callable(own) for own in leaves)


def _piece_of(operation: Operation) -> tuple[int, int, tuple[int, ...]] | None:
    """Return begin, length and further axes of a piece of an array along its first axis."""
    if operation.equation.primitive.name != "slice":
        return None
    params = operation.equation.params
    begin, end = params["start_indices"], params["limit_indices"]
    kind: Any = operation.equation.invars[0].aval
    whole = tuple(kind.shape)
    is_whole = not any(begin[1:]) and tuple(end[1:]) == whole[1:]
    if not whole or not is_whole or params["strides"] is not None:
        return None
    return begin[0], end[0] - begin[0], whole[1:]


def _evaluate(
    numbered: Numbered, steps: Sequence[_Step], groups: Sequence[Sequence[int]], *arguments: Any
) -> list[Array]:
    """Evaluate a program step by step; return its results, or a stack of each group of them."""
    values = _Values(numbered, arguments)
    for step in steps:
        first = step.operations[0]
        if len(step.operations) > 1:
            # Equal operations of the same operands are pieces of an array.
            is_one = len({own.operands for own in step.operations}) == 1
            apply = _take_pieces if is_one else _apply_to_stacks
            stacks = apply(values, step.operations)
            rows = zip(*(own.results for own in step.operations), strict=True)
            for stack, results in zip(stacks, rows, strict=True):
                values.put_stack(results, stack)
            continue
        results = _EVALUATE_ALONE[first.kind](values, first)
        values.known |= dict(zip(first.results, results, strict=True))
    if groups:
        return [values.stack([numbered.results[i] for i in own]) for own in groups]
    return [values.read(own) for own in numbered.results]


class _Values:
    """The values computed so far: each alone, or as a row of a stack.

    Attributes:
        known: Those that are known alone, by number.
    """

    def __init__(self, numbered: Numbered, arguments: Sequence[Any]) -> None:
        self.known = dict(zip(numbered.arguments, arguments, strict=True)) | numbered.constants
        self._types = numbered.types
        self._stacks: list[Array] = []
        self._places: dict[int, tuple[int, int]] = {}

    def put_stack(self, numbers: Sequence[int], stack: Array) -> None:
        """Remember a stack, and the numbers of the values in it."""
        self._places |= {v: (len(self._stacks), row) for row, v in enumerate(numbers)}
        self._stacks.append(stack)

    def shape_of(self, value: int) -> tuple[int, ...]:
        """Return the shape of one value."""
        return self._types[value].shape

    def read(self, value: int) -> Array:
        """Return one value."""
        if value not in self.known:
            which, row = self._places[value]
            self.known[value] = jax.lax.index_in_dim(self._stacks[which], row, keepdims=False)
        return jnp.asarray(self.known[value])

    def split(self, numbers: Sequence[int]) -> tuple[dict[int, list[int]], list[int]]:
        """Return the rows of each stack that values are, and the values that are in none."""
        rows: dict[int, list[int]] = {}
        for which, row in (self._places[v] for v in numbers if v in self._places):
            rows.setdefault(which, []).append(row)
        return rows, [v for v in numbers if v not in self._places]

    def take(self, which: int, rows: Sequence[int]) -> Array:
        """Take rows of a stack."""
        return _take_rows(self._stacks[which], np.array(rows))

    def stack(self, numbers: Sequence[int]) -> Array:
        """Return values of one shape, along a leading axis."""
        in_stacks, others = self.split(numbers)
        alone = list(dict.fromkeys(others))
        parts = [self._stacks[which] for which in in_stacks]
        parts += [self._stack_alone(alone)] if alone else []
        ends = np.cumsum([0, *map(len, parts)])
        begins = dict(zip(in_stacks, ends, strict=False))
        index = {v: ends[len(in_stacks)] + i for i, v in enumerate(alone)}
        for value in set(numbers) - index.keys():
            which, row = self._places[value]
            index[value] = begins[which] + row
        whole = parts[0] if len(parts) == 1 else jnp.concatenate(parts)
        return _take_rows(whole, np.array([index[v] for v in numbers]))

    def _stack_alone(self, numbers: Sequence[int]) -> Array:
        values = [self.known[v] for v in numbers]
        is_fixed = all(isinstance(value, np.ndarray) for value in values)
        return jnp.asarray(np.stack(values)) if is_fixed else jnp.stack(values)


def _take_rows(array: Array, rows: np.ndarray) -> Array:
    """Take rows of an array, as a slice if they are evenly spaced."""
    if np.array_equal(rows, np.arange(len(array))):
        return array
    step = int(rows[1] - rows[0]) if len(rows) > 1 else 1
    if step > 0 and (np.diff(rows) == step).all():
        return jax.lax.slice_in_dim(array, int(rows[0]), int(rows[-1]) + 1, step)
    return array.at[rows].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _take_pieces(values: _Values, operations: Sequence[Operation]) -> list[Array]:
    """Take many pieces of one array."""
    array = values.read(operations[0].operands[0])
    pieces = [piece for own in operations if (piece := _piece_of(own)) is not None]
    _, length, others = pieces[0]
    rows = np.array([begin for begin, *_ in pieces])[:, None] + np.arange(length)
    return [_take_rows(array, rows.reshape(-1)).reshape(*rows.shape, *others)]


def _apply_to_stacks(values: _Values, operations: Sequence[Operation]) -> Sequence[Array]:
    """Apply one equation to stacks of its operands."""
    columns = list(zip(*(own.operands for own in operations), strict=True))
    axes = tuple(None if len(set(column)) == 1 else 0 for column in columns)
    operands = [
        values.read(column[0]) if axis is None else values.stack(column)
        for column, axis in zip(columns, axes, strict=True)
    ]
    apply = partial(_bind, operations[0])
    return jax.vmap(lambda *own: apply(own), in_axes=axes)(*operands)


def _apply_alone(values: _Values, operation: Operation) -> Sequence[Array]:
    return _bind(operation, [values.read(v) for v in operation.operands])


def _bind(operation: Operation, operands: Sequence[Any]) -> Sequence[Array]:
    equation = operation.equation
    params = equation.primitive.get_bind_params(equation.params)
    with equation.ctx.manager:
        results = equation.primitive.bind(*operands, **params)
    return results if equation.primitive.multiple_results else [results]


def _sum_up(values: _Values, operation: Operation) -> Sequence[Array]:
    """Add many values: those of each stack at once, and equal ones as a product."""
    in_stacks, others = values.split(operation.operands)
    sums = [values.take(which, rows).sum(0) for which, rows in in_stacks.items()]
    sums += [values.read(v) * times if times > 1 else values.read(v)
             for v, times in Counter(others).items()]  # fmt: skip
    total = sums[0]
    for each in sums[1:]:
        total = total + each
    return [total]


def _put_in_row(values: _Values, operation: Operation) -> Sequence[Array]:
    """Concatenate many values along an axis, or stack them along a new one."""
    params, numbers = operation.equation.params, operation.operands
    if operation.equation.primitive.name == "stack":
        return [jnp.moveaxis(values.stack(numbers), 0, params["axis"])]
    axis, pieces = params["dimension"], list[Array]()
    begin = 0
    while begin < len(numbers):
        shape = values.shape_of(numbers[begin])
        end = begin
        while end < len(numbers) and values.shape_of(numbers[end]) == shape:
            end += 1
        whole = jnp.moveaxis(values.stack(numbers[begin:end]), 0, axis)
        length = (end - begin) * shape[axis]
        pieces.append(whole.reshape(*shape[:axis], length, *shape[axis + 1 :]))
        begin = end
    return [jnp.concatenate(pieces, axis)]


_EVALUATE_ALONE: dict[str, Callable[[_Values, Operation], Sequence[Array]]] = {
    "equation": _apply_alone,
    "sum": _sum_up,
    "row": _put_in_row,
}
