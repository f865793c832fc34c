"""The leapfrog step of Hamilton's equations, with momenta in the whitened space."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ..types import Scalar, Vector
from .metric import Metric

Evaluate = Callable[[Vector], tuple[Scalar, Vector]]


class PhasePoint(NamedTuple):
    """A point of phase space.

    Attributes:
        position: In model units, shape (size,).
        momentum: In the whitened space, shape (size,).
        gradient: Gradient of the log density at `position`, shape (size,).
        whitened_gradient: The gradient in the whitened space, the only one that the next step
            reads.
        log_density: In nats, shape (); relative to the reference, if the engine keeps one.
        path: The line integral up to here, if energies are integrated along the path.
        log_volume: Log volume of the metric, part of the energy; `None` for a constant metric.
    """

    position: Vector
    momentum: Vector
    gradient: Vector
    whitened_gradient: Vector
    log_density: Scalar
    path: Any = None
    log_volume: Any = None


def start_trajectory(
    position: Vector, momentum: Vector, gradient: Vector, log_density: Scalar, metric: Metric,
    path: Any = None,
) -> PhasePoint:  # fmt: skip
    """Return the first point of a trajectory."""
    whitened, volume = metric.to_whitened(gradient, position), metric.log_volume(position)
    return PhasePoint(position, momentum, gradient, whitened, log_density, path, volume)


def leapfrog(
    evaluate: Evaluate, point: PhasePoint, step_size: Scalar, metric: Metric
) -> PhasePoint:
    """Advance `point` by one step; a negative step size goes backward in time.

    Args:
        evaluate: Computes log density and gradient; called once.
        point: Start of the step; its whitened gradient is reused, so that each step costs one
            gradient and two applications of the metric.
        step_size: In whitened units.
        metric: The whitening.

    Returns:
        The end of the step. A log density that is not finite is returned, not raised.

    Source: Neal (2011), MCMC using Hamiltonian dynamics, equations 5.18-5.20.
    """
    position, half_kick = drift(point, step_size, metric)
    log_density, gradient = evaluate(position)
    whitened, volume = metric.to_whitened(gradient, position), metric.log_volume(position)
    momentum = kick(half_kick, whitened, step_size)
    return PhasePoint(position, momentum, gradient, whitened, log_density, None, volume)


def drift(point: PhasePoint, step_size: Scalar, metric: Metric) -> tuple[Vector, Vector]:
    """Kick by half a step, then move; return the new position and the momentum between kicks."""
    half_kick = kick(point.momentum, point.whitened_gradient, step_size)
    return metric.move(point.position, step_size * metric.to_model(half_kick)), half_kick


def kick(momentum: Vector, whitened_gradient: Vector, step_size: Scalar) -> Vector:
    """Change the momentum by the force over half a step."""
    return momentum + 0.5 * step_size * whitened_gradient


def energy(point: PhasePoint) -> Scalar:
    """Compute the energy in nats: minus log density plus half the squared momentum."""
    level = point.log_density if point.log_volume is None else point.log_density + point.log_volume
    return -level + 0.5 * (point.momentum**2).sum()
