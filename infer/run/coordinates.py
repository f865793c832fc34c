"""Move points and draws between the coordinates of the chains and those of the log densities."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from ..density.family import Family
from ..density.points import Points
from ..density.recentered import Centering, Moved, Recentered, move, recenter
from ..engines.base import Draws
from ..programs.native import call_compiled, prepare
from ..programs.slices import call_in_slices, choose_rows


def densities_own(centering: Centering) -> Centering:
    """Return the centering of the log densities' own coordinates."""
    return centering._replace(degrees=np.ones_like(centering.degrees))


def enter_coordinates(family: Family, centering: Centering | None, points: Points) -> Points:
    """Move evaluated points from the coordinates of the log densities to those of the chains."""
    if centering is None:
        return points
    return move_points(family, densities_own(centering), centering, points)


def move_points(family: Family, old: Centering, new: Centering, points: Points) -> Points:
    """Move evaluated points, one for each chain of all members, to other coordinates."""
    found = move_all(family, old, new, points.positions[:, None], points.gradients[:, None])
    levels = points.log_densities + found.log_det[:, 0].astype(points.log_densities.dtype)
    return Points(found.position[:, 0], levels, found.gradient[:, 0], points.unvalued_gradients)


def move_to_density(family: Family, centering: Centering | None, draws: Draws) -> Draws:
    """Move draws from the coordinates of the chains to those of the log densities."""
    if centering is None:
        return draws
    return move_draws(family, centering, densities_own(centering), draws)


def move_draws(family: Family, old: Centering, new: Centering, draws: Draws) -> Draws:
    """Move the draws of all chains of all members to other coordinates."""
    has_gradients = draws.gradients.shape == draws.positions.shape
    gradients = draws.gradients if has_gradients else np.zeros_like(draws.positions)
    found = move_all(family, old, new, draws.positions, gradients)
    lp = draws.stats["lp"] + found.log_det.astype(draws.stats["lp"].dtype)
    gradients = found.gradient if has_gradients else draws.gradients
    return Draws(found.position, gradients, draws.stats | {"lp": lp})


def move_positions(
    family: Family, centering: Centering | None, positions: np.ndarray, *, into: bool
) -> np.ndarray:
    """Move positions, shape (n, size), into the coordinates of the chains, or out of them."""
    if centering is None:
        return positions
    own, rows = densities_own(centering), positions[None]
    old, new = (own, centering) if into else (centering, own)
    return move_all(family, old, new, rows, np.zeros_like(rows)).position[0]


def move_all(
    family: Family, old: Centering, new: Centering, positions: np.ndarray, gradients: np.ndarray
) -> Moved:
    """Move points of shape (chains, draws, size) of all members to other coordinates."""
    count, recentered = family.count, recenter(family, old)
    parts = zip(np.split(positions, count), np.split(gradients, count), strict=True)
    found = [_move_rows(recentered.member(i), new.of(i), *part) for i, part in enumerate(parts)]
    return jax.tree.map(lambda *own: np.concatenate(own), *found)


def _move_rows(density: Any, degrees: np.ndarray, *points: np.ndarray) -> Moved:
    # The last bit may depend on the place in a slice; in the order of time, that place does not
    # depend on how many draws follow.
    by_draw = [np.swapaxes(a, 0, 1) for a in points]
    lead = by_draw[0].shape[:2]
    flat = tuple(a.reshape(-1, a.shape[-1]) for a in by_draw)
    call = lambda own: call_compiled(_move, density, degrees, *own, form="fast_compile")  # noqa: E731
    found = call_in_slices(call, flat, choose_rows(density.size))
    return jax.tree.map(lambda a: np.swapaxes(a.reshape(*lead, *a.shape[1:]), 0, 1), found)


def prepare_moves(family: Family, centering: Centering | None) -> None:
    """Begin to compile the program that moves points, if there are sites to move."""
    if centering is None:
        return
    density = recenter(family, centering).member(0)
    blank = np.zeros((choose_rows(density.size), density.size), centering.degrees.dtype)
    prepare(_move, (), (density, centering.of(0), blank, blank), "fast_compile")


def _move(density: Recentered, degrees: Array, positions: Array, gradients: Array) -> Moved:
    return jax.vmap(lambda q, g: move(density, degrees, q, g))(positions, gradients)
