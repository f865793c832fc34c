"""Energy differences as line integrals of a force, if the log density has no known value.

A leapfrog step moves along a straight line, so the work of the force on it follows from the
force at its ends and at a few nodes between them. Reversing a step changes the sign of the work,
and the work of successive steps adds up, so it can replace the difference of log densities in
acceptance probabilities and weights.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from ..errors import EngineError
from ..target import Components, Target
from ..types import Scalar, Vector
from .leapfrog import PhasePoint, drift, kick
from .metric import Metric


class Quadrature(NamedTuple):
    """A quadrature rule on the unit interval; the force at its ends is known anyway.

    Attributes:
        nodes: Nodes between the ends.
        weights: Weights of the nodes.
        ends: Weight of each end.
    """

    nodes: tuple[float, ...]
    weights: tuple[float, ...]
    ends: float


# The two Gauss-Legendre nodes are 1 / (2 sqrt 3) from the middle.
_OFFSET = 0.5 / 3**0.5
QUADRATURES = {
    "gauss_legendre": Quadrature((0.5 - _OFFSET, 0.5 + _OFFSET), (0.5, 0.5), 0.0),
    "simpson": Quadrature((0.5,), (2 / 3,), 1 / 6),
    "trapezoid": Quadrature((), (), 0.5),
}
ENERGIES = ("value", "path")
Energy = Literal["value", "path"]
QuadratureName = Literal["gauss_legendre", "simpson", "trapezoid"]


class Path(NamedTuple):
    """The line integral up to a point, and what the next step needs to extend it.

    Attributes:
        work: Integral of the force since the start of the chain, in nats.
        force: Gradient of the part of the log density that has no value, shape (size,).
        move: The last step, shape (size,); zero at the start of a trajectory.
        change: Change of the force over that step, shape (size,).
        late_change: Change of the force from the last node of that step to its end, shape (size,).
        error: Absolute difference between the work by the trapezoid rule and by the rule in use,
            summed over the steps of the trajectory.
        loop: Absolute work around the triangle of three successive points, summed over the
            trajectory.
    """

    work: Scalar
    force: Vector
    move: Vector
    change: Vector
    late_change: Vector
    error: Scalar
    loop: Scalar


def check_energy(engine: str, energy: str, quadrature: str) -> None:
    """Raise an error if an option is unknown, when the engine is made."""
    if energy not in ENERGIES:
        raise EngineError(engine, f"energy is {energy!r}", f"Choose one of {ENERGIES}.")
    if quadrature not in QUADRATURES:
        raise EngineError(
            engine, f"quadrature is {quadrature!r}", f"Choose one of {(*QUADRATURES,)}."
        )


def start_chain(energy: str, position: Vector, here: Components) -> PhasePoint:
    """Return the first point of a chain, with zero momentum and, for "path", zero work.

    Args:
        energy: "value" or "path".
        position: Start of the chain, shape (size,).
        here: Components of the log density at `position`.
    """
    none = jnp.zeros_like(position)
    path = None
    if energy == "path":
        path = _begin_path(jnp.zeros_like(here.value), here.unvalued_gradient)
    return PhasePoint(position, none, here.gradient, none, here.value, path)


def restart_path(path: Path | None) -> Path | None:
    """Begin a trajectory: keep the work, and reset the error and the loop."""
    return None if path is None else _begin_path(path.work, path.force)


def _begin_path(work: Scalar, force: Vector) -> Path:
    zero, still = jnp.zeros_like(work), jnp.zeros_like(force)
    return Path(work, force, still, still, still, zero, zero)


def leapfrog_along(
    target: Target, rule: str, point: PhasePoint, step_size: Scalar, metric: Metric
) -> PhasePoint:
    """Advance `point` by one leapfrog step, and its path by the work along the step.

    Args:
        target: Its components are evaluated once, and the force at all nodes in one batch.
        rule: Name of the quadrature rule.
        point: Start of the step, with its path.
        step_size: In whitened units; a negative one goes backward in time.
        metric: The whitening.

    Returns:
        The end of the step. Its log density is that of the part with a value, plus the work
        since the start of the chain.

    Source: Sjoberg et al. (2023), arXiv 2307.14012, equation 11, for the line integral of a score
        in Metropolis tests; here along the segments of the leapfrog.
    """
    position, half_kick = drift(point, step_size, metric)
    here = target.components(position)
    path = _extend_path(target, QUADRATURES[rule], point, position, here.unvalued_gradient)
    whitened = metric.to_whitened(here.gradient, position)
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
    """Compute the work around the triangle of the previous point, this one and the next.

    The trapezoid rule on its sides is exact for a linear force: the curl times the area. The same
    rule on the smaller triangle of this point and the nodes next to it gives the error of third
    order, which is subtracted.
    """
    whole = 0.5 * (before.change @ move - change @ before.move)
    if not rule.nodes:
        return whole
    ratio = rule.nodes[0]
    small = 0.5 * (before.late_change @ move - early @ before.move) / ratio
    return (small - ratio * whole) / (1 - ratio)


def name_path_statistics(
    rule: str, relative_lp: Scalar, error: Scalar, loop: Scalar
) -> dict[str, Scalar]:
    """Name the statistics of a trajectory; the trapezoid rule has no error estimate."""
    errors = {} if rule == "trapezoid" else {"integration_error": error}
    return errors | {"relative_lp": relative_lp, "loop_residual": loop}
