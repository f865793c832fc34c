"""Compute a range of rows of a program's result, from those rows of what it depends on.

A log likelihood of a million rows needs several arrays of a million entries at once, though each
row depends on few entries of each. Here the traced program is evaluated backwards: a range of the
result asks for ranges of the operands wherever the table below knows how rows correspond, and for
whole operands elsewhere. So every program gives the right rows, and those that work row by row need
no whole array of intermediate values.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn, Literal
from jaxtyping import Array

from ..equations import CALLS

# Primitives whose result has, at each index, a function of the operands at that index.
_NAMES = (
    "abs acos acosh add and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp "
    "clz complex conj convert_element_type copy copy_p cos cosh digamma div eq eq_to erf "
    "erf_inv erfc exp exp2 expm1 floor ge gt igamma igamma_grad_a igammac imag integer_pow "
    "is_finite le le_to lgamma log log1p logistic lt lt_to max min mul ne neg nextafter not or "
    "polygamma population_count pow random_gamma_grad real reduce_precision "
    "regularized_incomplete_beta rem round rsqrt select_n shift_left shift_right_arithmetic "
    "shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh xor zeta"
)
ELEMENTWISE = frozenset(_NAMES.split())


class Window(NamedTuple):
    """A range of rows.

    Attributes:
        begin: Index of the first one; may be traced.
        size: Their number.
    """

    begin: Any
    size: int

    def cut(self, array: Array, axis: int) -> Array:
        """Return these rows of an array, along one of its axes."""
        return jax.lax.dynamic_slice_in_dim(array, self.begin, self.size, axis)

    def shorten(self, shape: Sequence[int], axis: int) -> tuple[int, ...]:
        """Return a shape with the number of these rows along an axis."""
        return (*shape[:axis], self.size, *shape[axis + 1 :])


class Lazy:
    """An array of a program that is computed if it is asked for, whole or in part."""

    def __init__(
        self,
        kind: Any,
        window: Window,
        compute: Callable[[], Array],
        restrict: Callable[[int], Array | None] = lambda axis: None,
    ) -> None:
        self.shape, self.dtype, self._window = tuple(kind.shape), kind.dtype, window
        self._compute, self._restrict = compute, restrict
        self._whole: Array | None = None
        self._parts: dict[int, Array] = {}

    def whole(self) -> Array:
        """Return all of it."""
        if self._whole is None:
            self._whole = self._compute()
        return self._whole

    def part(self, axis: int) -> Array:
        """Return the rows of the window along an axis."""
        if axis not in self._parts:
            own = None if self._whole is not None else self._restrict(axis)
            self._parts[axis] = self._window.cut(self.whole(), axis) if own is None else own
        return self._parts[axis]


class Step(NamedTuple):
    """An equation of a program, whose result is wanted in part.

    Attributes:
        equation: The equation.
        operands: Its operands.
        shape: Shape of its result.
        window: The rows that are wanted.
    """

    equation: JaxprEqn
    operands: Sequence[Lazy]
    shape: tuple[int, ...]
    window: Window

    def bind(self, operands: Sequence[Any], **changed: Any) -> Any:
        """Compute the equation from other operands, with some parameters changed."""
        with self.equation.ctx.manager:
            return self.equation.primitive.bind(*operands, **(self.equation.params | changed))


def compute_rows(
    program: Any, arguments: Sequence[Any], output: int, begin: Any, size: int
) -> Array:
    """Compute some rows of one result of a program; or all of it, if it is one number.

    Args:
        program: A closed jaxpr.
        arguments: Its arguments.
        output: Index of the result.
        begin: Index of the first row, along its first axis; may be traced.
        size: Number of rows.
    """
    window = Window(begin, size)
    given = [_known(argument, window) for argument in arguments]
    result = _evaluate(program, given, window)[output]
    return result.part(0) if result.shape else result.whole()


def _known(array: Any, window: Window) -> Lazy:
    return Lazy(jax.typeof(array), window, lambda: array)


def _evaluate(program: Any, arguments: Sequence[Lazy], window: Window) -> list[Lazy]:
    """Return the results of a jaxpr, closed or not, without computing any."""
    jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
    known = [_known(constant, window) for constant in constants]
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*known, *arguments), strict=True))

    def read(atom: Any) -> Lazy:
        return _known(atom.val, window) if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        results = _apply(equation, operands, window)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(equation: JaxprEqn, operands: Sequence[Lazy], window: Window) -> list[Lazy]:
    name = equation.primitive.name
    if name in CALLS:
        return _evaluate(equation.params[CALLS[name]], operands, window)
    made: list[Any] = []

    def compute(index: int) -> Array:
        if not made:
            own = [operand.whole() for operand in operands]
            results = Step(equation, operands, (), window).bind(own)
            made.extend(results if equation.primitive.multiple_results else [results])
        return made[index]

    return [
        Lazy(
            result.aval,
            window,
            partial(compute, i),
            partial(_restrict, Step(equation, operands, _shape(result), window)),
        )
        for i, result in enumerate(equation.outvars)
    ]


def _shape(variable: Any) -> tuple[int, ...]:
    return tuple(getattr(variable.aval, "shape", ()))


def _restrict(step: Step, axis: int) -> Array | None:
    """Compute some rows of the result of an equation; None if it is not known how."""
    name = step.equation.primitive.name
    if name in ELEMENTWISE:
        # Numbers, and axes of one entry, stand for all rows.
        has_rows = [len(o.shape) > axis and o.shape[axis] > 1 for o in step.operands]
        pairs = zip(step.operands, has_rows, strict=True)
        return step.bind([o.part(axis) if has else o.whole() for o, has in pairs])
    rule = TABLE.get(name)
    return None if rule is None else rule(step, axis)


def _broadcast(step: Step, axis: int) -> Array | None:
    (operand, *others), axes = step.operands, step.equation.params["broadcast_dimensions"]
    if others or step.equation.params.get("sharding") is not None:
        return None
    own = axes.index(axis) if axis in axes else -1
    is_cut = own >= 0 and operand.shape[own] == step.shape[axis]
    value = operand.part(own) if is_cut else operand.whole()
    return jax.lax.broadcast_in_dim(value, step.window.shorten(step.shape, axis), axes)


def _reshape(step: Step, axis: int) -> Array | None:
    """A reshape keeps an axis if as many entries lie before it as before."""
    (operand, *others), params = step.operands, step.equation.params
    own = [
        i
        for i, size in enumerate(operand.shape)
        if size == step.shape[axis] and prod(operand.shape[:i]) == prod(step.shape[:axis])
    ]
    if not own or others or params["dimensions"] is not None:
        return None
    return operand.part(own[0]).reshape(step.window.shorten(step.shape, axis))


def _squeeze(step: Step, axis: int) -> Array:
    gone = step.equation.params["dimensions"]
    kept = [i for i in range(len(step.operands[0].shape)) if i not in gone]
    return step.bind([step.operands[0].part(kept[axis])])


def _transpose(step: Step, axis: int) -> Array:
    own = step.equation.params["permutation"][axis]
    return step.bind([step.operands[0].part(own)])


def _reduce(step: Step, axis: int) -> Array:
    gone = step.equation.params["axes"]
    kept = [i for i in range(len(step.operands[0].shape)) if i not in gone]
    return step.bind([step.operands[0].part(kept[axis])])


def _cumulate(step: Step, axis: int) -> Array | None:
    if step.equation.params["axis"] == axis:
        return None
    return step.bind([step.operands[0].part(axis)])


def _concatenate(step: Step, axis: int) -> Array | None:
    if step.equation.params["dimension"] == axis:
        return None
    return step.bind([operand.part(axis) for operand in step.operands])


def _slice(step: Step, axis: int) -> Array | None:
    operand, params = step.operands[0], step.equation.params
    if step.shape[axis] != operand.shape[axis]:
        return None
    limits = step.window.shorten(params["limit_indices"], axis)
    return step.bind([operand.part(axis)], limit_indices=limits)


def _iota(step: Step, axis: int) -> Array | None:
    params = step.equation.params
    shape = step.window.shorten(step.shape, axis)
    rows = jax.lax.broadcasted_iota(params["dtype"], shape, params["dimension"])
    moved = params["dimension"] == axis
    return rows + jnp.asarray(step.window.begin, rows.dtype) if moved else rows


def _dot(step: Step, axis: int) -> Array:
    """The axes of a product are those of the batch, then the others of the left and the right."""
    left, right = step.operands
    summed, batch = step.equation.params["dimension_numbers"]
    free = [
        [i for i in range(len(o.shape)) if i not in (*summed[k], *batch[k])]
        for k, o in enumerate((left, right))
    ]
    places = [(i, j) for i, j in zip(*batch, strict=True)]
    places += [(i, None) for i in free[0]] + [(None, j) for j in free[1]]
    pairs = zip((left, right), places[axis], strict=True)
    return step.bind([o.whole() if own is None else o.part(own) for o, own in pairs])


def _gather(step: Step, axis: int) -> Array | None:
    """The axes of `a[index]` that are not those of slices of `a` are those of the index.

    Along an axis of a batch, each row of the index reads the same row of `a`.
    """
    (operand, indices), numbers = step.operands, step.equation.params["dimension_numbers"]
    if axis in numbers.offset_dims:
        return None
    own = sum(i not in numbers.offset_dims for i in range(axis))
    batch = dict(
        zip(numbers.start_indices_batching_dims, numbers.operand_batching_dims, strict=True)
    )
    source = operand.part(batch[own]) if own in batch else operand.whole()
    return step.bind([source, indices.part(own)])


def _convolve(step: Step, axis: int) -> Array | None:
    """Images are independent."""
    (images, kernel), params = step.operands, step.equation.params
    numbers = params["dimension_numbers"]
    if axis != numbers.out_spec[0] or params["batch_group_count"] != 1:
        return None
    return step.bind([images.part(numbers.lhs_spec[0]), kernel.whole()])


def _solve(step: Step, axis: int) -> Array | None:
    """Columns of a solution are those of the right-hand sides; batches are independent."""
    matrix, sides = step.operands
    last = len(step.shape) - 1
    if axis < last - 1:
        return step.bind([matrix.part(axis), sides.part(axis)])
    is_free = axis == (last if step.equation.params["left_side"] else last - 1)
    return step.bind([matrix.whole(), sides.part(axis)]) if is_free else None


# How the rows of a result correspond to those of the operands, by the name of the primitive.
TABLE: Mapping[str, Callable[[Step, int], Array | None]] = {
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "transpose": _transpose,
    **dict.fromkeys(("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"), _reduce),
    **dict.fromkeys(("reduce_and", "reduce_or", "argmax", "argmin"), _reduce),
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"), _cumulate),
    "concatenate": _concatenate,
    "slice": _slice,
    "iota": _iota,
    "dot_general": _dot,
    "gather": _gather,
    "conv_general_dilated": _convolve,
    "triangular_solve": _solve,
}
