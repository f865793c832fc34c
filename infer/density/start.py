"""Find starting points at which the log density and its gradient are finite."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.errors import BijectorError

from ..errors import StartError
from ..models.inputs.names import join_names
from ..models.readers import Values
from ..numerics import threefry
from ..numerics.keys import wrap_key
from ..programs.native import CompiledProgram, call_compiled, compile_program
from ..programs.slices import call_in_slices
from ..target import Components
from .base import LogDensity
from .chain_starts import ChainStart, needs_search
from .explanation import explain_at
from .family import Family, naming_member, singleton

MAX_TRIES = 100
# Number of uniform starts tried for a chain, which takes the one of highest log density.
CANDIDATES = 8
# Stan's default: uniform on (-2, 2) in the unconstrained space.
RADIUS = 2.0
# Largest product of words of keys and coordinates that is drawn at once.
SMALL = 2**16


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


def find_starts(
    family: Family, key: np.ndarray, wanted: Sequence[ChainStart]
) -> tuple[Points, Points | None]:
    """Find a usable start for every chain of every member, and a second one if possible.

    Args:
        family: The log densities.
        key: Key data, shape (2,).
        wanted: Where each chain of each member starts, as `assign_starts` returns it.

    Returns:
        The starts, and the second best of the eight that were tried (the start itself if no second
        one is usable, None if only one was tried).

    Raises:
        StartError: A chain has no finite start after 100 tries; the message names the terms
            that are not finite, with the values.
        ModelError: Given values are missing, of a wrong shape, or outside their set.
    """
    if not needs_search(wanted):
        mend = "Give values where every term is finite."
        given = _evaluate_lanes(family, _flatten_given(family, wanted, np.empty((len(wanted), 0))))
        return _refuse_unusable(family, given, "at the start", mend), None
    found, spare = _search_as_asked(family, len(wanted) // family.count, key, wanted)
    found = _insert_given(family, key, wanted, found)
    which = f"at the first of {MAX_TRIES} starts tried:"
    mend = "Give starting values, or weaker constraints; infer.explain(model) shows every term."
    return _refuse_unusable(family, found, which, mend), spare


def _search_as_asked(
    family: Family, chains: int, key: np.ndarray, wanted: Sequence[ChainStart]
) -> tuple[Points, Points | None]:
    """Search a start for every chain, from the prior if it asks for that, else uniformly."""
    if "prior" not in wanted:
        return search(family, chains, key, "uniform")
    found, spare = search(family, chains, key, "prior")
    if all(start == "prior" for start in wanted):
        return found, spare
    others = np.array([start != "prior" for start in wanted])
    return _select_lanes(others, search(family, chains, key, "uniform")[0], found), None


def _insert_given(
    family: Family, key: np.ndarray, wanted: Sequence[ChainStart], found: Points
) -> Points:
    """Replace the starts found by values that were given for some chains.

    Raises:
        StartError: They are not usable. (The model's own initial values are skipped instead.)
    """
    asked = np.array([start not in ("uniform", "prior") for start in wanted])
    if not asked.any():
        return found
    positions = _flatten_given(family, wanted, found.positions)
    # In the shape that the search has compiled.
    again = np.broadcast_to(positions, (CANDIDATES, *positions.shape))
    given = Points(*(array[0] for array in _evaluate_attempts(family, key, again)))
    must = np.array([isinstance(start, Mapping) for start in wanted])
    mend = "Give values where every term is finite."
    _refuse_unusable(family, _select_lanes(must, given, found), "at the start", mend)
    return _select_lanes(asked & _are_usable(given), given, found)


def _flatten_given(family: Family, wanted: Sequence[ChainStart], found: np.ndarray) -> np.ndarray:
    """Flatten the values given for some chains; keep the positions found for the others."""
    members = [family.member(i) for i in range(family.count)]
    rows = []
    for own, start, row in zip(_members_of_lanes(family, len(wanted)), wanted, found, strict=True):
        if isinstance(start, Mapping):
            with naming_member(family, int(own)):
                rows.append(np.asarray(members[own].unconstrain(start)))
        else:
            rows.append(_flatten_initial(members[own]) if start == "initial" else row)
    return np.stack(rows)


def _flatten_initial(density: LogDensity) -> np.ndarray:
    """Flatten the values that a model was made with.

    Entries outside their sets are not finite; if a map has no inverse, none is.
    """
    initial = density.model.initial_values()
    values = {site.name: initial[site.name] for site in density.latent}
    try:
        made, _ = compile_program(flatten_values, (), (density, values), "fast_compile")
    except BijectorError:
        return np.full(density.size, np.nan)
    assert isinstance(made, CompiledProgram)
    return np.asarray(made.call(density, values))


def flatten_values(density: LogDensity, values: dict[str, Array]) -> Array:
    """Map constrained values of all latent sites to the flat vector, without checking them."""
    reader = Values(values, density.model.rules)
    density.model.run(reader)
    return reader.flattener.flat().astype(jnp.result_type(float))


def search(
    family: Family, chains: int, key: np.ndarray, starts: str
) -> tuple[Points, Points | None]:
    """Search as `find_starts` does; a lane without a usable point gets the first one tried."""
    # A usable draw from the prior is kept; some uniform starts lie where a chain gets stuck.
    candidates = CANDIDATES if starts == "uniform" else 1
    lanes = family.count * chains
    tried = _propose(family, key, range(candidates), lanes, starts)
    merit = np.where(_are_usable(tried), tried.log_densities, -np.inf)
    found, second = _take_best(tried, merit), _take_second_best(tried, merit)
    for begin in range(candidates, MAX_TRIES, candidates):
        missing = ~_are_usable(found)
        if not missing.any():
            break
        attempts = range(begin, min(begin + candidates, MAX_TRIES))
        tried = _propose(family, key, attempts, lanes, starts)
        again = _take_best(tried, _are_usable(tried))
        better = missing & _are_usable(again)
        found = _select_lanes(better, again, found)
    return found, second and _select_lanes(_are_usable(second), second, found)


def _take_best(tried: Points, merit: np.ndarray) -> Points:
    """Take the point of highest merit for each lane, from shape (attempts, lanes, ...)."""
    best = merit.argmax(0), np.arange(merit.shape[1])
    return Points(*(array[best] for array in tried))


def _take_second_best(tried: Points, merit: np.ndarray) -> Points | None:
    """Take the point of second highest merit for each lane."""
    if len(merit) == 1:
        return None
    best = np.arange(len(merit))[:, None] == merit.argmax(0)
    return _take_best(tried, np.where(best, -np.inf, merit))


def evaluate(density: LogDensity, positions: np.ndarray) -> Points:
    """Evaluate the log density and gradient at points of shape (chains, size)."""
    return _evaluate_lanes(singleton(density), positions)


def _evaluate_lanes(family: Family, positions: np.ndarray) -> Points:
    own = family.rows(_members_of_lanes(family, len(positions)))
    here = call_compiled(_evaluate, family.shared, own, np.asarray(positions))
    return Points(np.asarray(positions), *map(np.asarray, here))


def _members_of_lanes(family: Family, lanes: int) -> np.ndarray:
    """Return the member that each lane belongs to."""
    return np.repeat(np.arange(family.count), lanes // family.count)


def _evaluate(shared: LogDensity, own: LogDensity, positions: Array) -> Components:
    return jax.vmap(lambda own, q: eqx.combine(shared, own).components(q))(own, positions)


def _propose(family: Family, key: np.ndarray, attempts: range, lanes: int, how: str) -> Points:
    """Propose and evaluate a point for every attempt and lane: shape (attempts, lanes, ...)."""
    of_lanes = threefry.fold_in(key, np.arange(lanes))
    keys = threefry.fold_in(of_lanes, np.array(attempts)[:, None])
    # The bits must not depend on the user's own setting.
    with jax.threefry_partitionable(True):
        if how == "prior":
            own = family.rows(_members_of_lanes(family, lanes))
            positions = np.asarray(call_compiled(_draw_priors, family.shared, own, keys))
        else:
            positions = _draw_uniform(keys, family.shared.size)
        return _evaluate_attempts(family, key, positions)


def _evaluate_attempts(family: Family, key: np.ndarray, positions: np.ndarray) -> Points:
    """Evaluate positions of shape (attempts, lanes, size); each shape has one program."""
    own = family.rows(_members_of_lanes(family, positions.shape[1]))
    arguments = (family.shared, own, key, positions)
    with jax.threefry_partitionable(True):
        made, _ = compile_program(_evaluate_in_turn, (), arguments, "fast_compile")
        assert isinstance(made, CompiledProgram)
        return Points(positions, *map(np.asarray, made.call(*arguments)))


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
        return lambda rows: _stack_points([_evaluate_lanes(family, row) for row in rows])
    count = 1 if all(start == "prior" for start in wanted) else CANDIDATES

    def evaluate(rows: np.ndarray) -> Points:
        return call_in_slices(lambda own: _evaluate_attempts(family, key, own), rows, count)

    return evaluate


def _stack_points(points: list[Points]) -> Points:
    return Points(*(np.stack(own) for own in zip(*points, strict=True)))


def _draw_uniform(keys: np.ndarray, size: int) -> np.ndarray:
    """Draw a position for each attempt and lane, from keys of shape (attempts, lanes, 2)."""
    draw = partial(
        threefry.uniform, shape=(size,), dtype=jnp.result_type(float), low=-RADIUS, high=RADIUS
    )
    if keys.size * size < SMALL:
        return draw(keys)
    # One attempt at a time: intermediate arrays take several times as much memory.
    return np.stack([draw(own) for own in keys])


def _draw_priors(shared: LogDensity, own: LogDensity, keys: Any) -> Array:
    def one(own: LogDensity, key: Array) -> Array:
        return eqx.combine(shared, own).draw_prior(wrap_key(key))

    return jax.lax.map(lambda keys: _map_lanes(one, own, keys), keys)


def _evaluate_in_turn(shared: LogDensity, own: LogDensity, key: Any, positions: Any) -> Components:
    def one(own: LogDensity, position: Array) -> Components:
        return eqx.combine(shared, own).at(wrap_key(key)).components(position)

    # One attempt at a time, to save memory.
    return jax.lax.map(lambda positions: _map_lanes(one, own, positions), positions)


def _map_lanes(function: Callable[..., Any], *lanes: Any) -> Any:
    """Map a function over lanes; on a CPU a batch is no faster, and takes longer to compile."""
    if jax.default_backend() == "cpu":
        return jax.lax.map(lambda lane: function(*lane), lanes)
    return jax.vmap(function)(*lanes)


def _are_usable(points: Points) -> np.ndarray:
    return np.isfinite(points.log_densities) & np.isfinite(points.gradients).all(-1)


def _select_lanes(chosen: np.ndarray, new: Points, old: Points) -> Points:
    pick = lambda a, b: np.where(chosen.reshape(-1, *(1,) * (a.ndim - 1)), a, b)  # noqa: E731
    return Points(*map(pick, new, old))


def _describe_infinite_data(density: LogDensity) -> str:
    """Describe which data hold infinite numbers, and where; return "" if none do."""
    found = []
    for name, array in density.model.constants().items():
        bad = np.isinf(array) if np.issubdtype(array.dtype, np.inexact) else np.zeros(0, bool)
        if bad.any():
            first = tuple(np.argwhere(bad)[0].tolist())
            found.append(f"{name} holds {array[first]} at {list(first)}, {bad.sum()} in all")
    return "; ".join(found)


def _refuse_unusable(family: Family, points: Points, which: str, mend: str) -> Points:
    usable = _are_usable(points)
    if usable.all():
        return points
    lane = int(np.argmin(usable))
    member = int(_members_of_lanes(family, len(usable))[lane])
    which = f"of models[{member}], {which}" if family.count > 1 else which
    at = explain_at(family.member(member), jnp.asarray(points.positions[lane]))
    first, *more = [line for line in (*at.lines, at.total) if line.trouble] or [at.total]
    names = [line.name for line in more if line is not at.total]
    also = f"; also not finite: {join_names(names)}" if names else ""
    # Evaluated singly rather than in a batch, it may be finite after all.
    found = f"its {first.trouble or 'log density is not finite'}, {which} {at.point}{also}"
    if infinite := _describe_infinite_data(family.member(member)):
        found = f"{found}; {infinite}"
        mend = f"Look at these data first. {mend}"
    raise StartError(first.name, found, mend)
