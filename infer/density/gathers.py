"""Check the indices that are known before a model runs against the axes that they index.

For an index that is out of range, XLA silently takes the nearest entry or a fill value. The data
are known before a run starts, so the part of the model's program that computes indices from data is
evaluated with NumPy, and nothing is compiled.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal
from jax.lax import GatherScatterMode

from ..equations import CALLS
from ..errors import ModelError
from ..models.abstract import run_abstractly
from ..models.inputs.data import leaf_names
from ..models.inputs.known import TABLE, Known
from ..models.inputs.sharded import is_over_processes
from ..models.model import Model

# Maximum number of steps of a scan that are checked: one for each distinct row of its inputs.
MAX_STEPS = 4096


class Index(NamedTuple):
    """How one equation indexes an array.

    Attributes:
        atoms: Operands that hold the index, one for all axes or one for each axis.
        axes: Sizes of the axes that they index.
        last: Largest valid index of each axis.
    """

    atoms: tuple[Any, ...]
    axes: tuple[int, ...]
    last: tuple[int, ...]


def check_indices(model: Model) -> int:
    """Check all indices that depend only on a model's data and code; return their number.

    Indices with an explicit `mode` are not checked, nor those inside `cond` and `while_loop`.

    Raises:
        ModelError: An index is out of range; the message names the data that hold it.
    """
    return check_program(run_abstractly(model).program, jax.tree.leaves(model), leaf_names(model))


def has_indices_in(model: Model, leaves: Sequence[bool]) -> bool:
    """Return whether indices depend on any of the given leaves of a model, in their order."""
    jaxpr = run_abstractly(model).program.jaxpr
    needed = _find_needed(jaxpr, (False,) * len(jaxpr.outvars))[1]
    return any(need and given for need, given in zip(needed, leaves, strict=True))


def check_indices_of(models: Sequence[Model]) -> None:
    """Check the indices of each model, once if all of them have the same; see `check_indices`."""
    if len({jax.tree.structure(model) for model in models}) > 1:
        to_check = models
    else:
        leaves = zip(*map(jax.tree.leaves, models), strict=True)
        differ = [any(leaf is not own[0] for leaf in own) for own in leaves]
        to_check = models if has_indices_in(models[0], differ) else models[:1]
    for model in to_check:
        check_indices(model)


def check_program(program: ClosedJaxpr, leaves: Sequence[Any], names: Sequence[str]) -> int:
    """Check the indices of a traced program, some of whose arguments are known.

    Args:
        program: The program.
        leaves: Its arguments, on any device; `None` if unknown.
        names: Their names.
    """
    jaxpr = program.jaxpr
    nothing = (False,) * len(jaxpr.outvars)
    _, inputs, _ = _find_needed(jaxpr, nothing)
    known = [
        Known(np.asarray(leaf), frozenset({name})) if needed and _is_plain(leaf) else None
        for needed, leaf, name in zip(inputs, leaves, names, strict=True)
    ]
    counted: list[int] = []
    _evaluate_known(program, known, nothing, counted)
    return sum(counted)


def _is_plain(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", float)
    is_key = leaf is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    return leaf is not None and not is_key and not is_over_processes(leaf)


def _evaluate_known(
    program: Any, inputs: Sequence[Known | None], wanted: tuple[bool, ...], counted: list[int]
) -> list[Known | None]:
    """Evaluate what indices and the wanted results depend on, as far as it is known."""
    jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
    known: dict[Any, Known | None] = dict(zip(jaxpr.invars, inputs, strict=True))
    equations, _, needed = _find_needed(jaxpr, wanted)
    own = zip(jaxpr.constvars, constants, needed, strict=True)
    known |= {variable: _as_known(value) for variable, value, need in own if need}

    def read(atom: Any) -> Known | None:
        if isinstance(atom, Literal):
            return Known(np.asarray(atom.val, _aval_of(atom).dtype))
        return known.get(atom)

    for equation, wanted_here in equations:
        if index := _read_index(equation):
            counted.append(_refuse_out_of_range(index, [read(atom) for atom in index.atoms]))
        results = _evaluate_equation(
            equation, list(map(read, equation.invars)), wanted_here, counted
        )
        known |= dict(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _as_known(value: Any) -> Known | None:
    return Known(np.asarray(value)) if _is_plain(value) else None


@lru_cache(maxsize=256)
def _find_needed(
    jaxpr: Any, wanted: tuple[bool, ...]
) -> tuple[list[tuple[JaxprEqn, tuple]], list[bool], list[bool]]:
    """Find the equations, inputs and constants that indices and the wanted results depend on.

    Each equation comes with which of its results are needed.
    """
    needed = {a for a, w in zip(jaxpr.outvars, wanted, strict=True) if w and _is_variable(a)}
    equations = []
    for equation in reversed(jaxpr.eqns):
        here = tuple(result in needed for result in equation.outvars)
        atoms = [*_needed_operands(equation, here)]
        if atoms:
            needed |= set(filter(_is_variable, atoms))
            equations.append((equation, here))
    inputs, constants = ([v in needed for v in own] for own in (jaxpr.invars, jaxpr.constvars))
    return equations[::-1], inputs, constants


def _needed_operands(equation: JaxprEqn, wanted: tuple[bool, ...]) -> Iterator[Any]:
    """Yield the operands that the wanted results and the indices inside depend on."""
    if index := _read_index(equation):
        yield from index.atoms
    if inner := _called_program(equation):
        scanned = equation.primitive.name == "scan"
        results = (False,) * len(inner.jaxpr.outvars) if scanned else wanted
        _, inputs, _ = _find_needed(inner.jaxpr, results)
        yield from (atom for atom, need in zip(equation.invars, inputs, strict=True) if need)
    elif any(wanted) and equation.primitive.name in TABLE:
        # An equation without operands, such as iota, is listed by its results.
        yield from equation.invars or equation.outvars


def _is_variable(atom: Any) -> bool:
    return not isinstance(atom, Literal)


def _called_program(equation: JaxprEqn) -> Any:
    """Return the program that an equation calls once, or at each step of a scan."""
    name = equation.primitive.name
    key = "jaxpr" if name == "scan" else CALLS.get(name)
    inner = equation.params[key] if key else None
    return ClosedJaxpr(inner, ()) if inner is not None and not hasattr(inner, "consts") else inner


def _evaluate_equation(
    equation: JaxprEqn, operands: list[Known | None], wanted: tuple, counted: list[int]
) -> Sequence[Known | None]:
    name, unknown = equation.primitive.name, [None] * len(equation.outvars)
    if name == "scan":
        _evaluate_scan(equation, operands, counted)
        return unknown
    if inner := _called_program(equation):
        return _evaluate_known(inner, operands, wanted, counted)
    known = [operand for operand in operands if operand is not None]
    if name not in TABLE or len(known) < len(operands) or not any(wanted):
        return unknown
    with np.errstate(all="ignore"):
        made = TABLE[name](equation.params, *(operand.array for operand in known))
    if made is None:
        return unknown
    names = frozenset[str]().union(*(operand.names for operand in known))
    return [Known(np.asarray(made, _aval_of(equation.outvars[0]).dtype), names)]


def _evaluate_scan(equation: JaxprEqn, operands: list[Known | None], counted: list[int]) -> None:
    """Evaluate the steps of a scan whose inputs differ."""
    params, inner = equation.params, _called_program(equation)
    constants, carried = _count_constants_and_carries(equation, inner.jaxpr)
    nothing = (False,) * len(inner.jaxpr.outvars)
    _, inputs, _ = _find_needed(inner.jaxpr, nothing)
    if not any(inputs):
        return
    given = [o if need else None for o, need in zip(operands, inputs, strict=True)]
    rows = given[constants + carried :]
    for step in _distinct_steps([row.array for row in rows if row], params["length"]):
        own = [row and row._replace(array=np.asarray(row.array[step])) for row in rows]
        _evaluate_known(inner, [*given[:constants], *[None] * carried, *own], nothing, counted)


def _count_constants_and_carries(equation: JaxprEqn, inner: Any) -> tuple[int, int]:
    """Count the constants and carries of a scan; JAX versions name these parameters differently.

    Only per-step inputs and outputs have one axis more outside the loop than inside.
    """

    def rows(outside: Sequence[Any], inside: Sequence[Any]) -> int:
        pairs = zip(outside, inside, strict=True)
        return sum(_aval_of(a).ndim > _aval_of(b).ndim for a, b in pairs)

    carried = len(inner.outvars) - rows(equation.outvars, inner.outvars)
    return len(inner.invars) - carried - rows(equation.invars, inner.invars), carried


def _distinct_steps(rows: list[np.ndarray], length: int) -> list[int]:
    """List one step for each distinct row of the inputs."""
    if not rows:
        return [0][:length]
    joined = np.concatenate([row.reshape(length, -1) for row in rows], axis=1)
    return np.unique(joined, axis=0, return_index=True)[1][:MAX_STEPS].tolist()


def _aval_of(atom: Any) -> Any:
    """Return the shape and type of an operand or a result."""
    return atom.aval


def _read_index(equation: JaxprEqn) -> Index | None:
    """Read how an equation indexes; return None if an index out of range would be legitimate."""
    name, params, atoms = equation.primitive.name, equation.params, equation.invars
    if name == "dynamic_slice":
        shape, sizes = _aval_of(atoms[0]).shape, params["slice_sizes"]
        last = tuple(size - seen for size, seen in zip(shape, sizes, strict=True))
        return Index(tuple(atoms[1:]), shape, last)
    if name == "gather" and _is_plain_indexing(params):
        axes = [int(axis) for axis in params["dimension_numbers"].start_index_map]
        sizes = params["slice_sizes"]
    elif name.startswith("scatter") and params["mode"] == GatherScatterMode.PROMISE_IN_BOUNDS:
        axes = [int(a) for a in params["dimension_numbers"].scatter_dims_to_operand_dims]
        sizes = _window_sizes(params["dimension_numbers"], _aval_of(atoms[0]), _aval_of(atoms[2]))
    else:
        return None
    shape = _aval_of(atoms[0]).shape
    return Index(
        (atoms[1],), tuple(shape[a] for a in axes), tuple(shape[a] - sizes[a] for a in axes)
    )


def _is_plain_indexing(params: Mapping[str, Any]) -> bool:
    """Return whether a gather comes from plain indexing, x[i].

    `jax.vmap` turns a dynamic slice into a gather that clips, which unlike that of the mode "clip"
    of jax.numpy collapses no axis.
    """
    mode, numbers = params["mode"], params["dimension_numbers"]
    clips = mode == GatherScatterMode.CLIP
    return mode == GatherScatterMode.PROMISE_IN_BOUNDS or clips and not numbers.collapsed_slice_dims


def _window_sizes(numbers: Any, operand: Any, updates: Any) -> list[int]:
    """Return how far the updates of a scatter reach along each axis of the operand."""
    single = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    sizes = iter(updates.shape[axis] for axis in numbers.update_window_dims)
    return [1 if axis in single else next(sizes) for axis in range(operand.ndim)]


def _refuse_out_of_range(index: Index, given: list[Known | None]) -> int:
    """Raise if a known index is out of range; return how many indices were checked."""
    if len(given) == 1 and given[0]:
        columns = given[0].array.reshape(-1, len(index.axes)).T
        pairs = [given[0]._replace(array=column) for column in columns]
    else:
        pairs = given if len(given) > 1 else []
    for known, size, last in zip(pairs, index.axes, index.last, strict=False):
        if known and known.array.size and not _is_within(known.array, last):
            _raise_out_of_range(known, size, last)
    return sum(known.array.size for known in pairs if known)


def _is_within(numbers: np.ndarray, last: int) -> bool:
    return bool(numbers.min() >= 0 and numbers.max() <= last)


def _raise_out_of_range(known: Known, size: int, last: int) -> None:
    bad = known.array[(known.array < 0) | (known.array > last)].astype(int)
    # jax.numpy has already added the size to negative indices.
    found = int(bad[0]) if bad[0] >= 0 else int(bad[0]) - size
    where = min(known.names) if len(known.names) == 1 else "model"
    source = "" if len(known.names) == 1 else f" computed from {' and '.join(sorted(known.names))}"
    source = source if known.names else " in its function"
    raise ModelError(
        where,
        f"the index {found}{source} is out of range for an axis of size {size}, "
        f"at {bad.size} of {known.array.size} places",
        _mend_for(known.array, last),
    )


def _mend_for(numbers: np.ndarray, last: int) -> str:
    if numbers.min() == 1 and numbers.max() == last + 1:
        return "Indices start at 0, and these start at 1: subtract 1."
    return (
        f"Indices run from 0 to {last}: correct them, or make the axis longer. If the nearest "
        f"entry is meant, clip the index: jnp.clip(i, 0, {last})."
    )
