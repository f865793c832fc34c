"""Find which entry of a discrete site each number of a traced program depends on.

The entries of a discrete site can be summed over one by one if no term of the log density joins
two of them. Which entry a term belongs to is found from the program itself: the index of the entry,
its owner, goes through the program's equations in the place of the numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal

from ...equations import CALLS, count_carried, is_reference
from ..inputs.known import TABLE

# Owners that are no entry: a number that depends on none, and one that depends on several.
NONE, SEVERAL = -1, -2
# An array of owners; None if no number of it depends on an entry.
Owners = np.ndarray | None

_ELEMENTWISE = frozenset(
    "abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil "  # noqa: SIM905
    "clamp convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 "
    "expm1 floor ge gt igamma igammac imag integer_pow is_finite le lgamma log log1p logistic lt "
    "max min mul ne neg nextafter not or polygamma pow real reduce_precision "
    "regularized_incomplete_beta rem round rsqrt select_n sign sin sinh sqrt square stop_gradient "
    "sub tan tanh xor".split()
)
_REARRANGING = frozenset(
    "broadcast_in_dim concatenate expand_dims reshape rev slice squeeze transpose".split()  # noqa: SIM905
)
_REDUCING = ("argmax", "argmin", "reduce_and", "reduce_max", "reduce_min", "reduce_or")
_REDUCING += ("reduce_prod", "reduce_sum", "reduce_xor")
_CUMULATIVE = ("cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum")


def find_owners(program: ClosedJaxpr, owners: Sequence[Owners]) -> list[Owners]:
    """Find the owners of the results of a program, from those of its arguments.

    Args:
        program: A traced program.
        owners: For each argument, the entry that each of its numbers depends on.

    Returns:
        Owners of each result: an index, `NONE` or `SEVERAL` for each number. A number that
        depends on one entry is never said to depend on none; one that depends on a single entry in
        a way that cannot be followed is said to depend on `SEVERAL`.
    """
    return _follow(program, owners, [None] * len(owners))[0]


def _follow(
    program: Any, owners: Sequence[Owners], known: Sequence[np.ndarray | None]
) -> tuple[list[Owners], list[np.ndarray | None]]:
    """Follow owners, and integers that are known before the program runs, to the results."""
    jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
    owner: dict[Any, Owners] = dict(zip(jaxpr.invars, owners, strict=True))
    number = dict(zip(jaxpr.invars, known, strict=True))
    number |= {v: _as_known(c) for v, c in zip(jaxpr.constvars, constants, strict=True)}

    def read(atom: Any, values: Mapping[Any, Any]) -> Any:
        if isinstance(atom, Literal):
            return _as_known(atom.val) if values is number else None
        return values.get(atom)

    for equation in jaxpr.eqns:
        own = [read(atom, owner) for atom in equation.invars]
        given = [read(atom, number) for atom in equation.invars]
        found, made = _follow_equation(equation, own, given)
        owner |= dict(zip(equation.outvars, found, strict=True))
        owner |= _list_written(equation, own)
        number |= dict(zip(equation.outvars, made, strict=True))
    return [read(a, owner) for a in jaxpr.outvars], [read(a, number) for a in jaxpr.outvars]


def _as_known(value: Any) -> np.ndarray | None:
    if isinstance(value, Tracer):
        return None
    return np.asarray(value) if _is_index(jnp.result_type(value)) else None


def _aval_of(atom: Any) -> Any:
    """Return the shape and type of an operand or a result."""
    return atom.aval


def _is_index(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_)


def _follow_equation(
    equation: JaxprEqn, owners: list[Owners], known: list[np.ndarray | None]
) -> tuple[Sequence[Owners], Sequence[np.ndarray | None]]:
    name, params = equation.primitive.name, equation.params
    if any(map(is_reference, equation.invars)):
        return _follow_reference(equation, owners), [None] * len(equation.outvars)
    if name in CALLS:
        return _follow(params[CALLS[name]], owners, known)
    nothing = [None] * len(equation.outvars)
    if all(own is None for own in owners):
        return nothing, _evaluate(equation, known)
    if name == "cond":
        return _follow_branches(equation, owners, known), nothing
    if name == "scan":
        return _follow_steps(equation, owners), nothing
    shapes = [_aval_of(atom).shape for atom in equation.outvars]
    found = _follow_simple(equation, owners, known)
    # What has no rule depends on all that its operands depend on.
    found = [_joined(owners)] * len(shapes) if found is None else found
    return [np.broadcast_to(f, s) for f, s in zip(found, shapes, strict=True)], nothing


def _follow_simple(
    equation: JaxprEqn, owners: list[Owners], known: list[np.ndarray | None]
) -> list[np.ndarray] | None:
    """Return the owners of the results of an equation that has a rule."""
    name, params = equation.primitive.name, equation.params
    ranked = [_ranked(o, atom) for o, atom in zip(owners, equation.invars, strict=True)]
    if name in _ELEMENTWISE:
        return [combine(*ranked)]
    if name == "optimization_barrier":
        return ranked
    if name in _REARRANGING:
        return [TABLE[name](params, *ranked)]
    if name in _REDUCING:
        return [_reduce(ranked[0], tuple(params["axes"]))]
    if name in _CUMULATIVE:
        return [_reduce(ranked[0], (params["axis"],), keepdims=True)]
    if name == "dot_general":
        return [_contract(params, *ranked)]
    if name == "gather":
        return _gather(equation, owners, known)
    return None


def _follow_reference(equation: JaxprEqn, owners: Sequence[Owners]) -> list[Owners]:
    """Let all that an equation reads from references depend on all of its operands."""
    given = [own for own in owners if own is not None]
    shapes = [_aval_of(atom).shape for atom in equation.outvars]
    return [np.broadcast_to(_joined(given), shape) if given else None for shape in shapes]


def _list_written(equation: JaxprEqn, owners: Sequence[Owners]) -> dict[Any, Owners]:
    """Return the owners of the references that an equation may write to."""
    given = [own for own in owners if own is not None]
    references = [atom for atom in equation.invars if is_reference(atom)] if given else []
    return {atom: np.full(_aval_of(atom).shape, _joined(given)) for atom in references}


def _evaluate(equation: JaxprEqn, known: list[np.ndarray | None]) -> list[np.ndarray | None]:
    """Compute integers from integers that are known."""
    kinds = [_aval_of(atom).dtype for atom in equation.outvars]
    rule = TABLE.get(equation.primitive.name)
    if rule is None or any(k is None for k in known) or not all(map(_is_index, kinds)):
        return [None] * len(kinds)
    made = rule(equation.params, *known)
    return [None if made is None else np.asarray(made, kinds[0])]


def _ranked(owners: Owners, atom: Any) -> np.ndarray:
    return np.full(_aval_of(atom).shape, NONE) if owners is None else owners


def combine(*owners: np.ndarray) -> np.ndarray:
    """Combine the owners of the operands of an elementwise function."""
    whole = owners[0]
    for own in owners[1:]:
        both = np.where((whole == own) | (own == NONE), whole, SEVERAL)
        whole = np.where(whole == NONE, own, both)
    return whole


def _reduce(owners: np.ndarray, axes: tuple[int, ...], keepdims: bool = False) -> np.ndarray:
    """Combine owners along axes."""
    most = owners.max(axes, initial=NONE, keepdims=keepdims)
    least = np.where(owners == NONE, np.iinfo(owners.dtype).max, owners)
    least = least.min(axes, initial=np.iinfo(owners.dtype).max, keepdims=keepdims)
    is_single = (most == NONE) & (least > most) | (least == most)
    return np.where(is_single, most, SEVERAL)


def _joined(owners: Sequence[Owners]) -> np.ndarray:
    """Combine all owners into one."""
    given = [own.reshape(-1) for own in owners if own is not None]
    return _reduce(np.concatenate(given), (0,))


def _contract(params: Mapping[str, Any], left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Combine the owners of the operands of `dot_general`."""
    contracted, batches = params["dimension_numbers"]
    sides = []
    for own, along, batch in zip((left, right), contracted, batches, strict=True):
        free = [a for a in range(own.ndim) if a not in (*along, *batch)]
        moved = np.transpose(own, (*batch, *free, *along))
        ends = tuple(range(moved.ndim - len(along), moved.ndim))
        sides.append((_reduce(moved, ends), len(batch), len(free)))
    (left, batch, free), (right, _, others) = sides
    shape = left.shape[: batch + free] + (1,) * others
    return combine(
        *np.broadcast_arrays(
            left.reshape(shape),
            right.reshape(right.shape[:batch] + (1,) * free + right.shape[batch:]),
        )
    )


def _gather(
    equation: JaxprEqn, owners: list[Owners], known: list[np.ndarray | None]
) -> list[np.ndarray]:
    """Combine the owners of the indices and of the numbers that they select."""
    params, out = equation.params, _aval_of(equation.outvars[0])
    (numbers, indices), found = owners, np.full(out.shape, NONE)
    if numbers is not None:
        own = None if known[1] is None else TABLE["gather"](params, numbers, known[1])
        found = _take(params, numbers, known[1], out.shape) if own is None else own
    if indices is not None:
        offset = params["dimension_numbers"].offset_dims
        own = _reduce(indices, (indices.ndim - 1,))
        found = combine(found, np.broadcast_to(np.expand_dims(own, offset), out.shape))
    return [found]


def _take(
    params: Mapping[str, Any], owners: np.ndarray, index: np.ndarray | None, shape: tuple[int, ...]
) -> np.ndarray:
    """Take owners by an index; one that is not known may select any entry of the axes it is for."""
    if index is not None:
        with jax.ensure_compile_time_eval():
            kept = {**params, "fill_value": NONE}
            return np.asarray(
                jax.lax.gather_p.bind(jnp.asarray(owners), jnp.asarray(index), **kept)
            )
    numbers = params["dimension_numbers"]
    gone = {*numbers.start_index_map, *numbers.collapsed_slice_dims}
    joined = _reduce(owners, tuple(gone), keepdims=True)
    windows = [
        axis
        for axis in range(owners.ndim)
        if axis not in (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    ]
    source = dict(zip(numbers.offset_dims, windows, strict=True))
    rows = [axis for axis in range(len(shape)) if axis not in numbers.offset_dims]
    batching = zip(numbers.start_indices_batching_dims, numbers.operand_batching_dims, strict=True)
    source |= {rows[of_index]: axis for of_index, axis in batching}
    used = [source[axis] for axis in sorted(source)]
    rest = [axis for axis in range(owners.ndim) if axis not in used]
    moved = np.transpose(joined, (*used, *rest))
    sizes = iter(moved.shape)
    return np.broadcast_to(
        moved.reshape([next(sizes) if axis in source else 1 for axis in range(len(shape))]), shape
    )


def _follow_branches(
    equation: JaxprEqn, owners: list[Owners], known: list[np.ndarray | None]
) -> list[Owners]:
    """Combine the owners of the results of all branches, and of what chooses among them."""
    branches = [_follow(branch, owners[1:], known[1:])[0] for branch in equation.params["branches"]]
    chosen = [] if owners[0] is None else [_joined([owners[0]])]
    return [
        _combine_given([*each, *chosen], atom)
        for each, atom in zip(zip(*branches, strict=True), equation.outvars, strict=True)
    ]


def _combine_given(owners: Sequence[Owners], atom: Any) -> Owners:
    given = [np.broadcast_to(own, _aval_of(atom).shape) for own in owners if own is not None]
    return combine(*given) if given else None


def _follow_steps(equation: JaxprEqn, owners: list[Owners]) -> list[Owners]:
    """Follow the owners through all steps of a scan: what one step adds, until it adds nothing."""
    inner = equation.params["jaxpr"]
    carried, first = count_carried(equation, inner)
    rows = [None if o is None else _reduce(o, (0,)) for o in owners[first + carried :]]
    given, nothing = owners[:first], [None] * len(inner.in_avals)
    carry = list(owners[first : first + carried])
    while True:
        found, _ = _follow(inner, [*given, *carry, *rows], nothing)
        pairs = zip(carry, found[:carried], inner.jaxpr.outvars, strict=False)
        after = [_combine_given([old, new], atom) for old, new, atom in pairs]
        if all(_is_same(old, new) for old, new in zip(carry, after, strict=True)):
            break
        carry = after
    outputs = zip(found[carried:], equation.outvars[carried:], strict=True)
    stacked = [
        None if o is None else np.broadcast_to(o, _aval_of(atom).shape) for o, atom in outputs
    ]
    return [*carry, *stacked]


def _is_same(one: Owners, other: Owners) -> bool:
    return one is other or one is not None and other is not None and np.array_equal(one, other)
