"""Learn how far sites are centered: at the end of a window, draws and chains change coordinates."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from ..density.family import Family
from ..density.points import Points
from ..density.recentered import (
    Centering,
    Piece,
    find_entries,
    find_pieces,
    mark_scalars,
    split_entries,
)
from ..engines.base import Draws, Engine
from ..numerics.centering import choose_degrees, choose_ends
from ..programs.parts import work_in_turn
from .chains import make_states
from .collect import Group
from .coordinates import densities_own, move_all, move_draws, move_to_density
from .pooling import interleave
from .warmup import Move, Warmup, end_window, without_gradients

# The degrees with which warm-up begins. On the funnel and four eight schools, 0 and 1 took about as
# many gradients. On a series whose steps are well known, such as a local linear trend, 0 took four
# times as many as 1, because the standardized steps are added up; on one whose steps are not, both
# took as many.
FIRST_DEGREE, FIRST_DEGREE_IN_STEPS = 0.0, 1.0
# Draws of all chains below which the entries of a site of steps share a degree. J of 40 draws is
# mostly noise, and steps of random degrees are hard to sample: chosen for each entry from the first
# window on, warm-up on a random walk of 1000 well-known steps took 3 to 6 times the gradients.
FEW_DRAWS = 150


def begin_centering(family: Family) -> Centering | None:
    """Return the centering that warm-up begins with, if there are sites to learn it for."""
    pieces = find_pieces(family.member(0))
    if not pieces:
        return None
    first = [FIRST_DEGREE_IN_STEPS if piece.in_steps else FIRST_DEGREE for piece in pieces]
    degrees = np.repeat(first, [piece.size for piece in pieces]).astype(jnp.result_type(float))
    return Centering(pieces, degrees if family.count == 1 else np.tile(degrees, (family.count, 1)))


def end_window_of(
    engine: Engine, family: Family, warmup: Warmup, window: Draws, scouted: Draws | None = None
) -> Warmup:
    """End a window of warm-up, and choose how far sites are centered if others follow.

    The last window before sampling learns the step size, so the coordinates stay. So they do in the
    first if they come with a tuning that has settled.

    Args:
        engine: The engine.
        family: The log densities, in their own coordinates.
        warmup: Warm-up during the window.
        window: The draws of all chains in the window, in the coordinates of the chains.
        scouted: The draws of all scouts in it, if they took part.
    """
    old = warmup.centering
    if old is None:
        return end_window(engine, warmup, window, scouted)
    if engine.result == "approximation":
        from .recentered_fits import end_fit_window

        return end_fit_window(family, warmup, end_window(engine, warmup, window))
    whole = window if scouted is None else interleave(window, scouted, family.count)
    is_learned = warmup.windows[1:] and not _is_known(warmup)
    new = choose_centering(family, old, whole) if is_learned else old
    if not np.array_equal(new.degrees, old.degrees):
        made = [window] if scouted is None else [window, scouted]
        there = replace(warmup, centering=new)
        warmup, (window, *others) = _carry_over(engine, family, there, old, made)
        scouted = others[0] if others else None
    ended = end_window(engine, warmup, window, scouted)
    return _keep_for_results(family, warmup, ended, window)


def _is_known(warmup: Warmup) -> bool:
    """Return whether the first window is made with the settled tuning of a fit or another run."""
    tuning = getattr(warmup.tuning, "shared", warmup.tuning)
    return warmup.window == 1 and bool(np.all(getattr(tuning, "settled", False)))


def choose_centering(family: Family, old: Centering, draws: Draws) -> Centering:
    """Choose the degrees of each member from the draws of its chains."""
    new = old.degrees.copy()
    scalars = mark_scalars(old.pieces)
    if scalars.any():
        new[..., scalars] = _choose_scalars_of_all(family, old, draws)
    for piece in old.pieces:
        if piece.is_vector:
            new[..., find_entries(old.pieces, piece)] = _choose_ends(family, old, piece, draws)
    return old._replace(degrees=new)


def _choose_scalars_of_all(family: Family, old: Centering, draws: Draws) -> np.ndarray:
    """Do as `_choose_scalars`, for some members at a time."""
    if family.count == 1:
        return _choose_scalars(family, old, draws)
    chains = len(draws.positions) // family.count

    def choose_some(few: slice) -> np.ndarray:
        own = slice(few.start * chains, few.stop * chains)
        here = draws._replace(positions=draws.positions[own], gradients=draws.gradients[own])
        return _choose_scalars(family.some(few), old.some(few), here)

    return work_in_turn(choose_some, family.count, draws.positions[:chains].size)


def _choose_scalars(family: Family, old: Centering, draws: Draws) -> np.ndarray:
    """Choose the degrees of all entries that belong to no vector."""
    scalars, count = mark_scalars(old.pieces), family.count
    where = old.entries[scalars]
    found = move_all(family, old, old, draws.positions, draws.gradients)
    y, scores = draws.positions[..., where], draws.gradients[..., where]
    arrays = (y, scores, found.location, found.log_scale)
    rows = [a.astype(np.float64).reshape(count, -1, len(where)) for a in arrays]
    degrees = old.degrees.reshape(count, -1)[:, scalars]
    alike = _find_steps(old.pieces) if rows[0].shape[1] < FEW_DRAWS else []
    chosen = choose_degrees(*rows, degrees=degrees, alike=alike)
    return chosen.reshape(*old.degrees.shape[:-1], -1)


def _find_steps(pieces: Sequence[Piece]) -> list[slice]:
    """Find each site of steps among the entries that belong to no vector."""
    own = [piece for piece in pieces if not piece.is_vector]
    return [find_entries(own, piece) for piece in own if piece.in_steps]


def _choose_ends(family: Family, old: Centering, piece: Piece, draws: Draws) -> np.ndarray:
    """Choose for the vectors of one site whether they are whitened."""
    count, here = family.count, slice(piece.begin, piece.begin + piece.size)
    ends = [_move_to_end(family, old, piece, draws, end) for end in (0.0, 1.0)]
    # Coordinates and scores, each of shape (members, 2, rows, *batch, n).
    y, scores = (
        np.stack([a[..., here].reshape(count, -1, *piece.shape) for a in own], 1, dtype=np.float64)
        for own in zip(*ends, strict=True)
    )
    degrees = [split_entries(old.pieces, old.of(i))[piece.name] for i in range(count)]
    chosen = [choose_ends(*own).ravel() for own in zip(y, scores, degrees, strict=True)]
    return chosen[0] if count == 1 else np.stack(chosen)


def _move_to_end(
    family: Family, old: Centering, piece: Piece, draws: Draws, end: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return draws and their scores with one site moved to a degree."""
    degrees = old.degrees.copy()
    degrees[..., find_entries(old.pieces, piece)] = end
    if np.array_equal(degrees, old.degrees):
        return draws.positions, draws.gradients
    new = old._replace(degrees=degrees)
    found = move_all(family, old, new, draws.positions, draws.gradients)
    return found.position, found.gradient


def _carry_over(
    engine: Engine, family: Family, warmup: Warmup, old: Centering, made: Sequence[Draws]
) -> tuple[Warmup, list[Draws]]:
    """Carry what warm-up knows, and the draws just made, over to its new coordinates.

    Args:
        engine: The engine.
        family: The log densities, in their own coordinates.
        warmup: Warm-up with the new coordinates.
        old: The coordinates of all that it knows, and of the draws.
        made: The draws of the chains in the window, and of the scouts if they took part.
    """
    new, spare, count = warmup.centering, warmup.spare, len(made)
    assert new is not None
    starts = [] if spare is None or count > 1 else [_as_draws(spare)]
    moved = move_draws(family, old, new, *made, *warmup.recent, *starts)
    recent = tuple(moved[count : len(moved) - len(starts)])
    if spare is not None:
        # Scouts that took part are at their last draws.
        spare = _last_points(moved[-1] if starts else moved[1])
    carried = replace(
        warmup,
        groups=_restate(engine, warmup.groups, _last_points(moved[0])),
        scouts=warmup.scouts if spare is None else _restate(engine, warmup.scouts, spare),
        recent=recent,
        spare=spare,
        scouted=None,
    )
    return carried, moved[:count]


def _as_draws(points: Points) -> Draws:
    lp = {"lp": points.log_densities[:, None]}
    return Draws(points.positions[:, None], points.gradients[:, None], lp)


def _last_points(draws: Draws) -> Points:
    """Return where the chains are: at their last draws."""
    positions, gradients = draws.positions[:, -1], draws.gradients[:, -1]
    return Points(positions, draws.stats["lp"][:, -1], gradients, np.zeros_like(gradients))


def _restate(engine: Engine, groups: Sequence[Group], points: Points) -> tuple[Group, ...]:
    """Make new states of chains at the points where they are."""
    states = make_states(engine, points)
    return tuple(
        replace(
            group, state=jax.tree.map(lambda a, g=group: a[g.chains.start : g.chains.stop], states)
        )
        for group in groups
    )


def _keep_for_results(family: Family, before: Warmup, ended: Warmup, window: Draws) -> Warmup:
    """Move what warm-up keeps for results to the coordinates of the density."""
    centering, kept = before.centering, ended.kept
    assert centering is not None
    if before.kept is not None:
        own = move_to_density(family, centering, window)
        kept = (*before.kept, without_gradients(own))
    fresh = ended.moves[len(before.moves) :]
    moves = [_in_density(family, centering, own, ended.chains) for own in fresh]
    return replace(ended, kept=kept, moves=(*before.moves, *moves))


def _in_density(family: Family, centering: Centering, made: Move, chains: int) -> Move:
    """Move the ends of a relocation to the coordinates of the density."""
    index = made.chain // (chains // family.count)
    ends = np.stack([made.left, made.reached])[:, None]
    own = centering._replace(degrees=centering.of(index))
    found = move_all(family.only(index), own, densities_own(own), ends, np.zeros_like(ends))
    return made._replace(left=found.position[0, 0], reached=found.position[1, 0])
