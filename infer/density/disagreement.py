"""Compare what a native program computed with NumPy, and if in doubt with XLA's ordinary form."""

import logging
from typing import NamedTuple

import jax
import numpy as np

from ..programs.by_numpy import MOST_EQUATIONS, NoRuleError, count_equations, evaluate_by_numpy
from .family import Family
from .points import Points, evaluate_lanes, evaluate_natively, trace_attempts

# Number of equations after which no further lane is evaluated; each takes some microseconds.
ENOUGH_EQUATIONS = 20_000
_log = logging.getLogger("infer")
# Relative errors beyond rounding, by the size of a number in bytes.
TOLERANCE = {8: 1e-6, 4: 1e-2}
# Errors beyond this many times the rounding error that is seen at neighboring positions.
TIMES_ROUNDING = 10
NEIGHBORS = 4
# Maximum number of members that are compared: NumPy takes a millisecond for each lane.
MAX_MEMBERS = 16


class Recorded(NamedTuple):
    """What a program recorded at one draw of each lane.

    Attributes:
        positions: Shape (lanes, size).
        log_densities: In nats, shape (lanes,).
        gradients: Shape (lanes, size), or (lanes, 0) if they are not recorded.
    """

    positions: np.ndarray
    log_densities: np.ndarray
    gradients: np.ndarray


NO_ROUNDING = Recorded(*[np.zeros(())] * 3)


def find_disagreement(family: Family, recorded: Recorded) -> str:
    """Compare log densities and gradients with those of programs compiled in other ways.

    NumPy evaluates the traced density, which takes milliseconds. If it disagrees, or has no rule
    for an operation, XLA compiles the density in its ordinary form, which then decides; its own
    rounding error, which is large for an ill-conditioned matrix, is no disagreement.

    Args:
        family: The log densities.
        recorded: What the native program found.

    Returns:
        What differs, in words; empty if nothing does.
    """
    family, recorded = _take_few(family, recorded)
    expected = _evaluate_by_numpy(family, recorded.positions)
    if expected is not None:
        lanes = len(expected.positions)
        if not _describe_difference(Recorded(*(part[:lanes] for part in recorded)), expected):
            return ""
    expected = evaluate_lanes(family, recorded.positions)
    if not _describe_difference(recorded, expected):
        return ""
    return _describe_difference(recorded, expected, _measure_rounding(family, expected))


def find_disagreement_nearby(family: Family, positions: np.ndarray) -> str:
    """Compare what a native program of the log density computes near positions of all lanes.

    It is for chains that stay where they are, whether or not they should: XLA compiles one program.

    Args:
        family: The log densities.
        positions: Shape (lanes, size).

    Returns:
        What differs, in words; empty if nothing does, or if the log density has no native form.
    """
    steps = 0.01 * np.random.default_rng(0).normal(size=positions.shape)
    near = (positions + steps * np.maximum(1, np.abs(positions))).astype(positions.dtype)
    found = evaluate_natively(family, near)
    return find_disagreement(family, Recorded(*found[:3])) if found else ""


def _take_few(family: Family, recorded: Recorded) -> tuple[Family, Recorded]:
    """Take evenly spaced members of many, all of which have the same program."""
    every = -(-family.count // MAX_MEMBERS)
    if every == 1:
        return family, recorded
    few = np.arange(0, family.count, every)
    lanes = np.arange(len(recorded.positions)).reshape(family.count, -1)[few].reshape(-1)
    own = Family(family.shared, family.rows(few), len(few))
    return own, Recorded(*(part[lanes] for part in recorded))


def _evaluate_by_numpy(family: Family, positions: np.ndarray) -> Points | None:
    """Evaluate the first lanes, as many as time permits; None if it takes too long or cannot be."""
    traced, (shared, own, key, rows) = trace_attempts(family, positions)
    # The program maps over rows of positions and over lanes; fewer are enough here.
    each = count_equations(traced.jaxpr) / rows[..., 0].size
    if each > MOST_EQUATIONS:
        return None
    lanes = int(np.clip(ENOUGH_EQUATIONS / each, 1, len(positions)))
    positions, own = positions[:lanes], jax.tree.map(lambda a: a[:lanes], own)
    try:
        leaves = evaluate_by_numpy(traced.jaxpr, (shared, own, key, rows[:1, :lanes]))
    except NoRuleError as error:
        _log.debug("NumPy does not check the native form: %s", error)
        return None
    except Exception as error:  # Another version of JAX may say the same with other parameters.
        _log.info("NumPy fails to check the native form: %r", error)
        return None
    found = jax.tree.unflatten(jax.tree.structure(traced.out_info), leaves)
    return Points(positions, *(part[0] for part in found))


def _measure_rounding(family: Family, at: Points) -> Recorded:
    """Return how much log densities and gradients vary among positions that are nearly the same."""
    eps, rng = np.finfo(at.positions.dtype).eps, np.random.default_rng(0)
    values, slopes = np.zeros_like(at.log_densities), np.zeros_like(at.gradients)
    for _ in range(NEIGHBORS):
        nudge = 1 + eps * rng.integers(-8, 9, size=at.positions.shape)
        near = evaluate_lanes(family, (at.positions * nudge).astype(at.positions.dtype))
        values = np.fmax(values, _distance(near.log_densities, at.log_densities))
        slopes = np.fmax(slopes, _distance(near.gradients, at.gradients))
    return Recorded(at.positions, values, slopes)


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return how far numbers are apart; infinitely far if one of them is not finite."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(a) == np.isfinite(b), np.abs(a - b), np.inf)


def _describe_difference(
    recorded: Recorded, expected: Points, rounding: Recorded = NO_ROUNDING
) -> str:
    tolerance = TOLERANCE[expected.log_densities.dtype.itemsize]
    values = recorded.log_densities, expected.log_densities
    most = np.maximum(1, np.abs(values[1])) * tolerance
    apart = _are_apart(*values, np.maximum(most, TIMES_ROUNDING * rounding.log_densities))
    if apart.any():
        lane = int(np.argmax(apart))
        return (
            f"its log density at a draw is {values[0][lane]:.9g} instead of {values[1][lane]:.9g}"
        )
    if recorded.gradients.shape != expected.gradients.shape:
        return ""
    slopes = recorded.gradients, expected.gradients
    largest = np.max(np.abs(slopes[1]), axis=-1, keepdims=True, initial=1)
    most = np.maximum(largest * tolerance, TIMES_ROUNDING * rounding.gradients)
    apart = _are_apart(*slopes, most)
    if apart.any():
        place = tuple(np.argwhere(apart)[0])
        return (
            f"entry {place[1]} of its gradient at a draw is {slopes[0][place]:.9g} instead of "
            f"{slopes[1][place]:.9g}"
        )
    return ""


def _are_apart(found: np.ndarray, expected: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Return which numbers differ by more than `most`; if not finite, all are equal."""
    return _distance(found, expected) > most
