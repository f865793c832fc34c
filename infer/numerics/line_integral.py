"""Energy differences by the line integral of a force, where the log density has no value.

A leapfrog step moves along a straight line, so its ends and a few nodes between them give the
work of the force on it. The work changes sign with the direction of the step and adds up along
a trajectory, so it may stand for a difference of log densities in every accept or weight.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..errors import EngineError
from ..target import Components, Target
from ..types import Scalar, Vector
from .leapfrog import PhasePoint, drift, kick
from .metric import Metric


class Quadrature(NamedTuple):
    """A quadrature rule on a line of length 1; the two ends are known anyway.

    Attributes:
        nodes: Between the ends.
        weights: Of the nodes.
        ends: Weight of each end.
    """

    nodes: tuple[float, ...]
    weights: tuple[float, ...]
    ends: float


# The nodes of Gauss and Legendre for two points, 1 / (2 sqrt 3) from the middle.
_OFFSET = 0.5 / 3**0.5
QUADRATURES = {
    "gauss_legendre": Quadrature((0.5 - _OFFSET, 0.5 + _OFFSET), (0.5, 0.5), 0.0),
    "simpson": Quadrature((0.5,), (2 / 3,), 1 / 6),
    "trapezoid": Quadrature((), (), 0.5),
}
ENERGIES = ("value", "path")


class Path(NamedTuple):
    """What was gathered on the way to a point.

    Attributes:
        work: Integral of the force since the chain began, in nats.
        force: Gradient of the part of the log density without a value, shape (size,).
        move: Step that led here, shape (size,); zero where a trajectory begins.
        change: Change of the force over that step, shape (size,).
        late_change: Its change from the last node of that step on, shape (size,).
        error: The trapezoid rule's work on each step minus that of the rule, in absolute value,
            summed since the trajectory began.
        loop: Work around each triangle of three points in a row, in absolute value, summed
            since the trajectory began.
    """

    work: Scalar
    force: Vector
    move: Vector
    change: Vector
    late_change: Vector
    error: Scalar
    loop: Scalar


def check_energy(engine: str, energy: str, quadrature: str) -> None:
    """Refuse unknown words, when the engine is made."""
    if energy not in ENERGIES:
        raise EngineError(engine, f"energy is {energy!r}", f"Choose one of {ENERGIES}.")
    if quadrature not in QUADRATURES:
        raise EngineError(
            engine, f"quadrature is {quadrature!r}", f"Choose one of {(*QUADRATURES,)}."
        )


def first_point(energy: str, position: Vector, here: Components) -> PhasePoint:
    """Begin a chain at rest; an integrated energy counts its work from here.

    Args:
        energy: "value" or "path".
        position: Where the chain begins, shape (size,).
        here: The log density there.
    """
    none = jnp.zeros_like(position)
    path = None
    if energy == "path":
        path = _begin_path(jnp.zeros_like(here.value), here.unvalued_gradient)
    return PhasePoint(position, none, here.gradient, none, here.value, path)


def restart_path(path: Path | None) -> Path | None:
    """Begin a trajectory."""
    return None if path is None else _begin_path(path.work, path.force)


def _begin_path(work: Scalar, force: Vector) -> Path:
    zero, still = jnp.zeros_like(work), jnp.zeros_like(force)
    return Path(work, force, still, still, still, zero, zero)


def leapfrog_along(
    target: Target, rule: str, point: PhasePoint, step_size: Scalar, metric: Metric
) -> PhasePoint:
    """Advance `point` by one leapfrog step, and its path by the work on the way.

    Args:
        target: Its components are computed once, and the force at all nodes in one batch.
        rule: Name of the quadrature rule.
        point: Where the step begins, with its path.
        step_size: In whitened units; a negative one goes back in time.
        metric: The whitening.

    Returns:
        The end of the step. Its log density is that of the part with a value, plus the work
        since the chain began.

    Source: the line integral of a score for Metropolis tests is that of Sjoberg et al.
        (2023), arXiv 2307.14012, equation 11; here along the leapfrog's own segments.
    """
    position, half_kick = drift(point, step_size, metric)
    here = target.components(position)
    path = _extend_path(target, QUADRATURES[rule], point, position, here.unvalued_gradient)
    whitened = metric.to_whitened(here.gradient)
    momentum = kick(half_kick, whitened, step_size)
    value = here.value + path.work
    return PhasePoint(position, momentum, here.gradient, whitened, value, path)


def _extend_path(
    target: Target, rule: Quadrature, point: PhasePoint, position: Vector, force: Vector
) -> Path:
    before: Path = point.path
    move, change = position - point.position, force - before.force
    mean, early, late = rule.ends * (before.force + force), change, change
    if rule.nodes:
        nodes, weights = (jnp.asarray(a, move.dtype) for a in rule[:2])
        between = jax.vmap(target.unvalued_gradient)(point.position + nodes[:, None] * move)
        mean = mean + weights @ between
        early, late = between[0] - before.force, force - between[-1]
    work, trapezoid = mean @ move, 0.5 * (before.force + force) @ move
    loop = _loop(rule, before, move, change, early)
    return Path(
        before.work + work,
        force,
        move,
        change,
        late,
        before.error + jnp.abs(trapezoid - work),
        before.loop + jnp.abs(loop),
    )


def _loop(rule: Quadrature, before: Path, move: Vector, change: Vector, early: Vector) -> Scalar:
    """Work around the triangle of the last point, this one and the next.

    By the trapezoid rule on its sides: of a linear force, the curl times the area. The same of
    the smaller triangle between the nodes next to this point tells the error of third order,
    which is taken off.
    """
    whole = 0.5 * (before.change @ move - change @ before.move)
    if not rule.nodes:
        return whole
    ratio = rule.nodes[0]
    small = 0.5 * (before.late_change @ move - early @ before.move) / ratio
    return (small - ratio * whole) / (1 - ratio)


def path_statistics(
    rule: str, relative_lp: Scalar, error: Scalar, loop: Scalar
) -> dict[str, Scalar]:
    """Name the statistics of a trajectory; the trapezoid rule has no error to compare with."""
    errors = {} if rule == "trapezoid" else {"integration_error": error}
    return errors | {"relative_lp": relative_lp, "loop_residual": loop}
