"""Propose points at which chains may start: uniform ones, or draws from the prior."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..numerics import threefry
from ..numerics.keys import wrap_key
from ..programs.native import call_compiled
from .base import LogDensity
from .family import Family
from .points import Points, evaluate_attempts, map_lanes, members_of_lanes

# Stan's default: uniform on (-2, 2) in the unconstrained space.
RADIUS = 2.0
# Largest product of words of keys and coordinates that is drawn at once.
SMALL = 2**16
# Moves proposals of shape (attempts, lanes, size) before they are tried; also returns what is added
# to the log density of each to compare them.
Place = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def propose(
    family: Family, key: np.ndarray, attempts: range, lanes: int, how: str, place: Place | None
) -> tuple[Points, np.ndarray | float]:
    """Propose and evaluate a point for every attempt and lane: shape (attempts, lanes, ...).

    The last result is what `place` says is added to compare them.
    """
    each = np.atleast_2d(key)[:, None]
    of_lanes = threefry.fold_in(each, np.arange(lanes // len(each))).reshape(lanes, 2)
    keys = threefry.fold_in(of_lanes, np.array(attempts)[:, None])
    offset = 0.0
    # The bits must not depend on the user's own setting.
    with jax.threefry_partitionable(True):
        if how == "prior":
            own = family.rows(members_of_lanes(family, lanes))
            positions = np.asarray(call_compiled(_draw_priors, family.shared, own, keys))
        else:
            positions = draw_uniform(keys, family.shared.size)
            positions, offset = (positions, 0.0) if place is None else place(positions)
        return evaluate_attempts(family, key, positions), offset


def draw_uniform(keys: np.ndarray, size: int) -> np.ndarray:
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

    return jax.lax.map(lambda keys: map_lanes(one, own, keys), keys)
