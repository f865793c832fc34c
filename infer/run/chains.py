"""Make chains at evaluated points: their tuning, their states and the groups that they form."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr
from jaxtyping import Array

from ..density.family import Family
from ..density.points import Points
from ..engines.base import Engine, Tuning
from ..engines.together import first_each
from ..errors import RunError
from ..programs.interpreted import call_once, prepare_once, trace_outline
from ..target import Components
from ..types import signature_of
from .collect import Group, regroup
from .packed import Packed, pack
from .stepped import begin_on_host
from .tuned import adapt_tuning, expect_form, match_form


def outline_points(chains: int, size: int) -> Points:
    """Return points with the shapes and types of starts, which is all that compiling needs."""
    dtype = jnp.result_type(float)
    wide, narrow = np.zeros((chains, size), dtype), np.zeros(chains, dtype)
    return Points(wide, narrow, wide, wide)


def make_tuning(
    engine: Engine, family: Family, points: Points, learned: Tuning | None, planned: int = 0
) -> Tuning:
    """Make the first tuning of each density from its starts, or adopt what was learned.

    What was learned on one density serves all. `planned` are the draws of warm-up.

    Raises:
        RunError: `learned` is of another engine or another size.
    """
    fresh = _make_first(engine, family, points)
    if learned is not None:
        fresh = match_form(engine, fresh, learned)
        learned = adapt_tuning(learned, fresh, family.count)
        _refuse_misfit(learned, fresh)
        fresh = engine.reuse(learned, fresh)
    return expect_form(engine, family, fresh, planned)


def _make_first(engine: Engine, family: Family, points: Points) -> Tuning:
    if family.count == 1:
        return engine.first_tuning(family.shared, points.positions, points.gradients)
    starts = points.positions, points.gradients
    each = (a.reshape(family.count, -1, a.shape[-1]) for a in starts)
    return first_each(engine, family.member, *each)


def make_states(engine: Engine, points: Points, on_host: bool = False) -> Packed:
    """Make the state of every chain, packed, along a leading axis; `on_host` as in `stepped`."""
    if on_host:
        return begin_on_host(engine, points)  # pyright: ignore[reportArgumentType]
    made = call_once(_init, *points, static=(engine,))
    return jax.tree.map(np.array, made)


def prepare_states(engine: Engine, points: Points) -> None:
    """Begin to compile the program of `make_states`, if it is large; numbers do not matter."""
    prepare_once(_init, *points, static=(engine,))


def outline_states(engine: Engine, points: Points, on_host: bool = False) -> Packed:
    """Return states with the shapes and types of the others, whatever their numbers."""
    if on_host:
        return begin_on_host(engine, points)  # pyright: ignore[reportArgumentType]
    shapes = trace_outline(_init, (engine,), signature_of(tuple(points)))
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


def _init(engine: Engine, positions: Array, *here: Array) -> Packed:
    return jax.vmap(lambda q, here: pack(engine.init(q, here)))(positions, Components(*here))


def make_groups(keys: np.ndarray, states: Packed, width: int) -> tuple[Group, ...]:
    """Make chains that have no draws yet, in groups of `width`."""
    chains = len(keys)
    drawn, executed = np.zeros(chains, np.int32), np.zeros(chains, np.int64)
    entering = np.ones(chains, bool)
    all_chains = Group(range(chains), keys, states, drawn, [[]] * chains, executed, entering)
    return tuple(regroup([all_chains], width))


def _refuse_misfit(tuning: Tuning, fresh: Tuning) -> None:
    """Raise if the tuning of an earlier run is of another engine or another size."""
    shapes = [jax.tree.map(np.shape, t) for t in (tuning, fresh)]
    if shapes[0] != shapes[1]:
        paths = jax.tree.leaves_with_path(tuning)
        found = ", ".join(f"{keystr(path)} {np.shape(leaf)}" for path, leaf in paths)
        raise RunError(
            "tuning",
            f"it is a {type(tuning).__name__} of shapes {found}",
            "Give the tuning of a run of the same engine and metric, with the same blocks if it "
            'has any, on a model of the same size; NUTS(metric="auto") takes any metric.',
        )
