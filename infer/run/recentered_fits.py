"""Learn how far sites are centered while a normal distribution is fitted to the log density.

Draws of the distribution choose the degrees, with importance weights, as those of chains do in the
warm-up of a sampler. The distribution moves to the new coordinates by a map that is linear around
its mean, and its covariance is matched to the scores again.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..density.family import Family, singleton
from ..density.points import make_lane_evaluator
from ..density.recentered import Centering, Recentered, recenter
from ..numerics.centering import choose_degrees, temper_ratios
from ..programs.native import call_compiled, prepare
from .packed import pack
from .warmup import Warmup

# Draws that choose the degrees, and the share of them that importance weights keep effective. The
# draws of a fit that is not near its end make J too large where its tails are too wide.
DRAWS, EFFECTIVE = 256, 0.25
# Windows after which they choose; so does the one after which the covariance is matched.
WINDOWS = (2, 5)
# A smaller change of every degree is noise.
SMALLEST_CHANGE = 0.25
# The window after which coordinates stay, so that noise cannot keep a fit from its end.
LAST_WINDOW = 12


class _Spreads(NamedTuple):
    """What draws of a distribution and its mean tell of the priors of the sites.

    Attributes:
        location: Location of the prior of each entry there, shape (draws, entries).
        log_scale: Log scale, likewise.
        center: Location and log scale at the mean, each of shape (entries,).
        slopes: Their derivatives along each column of the factor, each of shape (size, entries).
    """

    location: Any
    log_scale: Any
    center: tuple[Any, Any]
    slopes: tuple[Any, Any]


def prepare_survey(density: Recentered) -> None:
    """Begin to compile what the end of a window calls."""
    size, dtype = density.size, np.asarray(density.degrees).dtype
    blanks = (np.zeros(shape, dtype) for shape in ((size,), (size, size), (DRAWS, size)))
    prepare(_read_spreads, (), (density, *blanks), "fast_compile")


def end_fit_window(family: Family, before: Warmup, ended: Warmup) -> Warmup:
    """Change the coordinates of fits whose covariance is being matched, or has just been.

    Args:
        family: The log densities, in their own coordinates.
        before: Warm-up during the window.
        ended: Warm-up after it.
    """
    centering = before.centering
    assert centering is not None
    had, has = (np.atleast_1d(own.tuning.is_matching) for own in (before, ended))
    chosen = had if before.window in WINDOWS else had & ~has
    if not chosen.any() or before.window > LAST_WINDOW:
        return ended
    recentered, groups, again = recenter(family, centering), [], np.zeros_like(chosen)
    degrees = np.array(centering.degrees).reshape(family.count, -1)
    for group in ended.groups:
        state: Any = jax.tree.map(np.array, group.state).unpack()
        for row, member in enumerate(group.chains):
            if chosen[member]:
                own: Any = recentered.member(member)
                new = _change(own, centering, degrees[member], state, row)
                again[member] = not np.array_equal(new, degrees[member])
                degrees[member] = new
        groups.append(replace(group, state=pack(state, 1)))
    shape = np.shape(ended.tuning.is_matching)
    spent = np.atleast_1d(ended.tuning.spent) + np.where(chosen, DRAWS, 0).astype(np.int32)
    # In other coordinates the normal distribution is another one, so that its ELBO may fall.
    elbos = np.where(again.reshape(*shape, 1), np.nan, ended.tuning.elbos)
    is_matching, spent = (has | again).reshape(shape), spent.reshape(shape)
    tuning = replace(ended.tuning, is_matching=is_matching, spent=spent, elbos=elbos)
    new = centering._replace(degrees=degrees.reshape(centering.degrees.shape))
    return replace(ended, groups=tuple(groups), tuning=tuning, centering=new, recent=())


def _change(
    density: Recentered, centering: Centering, old: np.ndarray, state: Any, row: int
) -> np.ndarray:
    """Choose new degrees, and move the distribution in one row of stacked states there."""
    q, where = state.distribution, centering.entries
    mean, factor = q.mean[row], q.factor[row]
    noise = np.random.default_rng(0).normal(size=(DRAWS, len(mean))).astype(mean.dtype)
    draws = mean + noise @ factor.T
    found = call_compiled(_read_spreads, density, mean, factor, draws, form="fast_compile")
    found = jax.tree.map(lambda a: np.asarray(a, np.float64), found)
    # By the program of the searches.
    evaluate = make_lane_evaluator(singleton(density), draws[:1])
    each = [evaluate(draw[None]) for draw in draws]
    values = np.concatenate([here.log_densities for here in each]).astype(np.float64)
    scores = np.concatenate([here.gradients[:, where] for here in each]).astype(np.float64)
    weights = temper_ratios(values + 0.5 * (noise**2).sum(1), EFFECTIVE)
    rows = draws[:, where].astype(np.float64), scores
    new = choose_degrees(*rows, found.location, found.log_scale, old, weights)
    if np.abs(new - old).max() < SMALLEST_CHANGE:
        return old
    mean[where], factor[where] = _transport(mean[where], factor[where], old, new, found)
    for leaf in jax.tree.leaves(state.optimizer):
        leaf[row] = 0
    return new


def _transport(
    mean: np.ndarray, factor: np.ndarray, old: np.ndarray, new: np.ndarray, found: _Spreads
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and rows of the factor in coordinates of other degrees, to first order.

    The map is y -> s^(new - old) (y - old m) + new m, with location m and scale s.
    """
    (location, log_scale), (by_location, by_log_scale) = found.center, found.slopes
    growth = np.exp((new - old) * log_scale)
    spread = growth * (mean - old * location)
    turned = spread * (new - old) * by_log_scale + (new - growth * old) * by_location
    return spread + new * location, growth[:, None] * factor + turned.T


def _read_spreads(density: Recentered, mean: Array, factor: Array, draws: Array) -> _Spreads:
    def read(position: Array) -> tuple[Array, Array]:
        each = density.read_spreads(position)[2]
        flat = [[jnp.ravel(a) for a in own] for own in zip(*each, strict=True)]
        return jnp.concatenate(flat[0]), jnp.concatenate(flat[1])

    location, log_scale = jax.vmap(read)(draws)
    center, along = jax.linearize(read, mean)
    return _Spreads(location, log_scale, center, jax.vmap(along)(factor.T))
