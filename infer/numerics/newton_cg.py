"""Newton steps by conjugate gradients in a trust region, from one Hessian product at a time."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from ..types import Scalar, Vector

# Share of the decrease so far below which further conjugate directions are left to the next step.
# The rule is that of Nash & Sofer (1990), Assessing a search direction within a truncated-Newton
# method; with 0.3, benchmarks/search_constants.py took 7 % fewer gradients, but more steps.
SMALLEST_SHARE = 0.1


class Newton(NamedTuple):
    """A Newton step that is being computed.

    Lengths are in the metric of the preconditioner.

    Attributes:
        step: The step so far, shape (size,).
        residual: Gradient of the quadratic model there.
        direction: The conjugate direction to be multiplied by the Hessian next.
        product: The residual times the preconditioned residual.
        slope: Slope of the loss along the step, at its beginning.
        decrease: Decrease of the quadratic model so far, in nats.
        recent: Decrease by the last directions, each counted half as much as the one after it.
        step_square: Squared length of the step.
        step_direction: Product of step and direction.
        direction_square: Squared length of the direction.
        directions: Directions so far.
        is_done: Whether the step is final.
        is_convex: Whether the Hessian was positive along all directions.
        is_inside: Whether the step ends inside the trust region.
    """

    step: Vector
    residual: Vector
    direction: Vector
    product: Scalar
    slope: Scalar
    decrease: Scalar
    recent: Scalar
    step_square: Scalar
    step_direction: Scalar
    direction_square: Scalar
    directions: Int[Array, ""]
    is_done: Bool[Array, ""]
    is_convex: Bool[Array, ""]
    is_inside: Bool[Array, ""]


def begin_newton(gradient: Vector, preconditioned: Vector, product: Scalar) -> Newton:
    """Begin with no step.

    Args:
        gradient: Gradient of the loss, shape (size,).
        preconditioned: An approximate inverse Hessian, positive definite, times the gradient.
        product: Gradient times preconditioned gradient.
    """
    zero, yes = jnp.zeros_like(product), jnp.asarray(True)
    return Newton(
        jnp.zeros_like(gradient), gradient, -preconditioned, product,
        zero, zero, zero, zero, zero, product, jnp.int32(0), ~(product > 0), yes, yes,
    )  # fmt: skip


def step_along(newton: Newton, image: Vector, radius: Scalar) -> Newton:
    """Step along the conjugate direction, to the minimum on it or the edge of the trust region.

    Args:
        newton: The step so far.
        image: The Hessian times `newton.direction`.
        radius: Radius of the trust region.

    Source: Steihaug (1983), as Nocedal & Wright (2006), algorithm 7.2; lengths in the metric of
        the preconditioner by Conn, Gould & Toint (2000), algorithm 7.5.1.
    """
    curvature = newton.direction @ image
    # A gradient of zero has no direction.
    is_convex = (curvature > 0) | newton.is_done
    full = newton.product / jnp.where(curvature > 0, curvature, 1.0)
    edge = _reach_edge(newton, radius)
    is_inside = is_convex & ((full < edge) | newton.is_done)
    length = jnp.where(is_inside, full, edge)
    decrease = length * newton.product - 0.5 * length**2 * curvature
    is_usable = jnp.isfinite(decrease)
    length, decrease = (jnp.where(is_usable, a, 0.0) for a in (length, decrease))
    square = newton.step_square + length * (
        2 * newton.step_direction + length * newton.direction_square
    )
    return newton._replace(
        step=newton.step + length * newton.direction,
        residual=newton.residual + length * jnp.where(is_usable, image, 0.0),
        # Exact conjugate directions have the same product with residual and gradient.
        slope=newton.slope - length * newton.product,
        decrease=newton.decrease + decrease,
        recent=0.5 * newton.recent + decrease,
        step_square=square,
        step_direction=newton.step_direction + length * newton.direction_square,
        directions=newton.directions + 1,
        is_done=newton.is_done | ~is_inside | ~is_usable,
        is_convex=newton.is_convex & is_convex,
        is_inside=newton.is_inside & is_inside & is_usable,
    )


def turn(
    newton: Newton, preconditioned: Vector, product: Scalar, floor: Scalar, most: int
) -> Newton:
    """Choose the next conjugate direction, or end if the last ones gained little.

    Args:
        newton: The step after `step_along`.
        preconditioned: The approximate inverse Hessian times `newton.residual`.
        product: The residual times that.
        floor: Decrease in nats that is not worth another direction.
        most: Maximum number of directions.
    """
    ratio = product / newton.product
    share = SMALLEST_SHARE * jnp.minimum(1.0, newton.decrease)
    little = jnp.maximum(floor, share * newton.decrease)
    is_done = (
        newton.is_done | (newton.recent <= little) | (newton.directions >= most) | ~(product > 0)
    )
    return newton._replace(
        direction=ratio * newton.direction - preconditioned,
        product=product,
        step_direction=ratio * newton.step_direction,
        direction_square=product + ratio**2 * newton.direction_square,
        is_done=is_done,
    )


def _reach_edge(newton: Newton, radius: Scalar) -> Scalar:
    """Return the length along the direction at which the step leaves the trust region."""
    half, square = newton.step_direction, newton.direction_square
    room = jnp.maximum(radius**2 - newton.step_square, 0.0)
    root = jnp.sqrt(half**2 + square * room)
    # The form without cancellation.
    return room / jnp.where(half + root > 0, half + root, 1.0)
