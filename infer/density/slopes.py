"""Compare the gradient of a log density with finite differences, along directions within sites."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ..errors import warn_of_model
from ..models.inputs.names import join_names
from ..types import ProgramSignature, signature_of
from .base import LogDensity
from .disagreement import Recorded, find_disagreement
from .family import Family
from .points import CANDIDATES, Evaluate, Points
from .slices import find_slices

# Steps of the central differences; the best fit counts.
STEPS = (1e-1, 1e-2, 1e-3)
# Relative error of a slope that is attributed to the finite step.
SLOPE_ERROR = 0.05
# Maximum number of directions checked before a run; if there are more sites, some share one.
MAX_DIRECTIONS = 6
# A kink may lie at one start; a wrong gradient is wrong at most starts.
MIN_SHARE_WRONG = 0.75
MAX_REMEMBERED = 64

MEND = (
    "Look in its terms for stop_gradient, rounding, step functions, or a wrong custom derivative."
)
_NEXT = (
    "If its prior is known by its score alone, write it as infer.ScorePrior. Otherwise look in its "
    "terms for stop_gradient, rounding, step functions, or a wrong custom derivative; "
    "infer.check(model) repeats this check."
)


class WrongSlope(NamedTuple):
    """A direction along which the gradient is wrong.

    Attributes:
        sites: Names of the sites that the direction moves.
        by_gradient: The slope by the gradient.
        by_step: The slope by finite differences of the log density.
    """

    sites: tuple[str, ...]
    by_gradient: float
    by_step: float


_known: OrderedDict[ProgramSignature, list[WrongSlope]] = OrderedDict()


def warn_of_wrong_gradients(family: Family, starts: Points, evaluate: Evaluate) -> None:
    """Compare gradients at the starts with differences, once for each program.

    A program that is already compiled evaluates up to 12 points near each start, and as many again
    if a slope seems wrong. Kinks, rounding and functions that oscillate within a step give no
    alarm: the differences for two step lengths must agree with each other and disagree with the
    gradient, at three of four starts.

    Args:
        family: The log densities.
        starts: One for each lane, in the order of the family's members.
        evaluate: Evaluates points of shape (rows, lanes, size).

    Warns:
        ModelWarning: The gradient along a site is not that of the log density.
    """
    program = signature_of((family.shared, family.own))
    if program not in _known:
        wrong = _find_wrong_slopes(family.member(0), starts, evaluate)
        _known[program] = [] if wrong and _is_miscompiled(family, starts) else wrong
    _known.move_to_end(program)
    if len(_known) > MAX_REMEMBERED:
        _known.popitem(last=False)
    for wrong in _known[program]:
        warn_of_model(
            join_names(wrong.sites),
            f"its slope is {wrong.by_gradient:.4g} by the gradient of the log density, but "
            f"{wrong.by_step:.4g} by finite differences",
            _NEXT,
        )


def _is_miscompiled(family: Family, starts: Points) -> bool:
    """Return whether the program is wrong and not the model; the run then says so itself."""
    if family.member(0).minibatches:
        return False
    recorded = Recorded(starts.positions, starts.log_densities, starts.gradients)
    return bool(find_disagreement(family, recorded))


def draw_directions(density: LogDensity, seed: int) -> np.ndarray:
    """Draw a direction of length one within each site."""
    rng, rows, size = np.random.default_rng(seed), [], density.size
    for own in find_slices(density.latent).values():
        row = np.zeros(size)
        row[own] = rng.normal(size=own.stop - own.start)
        rows.append(row / max(np.linalg.norm(row), 1e-300))
    return np.stack(rows)


def slope_tolerance(
    by_gradient: np.ndarray, size: np.ndarray, steps: Sequence[float]
) -> np.ndarray:
    """Return the error that steps and rounding may add to a slope, with a last axis of steps.

    Args:
        by_gradient: Slopes, of any shape.
        size: Log densities whose differences are taken, of a shape that broadcasts with the slopes.
        steps: Steps of the central differences.
    """
    rounding = 10 * np.finfo(by_gradient.dtype).eps * np.maximum(1.0, np.abs(size))
    return SLOPE_ERROR * np.abs(by_gradient)[..., None] + rounding[..., None] / np.array(steps)


def _find_wrong_slopes(density: LogDensity, starts: Points, evaluate: Evaluate) -> list[WrongSlope]:
    each = draw_directions(density, 0)
    moving = [i for i, row in enumerate(each) if row.any()]
    groups = np.array_split(moving, min(MAX_DIRECTIONS, len(moving))) if moving else []
    suspects = [pair for pair in _compare_slopes(groups, each, starts, evaluate) if pair[1]]
    wrong = []
    for group, slopes in suspects:
        single = [np.array([i]) for i in group] if len(group) > 1 else []
        alone = [pair for pair in _compare_slopes(single, each, starts, evaluate) if pair[1]]
        wrong += alone or [(group, slopes)]
    names = [site.name for site in density.latent]
    return [WrongSlope(tuple(names[i] for i in group), *slopes) for group, slopes in wrong]


def _compare_slopes(
    groups: Sequence[np.ndarray], each: np.ndarray, starts: Points, evaluate: Evaluate
) -> list[tuple[np.ndarray, tuple[float, float] | None]]:
    """Compare slopes along one direction per group of sites; return both if they disagree."""
    if not groups:
        return []
    rows = np.stack([each[group].sum(0) / np.sqrt(len(group)) for group in groups])
    rows = rows.astype(starts.positions.dtype)
    steps = STEPS[:2] if rows.dtype == np.float32 else STEPS[1:]
    measure = partial(_central_differences, rows, starts.positions, evaluate)
    valued = starts.gradients - starts.unvalued_gradients
    by_gradient = rows @ valued.T
    size = np.abs(starts.log_densities) + np.zeros_like(by_gradient)
    by_steps = measure(steps[-1:])
    allowed = slope_tolerance(by_gradient, size, steps[-1:])
    if not _are_enough(_are_apart(by_steps, by_gradient, allowed)).any():
        return [(group, None) for group in groups]
    by_steps = np.concatenate([measure(steps[:-1]), by_steps], -1)
    return [
        (
            group,
            _find_disagreement(
                g, s, slope_tolerance(g, v, steps), slope_tolerance(s[:, -1], v, steps[-1:])
            ),
        )
        for group, g, s, v in zip(groups, by_gradient, by_steps, size, strict=True)
    ]


def _central_differences(
    rows: np.ndarray, positions: np.ndarray, evaluate: Evaluate, steps: Sequence[float]
) -> np.ndarray:
    """Return central differences of shape (directions, lanes, steps)."""
    signed = np.array([sign * step for step in steps for sign in (1, -1)], rows.dtype)
    moves = (signed[:, None] * rows[:, None]).reshape(-1, 1, rows.shape[-1])
    # A few at a time, to save memory.
    some = (moves[i : i + CANDIDATES] for i in range(0, len(moves), CANDIDATES))
    ends = np.concatenate([evaluate(positions + own).log_densities for own in some])
    up, down = np.moveaxis(ends.reshape(len(rows), len(steps), 2, -1), 2, 0)
    # Both may be infinite; differences that are not finite are ignored.
    with np.errstate(invalid="ignore"):
        return np.moveaxis(up - down, 1, -1) / (2 * np.array(steps, rows.dtype))


def _find_disagreement(
    by_gradient: np.ndarray, by_steps: np.ndarray, allowed: np.ndarray, apart: np.ndarray
) -> tuple[float, float] | None:
    """Return both slopes at the first lane that disagrees, if enough lanes do."""
    finite = np.isfinite(by_steps).all(-1)
    with np.errstate(invalid="ignore"):
        steady = np.abs(by_steps[:, 0] - by_steps[:, 1]) <= apart[:, 0]
    wrong = finite & steady & _are_apart(by_steps, by_gradient, allowed)
    if not _are_enough(wrong):
        return None
    lane = int(np.argmax(wrong))
    return float(by_gradient[lane]), float(by_steps[lane, -1])


def _are_apart(by_steps: np.ndarray, by_gradient: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return whether slopes by all steps, along the last axis, disagree with those by gradients."""
    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(by_steps - by_gradient[..., None]) > allowed).all(-1))


def _are_enough(wrong: np.ndarray) -> np.ndarray:
    """Return whether the starts at which a slope is wrong, along the last axis, are not too few."""
    return np.asarray(wrong.sum(-1) >= max(1, MIN_SHARE_WRONG * wrong.shape[-1]))
