"""Newton steps by conjugate gradients in a trust region, from one Hessian product at a time.

The directions are those of L-BFGS, which are conjugate if each one and its product with the Hessian
is remembered: to as many of the last ones as the memory holds, in spite of rounding. The recurrence
for conjugate gradients keeps the last one alone, so that with a condition of 10^6 it took ten times
as many products. And what a step has learned helps the next one.

Source: Nazareth (1979), A relationship between the BFGS and conjugate gradient algorithms.
"""

from typing import NamedTuple

from .namespace import Count, Flag, Scalar, Vector, choose, namespace_of

# Share of the decrease so far below which further conjugate directions are left to the next step.
# The rule is that of Nash & Sofer (1990), Assessing a search direction within a truncated-Newton
# method.
SMALLEST_SHARE = 0.1
# Weight of a decrease in that rule, relative to the one after it. With 0.5 a search ended sooner
# than it should, because the decreases do not fall evenly.
RECALL = 0.8
# Share of what is not worth another direction below which the residual, in the metric, ends a step
# at once: it has solved the equations, as after as many directions as there are coordinates.
SOLVED = 1e-3


class Newton(NamedTuple):
    """A Newton step that is being computed.

    Lengths are in the metric of the preconditioner, the memory of L-BFGS.

    Attributes:
        step: The step so far, shape (size,).
        residual: Gradient of the quadratic model there.
        direction: The conjugate direction to be multiplied by the Hessian next.
        product: The residual times the preconditioned residual.
        decrease: Decrease of the quadratic model so far, in nats.
        recent: Decrease by the last directions, each counted less than the one after it.
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
    decrease: Scalar
    recent: Scalar
    step_square: Scalar
    step_direction: Scalar
    direction_square: Scalar
    directions: Count
    is_done: Flag
    is_convex: Flag
    is_inside: Flag


def begin_newton(gradient: Vector, preconditioned: Vector, product: Scalar) -> Newton:
    """Begin with no step.

    Args:
        gradient: Gradient of the loss, shape (size,).
        preconditioned: An approximate inverse Hessian, positive definite, times the gradient.
        product: Gradient times preconditioned gradient.
    """
    xp = namespace_of(gradient)
    zero, yes = xp.zeros_like(product), xp.asarray(True)
    return Newton(
        xp.zeros_like(gradient), gradient, -preconditioned, product,
        zero, zero, zero, zero, product, xp.int32(0), ~(product > 0), yes, yes,
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
    xp = namespace_of(image)
    curvature = newton.direction @ image
    # A gradient of zero has no direction.
    is_convex = (curvature > 0) | newton.is_done
    full = newton.product / choose(curvature > 0, curvature, 1.0)
    edge = _reach_edge(newton, radius)
    is_inside = is_convex & ((full < edge) | newton.is_done)
    length = choose(is_inside, full, edge)
    decrease = length * newton.product - 0.5 * length**2 * curvature
    is_usable = xp.isfinite(decrease)
    length, decrease = (xp.where(is_usable, a, 0.0) for a in (length, decrease))
    square = newton.step_square + length * (
        2 * newton.step_direction + length * newton.direction_square
    )
    return newton._replace(
        step=newton.step + length * newton.direction,
        residual=newton.residual + length * xp.where(is_usable, image, 0.0),
        decrease=newton.decrease + decrease,
        recent=RECALL * newton.recent + decrease,
        step_square=square,
        step_direction=newton.step_direction + length * newton.direction_square,
        directions=newton.directions + 1,
        is_done=newton.is_done | ~is_inside | ~is_usable,
        is_convex=newton.is_convex & is_convex,
        is_inside=newton.is_inside & is_inside & is_usable,
    )


def turn(
    newton: Newton, preconditioned: Vector, product: Scalar, floor: Scalar, most: Count | int
) -> Newton:
    """Choose the next conjugate direction, or end if the last ones gained little.

    Args:
        newton: The step after `step_along`.
        preconditioned: The approximate inverse Hessian times `newton.residual`; it must know the
            last direction and its product with the Hessian.
        product: The residual times that.
        floor: Decrease in nats that is not worth another direction.
        most: Maximum number of directions.
    """
    xp = namespace_of(preconditioned)
    share = SMALLEST_SHARE * xp.minimum(1.0, newton.decrease)
    little = xp.maximum(floor, share * newton.decrease)
    has_gained = (newton.recent > little) & (0.5 * product > SOLVED * little)
    is_done = newton.is_done | ~has_gained | (newton.directions >= most)
    return newton._replace(
        direction=-preconditioned,
        product=product,
        step_direction=-(newton.step @ newton.residual),
        direction_square=product,
        is_done=is_done,
    )


def _reach_edge(newton: Newton, radius: Scalar) -> Scalar:
    """Return the length along the direction at which the step leaves the trust region."""
    xp = namespace_of(radius)
    half, square = newton.step_direction, newton.direction_square
    room = xp.maximum(radius**2 - newton.step_square, 0.0)
    root = xp.sqrt(half**2 + square * room)
    # The form without cancellation.
    return room / xp.where(half + root > 0, half + root, 1.0)
