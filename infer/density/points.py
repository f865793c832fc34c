"""Evaluate a log density at points for all chains, in the shapes for which a program is kept."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from ..numerics.keys import wrap_key
from ..programs.native import CompiledProgram, Form, Refusal, call_compiled, compile_program
from ..programs.slices import call_in_slices
from ..target import Components
from .base import LogDensity
from .chain_starts import ChainStart, needs_search
from .family import Family

# Number of uniform starts tried for a chain, which takes the one of highest log density.
CANDIDATES = 8
# Maximum number of lanes that one program evaluates.
MAX_LANES = 256


class Points(NamedTuple):
    """Evaluated points, one for each chain, on the host.

    Attributes:
        positions: Shape (chains, size).
        log_densities: Sum of the terms that have a value, in nats, shape (chains,).
        gradients: Shape (chains, size).
        unvalued_gradients: Gradients of the terms without a value, shape (chains, size).
    """

    positions: np.ndarray
    log_densities: np.ndarray
    gradients: np.ndarray
    unvalued_gradients: np.ndarray


# Evaluates points of shape (rows, lanes, size).
Evaluate = Callable[[np.ndarray], Points]


def evaluate_lanes(family: Family, positions: np.ndarray) -> Points:
    """Evaluate one point for each lane, shape (lanes, size), kernel by kernel."""
    return make_lane_evaluator(family, np.asarray(positions))(np.asarray(positions))


def make_lane_evaluator(family: Family, positions: np.ndarray) -> Callable[[np.ndarray], Points]:
    """Return a function that does as `evaluate_lanes`, for positions of this shape and dtype.

    It is quick to call again and again.
    """
    made, leaves = _compile_lanes(family, positions, "kernels")
    assert isinstance(made, CompiledProgram)
    return lambda positions: _read_points(positions, made.call(leaves, positions))


def evaluate_natively(family: Family, positions: np.ndarray) -> Points | None:
    """Do as `evaluate_lanes` does, in the native form; None if it has none."""
    made, leaves = _compile_lanes(family, positions, "native")
    if not isinstance(made, CompiledProgram):
        return None
    return _read_points(positions, made.call(leaves, positions))


def _compile_lanes(
    family: Family, positions: np.ndarray, form: Form
) -> tuple[CompiledProgram | Refusal, list[Array]]:
    """Compile the evaluation of one point for each lane; also return its first argument."""
    own = family.rows(members_of_lanes(family, len(positions)))
    leaves, structure = jax.tree.flatten((family.shared, own))
    return compile_program(evaluate_leaves, (structure,), (leaves, positions), form)[0], leaves


def _read_points(positions: np.ndarray, here: Components) -> Points:
    return Points(np.asarray(positions), *map(np.asarray, here))


def members_of_lanes(family: Family, lanes: int) -> np.ndarray:
    """Return the member that each lane belongs to."""
    return np.repeat(np.arange(family.count), lanes // family.count)


def evaluate_leaves(structure: Any, leaves: list[Array], positions: Array) -> Components:
    """Evaluate as `evaluate_batch` does; to flatten a density takes longer than many a gradient.

    Args:
        structure: Structure of the first two arguments of `evaluate_batch`, as a pytree.
        leaves: Their leaves.
        positions: Shape (lanes, size).
    """
    shared, own = jax.tree.unflatten(structure, leaves)
    return evaluate_batch(shared, own, positions)


def evaluate_batch(shared: LogDensity, own: LogDensity, positions: Array) -> Components:
    """Evaluate one point for each lane, shape (lanes, size); a single one is no batch."""
    one = lambda own, q: eqx.combine(shared, own).components(q)  # noqa: E731
    if len(positions) > 1:
        return jax.vmap(one)(own, positions)
    alone = jax.tree.map(lambda a: a[0], (own, positions))
    return jax.tree.map(lambda a: a[None], one(*alone))


def evaluate_attempts(family: Family, key: np.ndarray, positions: np.ndarray) -> Points:
    """Evaluate positions of shape (attempts, lanes, size); each shape has one program.

    Many lanes are evaluated a slice at a time: a program of more work than that of a few lanes
    might be compiled in another form, whose last bits differ.
    """
    if family.is_alone:
        return _evaluate_alone(family, positions)
    own = family.rows(members_of_lanes(family, positions.shape[1]))

    def call(lanes: tuple[Any, np.ndarray]) -> Components:
        own, by_lane = lanes
        arguments = (family.shared, own, np.atleast_2d(key)[0], np.swapaxes(by_lane, 0, 1))
        found = call_compiled(_evaluate_in_turn, *arguments, form="fast_compile")
        return jax.tree.map(lambda a: np.swapaxes(np.asarray(a), 0, 1), found)

    lanes = own, np.swapaxes(positions, 0, 1)
    with jax.threefry_partitionable(True):
        here = call_in_slices(call, lanes, min(positions.shape[1], MAX_LANES))
    return Points(positions, *(np.swapaxes(part, 0, 1) for part in here))


def _evaluate_alone(family: Family, positions: np.ndarray) -> Points:
    """Evaluate attempts of one log density, as `evaluate_attempts` does, one after another.

    A run that is stepped on the host compiles the program of one point in any case. Calling it a
    hundred times takes some milliseconds; compiling another program takes 0.3 s or more.
    """
    flat = positions.reshape(-1, 1, positions.shape[-1])
    call = make_lane_evaluator(family, flat[0])
    joined = map(np.concatenate, zip(*(call(row)[1:] for row in flat), strict=True))
    return Points(positions, *(a.reshape(*positions.shape[:2], *a.shape[1:]) for a in joined))


def trace_attempts(
    family: Family, positions: np.ndarray
) -> tuple[jax.stages.Traced, tuple[Any, ...]]:
    """Trace the program of `evaluate_attempts`, or find it among those that JAX has traced.

    Args:
        family: The log densities.
        positions: One point for each lane, shape (lanes, size).

    Returns:
        The program, and its arguments, with each point in all of the attempts.
    """
    own = family.rows(members_of_lanes(family, len(positions)))
    rows = np.broadcast_to(positions, (CANDIDATES, *positions.shape))
    arguments = (family.shared, own, np.zeros(2, np.uint32), rows)
    with jax.threefry_partitionable(True):
        return jax.jit(_evaluate_in_turn).trace(*arguments), arguments


def make_evaluator(family: Family, key: np.ndarray, wanted: Sequence[ChainStart]) -> Evaluate:
    """Return a function that evaluates more points by the program that evaluated the starts.

    Args:
        family: As in `find_starts`, like the other arguments.
        key: The key.
        wanted: The starts.

    Returns:
        A function of points of shape (rows, lanes, size), with as many lanes as starts. Nothing
        is compiled for it.
    """
    if not needs_search(wanted):
        return lambda rows: _stack_points([evaluate_lanes(family, row) for row in rows])
    count = 1 if all(start == "prior" for start in wanted) else CANDIDATES

    def evaluate(rows: np.ndarray) -> Points:
        return call_in_slices(lambda own: evaluate_attempts(family, key, own), rows, count)

    return evaluate


def _stack_points(points: list[Points]) -> Points:
    return Points(*(np.stack(own) for own in zip(*points, strict=True)))


def _evaluate_in_turn(shared: LogDensity, own: LogDensity, key: Any, positions: Any) -> Components:
    def one(own: LogDensity, position: Array) -> Components:
        return eqx.combine(shared, own).at(wrap_key(key)).components(position)

    # One attempt at a time, to save memory.
    return jax.lax.map(lambda positions: map_lanes(one, own, positions), positions)


def map_lanes(function: Callable[..., Any], *lanes: Any) -> Any:
    """Map a function over lanes; on a CPU a batch is no faster, and takes longer to compile."""
    if jax.default_backend() == "cpu":
        return jax.lax.map(lambda lane: function(*lane), lanes)
    return jax.vmap(function)(*lanes)


def are_usable(points: Points) -> np.ndarray:
    """Return at which points the log density and all of its gradient are finite."""
    return np.isfinite(points.log_densities) & np.isfinite(points.gradients).all(-1)


def select_lanes(chosen: np.ndarray, new: Points, old: Points) -> Points:
    """Take the new points for the chosen lanes, and the old ones for the others."""
    pick = lambda a, b: np.where(chosen.reshape(-1, *(1,) * (a.ndim - 1)), a, b)  # noqa: E731
    return Points(*map(pick, new, old))
