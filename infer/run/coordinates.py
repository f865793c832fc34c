"""Move points and draws between the coordinates of the chains and those of the log densities."""

from collections.abc import Callable, Sequence
from typing import Literal

import jax
import numpy as np
from jaxtyping import Array

from ..density.family import Family
from ..density.points import Points
from ..density.proposals import Place
from ..density.recentered import Centering, Recentered, mark_scalars, recenter
from ..density.transport import Moved, move, move_position
from ..engines.base import Draws
from ..programs.native import call_compiled, prepare
from ..programs.parts import (
    FEWEST,
    MANY,
    Members,
    call_each,
    choose_part,
    count_parts,
    prepare_call,
    work_in_turn,
)
from ..programs.slices import call_in_slices, choose_form, choose_rows


def densities_own(centering: Centering) -> Centering:
    """Return the centering of the log densities' own coordinates."""
    return centering._replace(degrees=np.ones_like(centering.degrees))


def enter_coordinates(family: Family, centering: Centering | None, points: Points) -> Points:
    """Move evaluated points from the coordinates of the log densities to those of the chains."""
    if centering is None or (centering.degrees == 1).all():
        return points
    return move_points(family, densities_own(centering), centering, points)


def place_whitened(family: Family, centering: Centering | None) -> Place | None:
    """Return a function that takes uniform starts of multivariate normals as whitened.

    Uniform values of a prior that is nearly singular are far from the posterior, and among values
    the density prefers small scales. So starts are compared by their whitened density. Those whose
    factor is not finite stay. Without such sites the result is None.
    """
    if centering is None or mark_scalars(centering.pieces).all():
        return None
    own = densities_own(centering)
    whitened = own._replace(degrees=own.degrees * mark_scalars(centering.pieces))

    def place(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        by_lane = np.swapaxes(positions, 0, 1)
        moved = move_all(family, whitened, own, by_lane)
        usable = np.isfinite(moved.position).all(-1)
        found = np.where(usable[..., None], moved.position, by_lane)
        return np.swapaxes(found, 0, 1), np.where(usable, -moved.log_det, 0).T

    return place


def move_points(family: Family, old: Centering, new: Centering, points: Points) -> Points:
    """Move evaluated points, one for each chain of all members, to other coordinates."""
    found = move_all(family, old, new, points.positions[:, None], points.gradients[:, None])
    levels = points.log_densities + found.log_det[:, 0].astype(points.log_densities.dtype)
    return Points(found.position[:, 0], levels, found.gradient[:, 0], points.unvalued_gradients)


def move_to_density(family: Family, centering: Centering | None, draws: Draws) -> Draws:
    """Move draws from the coordinates of the chains to those of the log densities."""
    if centering is None:
        return draws
    return move_draws(family, centering, densities_own(centering), draws)[0]


def move_draws(family: Family, old: Centering, new: Centering, *each: Draws) -> list[Draws]:
    """Move draws of the chains of all members to other coordinates, all of them at once.

    Args:
        family: The log densities, in their own coordinates.
        old: The coordinates of the draws.
        new: Those to move them to.
        each: Draws of as many chains, all with gradients or all without.
    """
    joined = each[0] if len(each) == 1 else _join(each)
    has_gradients = joined.gradients.shape == joined.positions.shape
    gradients = joined.gradients if has_gradients else None
    found = move_all(family, old, new, joined.positions, gradients)
    gradients = found.gradient if has_gradients else joined.gradients
    lp = joined.stats["lp"] + found.log_det.astype(joined.stats["lp"].dtype)
    ends = np.cumsum([own.positions.shape[1] for own in each])[:-1]
    parts = zip(each, *(np.split(a, ends, 1) for a in (found.position, gradients, lp)), strict=True)
    return [Draws(q, gradient, own.stats | {"lp": lp}) for own, q, gradient, lp in parts]


def _join(each: Sequence[Draws]) -> Draws:
    """Join draws one after the other, with `lp` as the only statistic."""
    positions, gradients = (
        np.concatenate(own, 1)
        for own in zip(*((d.positions, d.gradients) for d in each), strict=True)
    )
    return Draws(positions, gradients, {"lp": np.concatenate([d.stats["lp"] for d in each], 1)})


def move_positions(
    family: Family, centering: Centering | None, positions: np.ndarray, *, into: bool
) -> np.ndarray:
    """Move positions, shape (n, size), into the coordinates of the chains, or out of them."""
    if centering is None:
        return positions
    own, rows = densities_own(centering), positions[None]
    old, new = (own, centering) if into else (centering, own)
    return move_all(family, old, new, rows).position[0]


def move_all(
    family: Family, old: Centering, new: Centering, positions: np.ndarray,
    gradients: np.ndarray | None = None,
) -> Moved:  # fmt: skip
    """Move points of shape (chains, draws, size) of all members to other coordinates.

    Args:
        family: The log densities, in their own coordinates.
        old: The coordinates of the points.
        new: Those to move them to.
        positions: The points.
        gradients: Gradients of the log density there; without them, the result may have none.
    """
    count, recentered, size = family.count, recenter(family, old), positions.shape[-1]
    chains, draws = len(positions) // count, positions.shape[1]
    # The last bit may depend on the place in a slice; in the order of time, that place does not
    # depend on how many draws follow.
    given = (positions,) if gradients is None else (positions, gradients)
    by_draw = [a.reshape(count, chains, draws, size).swapaxes(1, 2) for a in given]
    each = (draws * chains, size)
    call = _call_one(recentered, new) if count == 1 else _call_each(recentered, new, *each)

    def move_some(few: slice) -> Moved:
        rows = tuple(a[few].reshape(-1, *each) for a in by_draw)
        # In full, since NumPy cannot infer a length of an array without entries.
        shape = (few.stop - few.start, draws, chains)
        apart = lambda a: a.reshape(*shape, *a.shape[2:]).swapaxes(1, 2)  # noqa: E731
        return jax.tree.map(apart, call(few, rows))

    found = work_in_turn(move_some, count, draws * chains * size)
    return jax.tree.map(lambda a: a.reshape(count * chains, draws, *a.shape[3:]), found)


# How many times fewer points make up a slice than where every call has many.
SMALLER = 16
Call = Callable[[slice, tuple[np.ndarray, ...]], Moved]


def _call_one(family: Family, new: Centering) -> Call:
    density = family.member(0)
    form = _choose_form(new, density.size)
    call = lambda own: call_compiled(_move, density, new.degrees, *own, form=form)  # noqa: E731

    def call_positions(own: tuple[np.ndarray, ...]) -> Moved:
        # One program serves draws with and without gradients.
        found = call((*own, np.zeros_like(own[0])))
        return Moved(found.position, None, found.log_det, None, None)

    def call_all(_: slice, rows: tuple[np.ndarray, ...]) -> Moved:
        flat, size = tuple(a[0] for a in rows), _choose_rows(new, density.size)
        found = call_in_slices(call if len(rows) > 1 else call_positions, flat, size)
        return jax.tree.map(lambda a: a[None], found)

    return call_all


def _call_each(family: Family, new: Centering, needed: int, size: int) -> Call:
    each = choose_part(size, needed if family.count >= MANY else None)
    members = Members.of((family.shared, None), (family.own, new.degrees))

    def call_some(few: slice, rows: tuple[np.ndarray, ...]) -> Moved:
        function = _move_rows if len(rows) > 1 else _move_positions
        parts = count_parts(size, each)
        return call_each(function, members.some(few), each, parts, rows, "fast_compile")

    return call_some


def prepare_moves(family: Family, centering: Centering | None) -> None:
    """Begin to compile the program that moves points, if there are sites to move."""
    if centering is None:
        return
    moved, size, dtype = recenter(family, centering), family.shared.size, centering.degrees.dtype
    if family.count == 1:
        blank = np.zeros((_choose_rows(centering, size), size), dtype)
        given = (moved.shared, centering.degrees, blank, blank)
        prepare(_move, (), given, _choose_form(centering, size))
        return
    members = Members.of((moved.shared, None), (moved.own, centering.degrees))
    row, whole = np.zeros(size, dtype), choose_part(size)
    short = [(_move_rows, choose_part(size, 1), (row, row))] if family.count >= MANY else []
    for function, each, rows in (
        *short, (_move_rows, whole, (row, row)), (_move_positions, whole, (row,))
    ):  # fmt: skip
        prepare_call(function, members, each, count_parts(size, each), rows, "fast_compile")


def _choose_rows(centering: Centering, size: int) -> int:
    """Return how many points make up a slice: few, because most calls move few.

    A call moves the draws of a window, or one for each chain, and a slice is filled up. Slices of
    128 points of 90 numbers took 0.2 ms, and those of 1024 points 2 ms, because their arrays are
    memory that the process gets for each call.
    """
    rows = choose_rows(SMALLER * size)
    return rows if _has_steps(centering) else min(choose_rows(size), max(rows, FEWEST))


def _choose_form(centering: Centering, size: int) -> Literal["kernels", "fast_compile"]:
    """Return the form of the program that moves slices.

    With steps, XLA compiles it six times as fast if `is_cheap` says that it does little work, for
    which it has few points.
    """
    return "fast_compile" if _has_steps(centering) else choose_form(size)


def _has_steps(centering: Centering) -> bool:
    return any(piece.in_steps for piece in centering.pieces)


def _move(density: Recentered, degrees: Array, positions: Array, gradients: Array) -> Moved:
    return jax.vmap(lambda q, g: move(density, degrees, q, g))(positions, gradients)


def _move_rows(member: tuple[Recentered, Array], positions: Array, gradients: Array) -> Moved:
    return _move(*member, positions, gradients)


def _move_positions(member: tuple[Recentered, Array], positions: Array) -> Moved:
    return jax.vmap(lambda q: move_position(*member, q))(positions)
