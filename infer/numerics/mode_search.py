"""A search for a minimum: L-BFGS, finished by Newton-CG; told one loss and gradient at a time.

Every call of `advance` takes one gradient: at a trial point of a line search, or beside the
present position, where its difference is a product with the Hessian. So a program that calls it in
a loop contains the loss once, and searches side by side do not wait for each other.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from .lbfgs import Memory, empty_memory, forget, multiply_inverse, remember
from .line_search import CURVATURE, LineSearch, advance_line, begin_line
from .namespace import Count, Flag, Scalar, Vector, choose, namespace_of
from .newton_cg import Newton, begin_newton, step_along, turn

# Why a search ended; 0 while it goes on. After the first two, it has converged.
CONVERGED, ROUNDING, STEPS, STALLED, UNBOUNDED = 1, 2, 3, 4, 5
REASONS = ("searching", "converged", "rounding", "steps", "stalled", "unbounded")
# Estimated distance from the minimum in nats, and number of quasi-Newton steps, from which a Newton
# step is tried. An estimate of L-BFGS misses directions that it has not seen. These and the other
# constants here were varied in benchmarks/search_constants.py: seven searches took 1304 gradients
# together, and 6 % or 3 % fewer with 0.1 or 0.001 nats.
NEAR, FIRST_STEPS = 0.01, 15
# Factors of both after a Newton step that did not pay; with 1 for the first, 8 % more gradients,
# and with 1 or 2 for the second, 15 % or 3 % more.
NEARER, LATER = 0.1, 3
# Share of the tolerance at which a Newton step is tried whatever the earlier ones brought: half of
# what is not worth another direction, so that a good estimate ends the search with one product.
NEAR_ENOUGH = 0.05
# First radius of the trust region, in lengths of a quasi-Newton step: far enough for the soft
# directions that L-BFGS has not seen. With 10, 8 % fewer gradients; with 1000, as many.
FIRST_RADIUS = 100.0
# Maximum number of conjugate directions of a Newton step. Unless the loss was quadratic along the
# last one, they are as many as the memory holds, or so many if those are fewer.
MOST_DIRECTIONS, FEWEST_DIRECTIONS = 200, 25
# Share of the slope that may be left after a Newton step, which is met at once where the loss is
# quadratic along it. Where it is quartic, as around a mode that is almost singular, the step is too
# short by a factor of three; going on takes fewer gradients than another Newton step.
STEEPEST = 0.2
# Share of the slope up to which the loss counts as quadratic; with 0.02 or 0.5, 2 % fewer gradients
# or as many.
QUADRATIC = 0.1
# Share of the slope, or less, that is left after the last step of a search that has converged.
SETTLED = 0.5
# Share of the tolerance that is not worth another conjugate direction; with 0.01, 2 % more
# gradients.
NEGLIGIBLE = 0.1


class Search(NamedTuple):
    """A search between two gradients.

    Attributes:
        position: The best position so far, where the present step begins.
        loss: Loss there, in nats.
        gradient: Gradient of the loss there.
        memory: The metric of L-BFGS.
        direction: Direction of the present step.
        line: The line search along it.
        newton: The Newton step that is being computed.
        is_solving: Whether the next gradient is for the Newton step, not for the line search.
        radius: Radius of the trust region; 0 before the first Newton step.
        longest: Length of the direction in the metric, if it is a Newton step; else 0.
        decrement: Latest estimate of the distance from the minimum, half the squared length of the
            gradient in the metric, in nats.
        near: Estimated distance in nats from which a Newton step is tried.
        waited: Quasi-Newton steps since the last Newton step.
        patience: Number of them after which the next one is tried.
        is_quadratic: Whether the loss was quadratic along the last Newton step.
        n_steps: Steps taken, the start included.
        n_gradients: Gradients taken.
        is_last_resort: Whether a line search failed since the last step.
        is_final: Whether the present step is the last one, of a search that has converged.
        reason: Why it ended, or 0.
    """

    position: Vector
    loss: Scalar
    gradient: Vector
    memory: Memory
    direction: Vector
    line: LineSearch
    newton: Newton
    is_solving: Flag
    radius: Scalar
    longest: Scalar
    decrement: Scalar
    near: Scalar
    waited: Count
    patience: Count
    is_quadratic: Flag
    n_steps: Count
    n_gradients: Count
    is_last_resort: Flag
    is_final: Flag
    reason: Count

    def next_point(self) -> Vector:
        """Return where the next loss and gradient are to be evaluated."""
        along = choose(self.is_solving, self.newton.direction, self.direction)
        length = jnp.where(self.is_solving, choose_spacing(self), self.line.length)
        return self.position + length * along


def begin_search(position: Vector, gradient: Vector) -> Search:
    """Begin at a position; the first call of `advance` gets the loss and the gradient there."""
    zero, none = jnp.zeros_like(gradient[:1].sum()), jnp.zeros_like(gradient)
    return Search(
        position, jnp.full_like(zero, jnp.inf), none, empty_memory(gradient), none,
        begin_line(zero - 1, zero), begin_newton(none, none, zero), jnp.asarray(False),
        zero, zero, jnp.full_like(zero, jnp.inf), zero + NEAR, jnp.int32(0),
        jnp.int32(FIRST_STEPS), jnp.asarray(False), jnp.int32(0), jnp.int32(0),
        jnp.asarray(False), jnp.asarray(False), jnp.int32(0),
    )  # fmt: skip


def choose_steepest(search: Any) -> Scalar | float:
    """Return the share of the slope at its start that may be left at the end of a step."""
    return choose(search.longest > 0, STEEPEST, CURVATURE)


def count_directions(search: Any, pairs: int) -> Count:
    """Return the maximum number of conjugate directions, if the memory holds so many pairs."""
    few = max(pairs, FEWEST_DIRECTIONS)
    return choose(search.is_quadratic, MOST_DIRECTIONS, few)


def choose_spacing(search: Any) -> Scalar:
    """Return the spacing of a difference, by the cube root of the precision in the metric.

    In the metric of L-BFGS the posterior has a width of about one, so that the third derivative
    changes a product by such a share, and rounding by less. A coordinate moves by the fourth root
    at most, and by the square root at least, if the metric says little.
    """
    xp = namespace_of(search.position)
    scale = xp.maximum(1.0, xp.abs(search.position))
    relative = xp.max(xp.abs(search.newton.direction) / scale)
    precision, tiny = xp.finfo(scale.dtype).eps, xp.finfo(scale.dtype).tiny
    least, most = (precision**power / xp.maximum(relative, tiny) for power in (1 / 2, 1 / 4))
    length = xp.sqrt(xp.maximum(search.newton.direction_square, tiny))
    return xp.clip(xp.cbrt(precision) / length, least, most)


class Event(NamedTuple):
    """What a gradient brought.

    Attributes:
        is_step: A step was taken to where the gradient was evaluated.
        is_failed: The line search failed.
        is_settled: The slope along the step fell by half at least, as a quadratic loss predicts.
        is_quadratic: It fell to a tenth at least, at the full length of the step.
    """

    is_step: Flag
    is_failed: Flag
    is_settled: Flag
    is_quadratic: Flag


def advance(
    search: Search, loss: Scalar, gradient: Vector, tolerance: Scalar, max_steps: Count
) -> Search:
    """Take the loss and gradient at `next_point`.

    Args:
        search: The search.
        loss: Loss in nats, such as minus a log density; not finite where there is none.
        gradient: Its gradient, shape (size,).
        tolerance: Distance from the minimum in nats at which the search has converged: half the
            squared length of the gradient in the metric of the Hessian, the Newton decrement.
        max_steps: Maximum number of steps.

    Source: Nocedal & Wright (2006), algorithms 7.5 and 7.1, and Boyd & Vandenberghe (2004), section
        9.5.1, for the decrement; L-BFGS as a preconditioner follows Morales & Nocedal (2000).
    """
    gradient = jnp.where(jnp.isfinite(gradient).all(), gradient, jnp.nan)
    line, event = _judge_point(search, loss, gradient)
    change = gradient - search.gradient
    moved = step_along(search.newton, change / choose_spacing(search), search.radius)
    memory = forget(_learn(search, event, moved, change), search.gradient, event.is_failed)
    here = choose(event.is_step, gradient, search.gradient)
    inner = choose(search.is_solving, moved.residual, here)
    preconditioned = multiply_inverse(memory, inner)
    product = inner @ preconditioned
    most = count_directions(search, len(memory.weights))
    newton = turn(moved, preconditioned, product, NEGLIGIBLE * tolerance, most)
    search = search._replace(
        position=choose(event.is_step, search.next_point(), search.position),
        loss=choose(event.is_step, loss, search.loss),
        gradient=here,
        memory=memory,
        line=choose(search.is_solving, search.line, line),
        newton=newton,
        radius=choose(event.is_step, adapt_radius(search), search.radius),
        n_steps=search.n_steps + event.is_step.astype(jnp.int32),
        n_gradients=search.n_gradients + 1,
    )
    is_solved = search.is_solving & search.newton.is_done
    plan = _plan(search, event, preconditioned, product, tolerance)
    return _end(search, plan, event, is_solved, tolerance, max_steps)


def _learn(search: Search, event: Event, moved: Newton, change: Vector) -> Memory:
    """Remember the step that was taken, or the part of a Newton step along one direction."""
    newton = search.newton
    is_part = search.is_solving & moved.is_convex & ~newton.is_done
    is_step = event.is_step & (search.n_gradients > 0)
    step = choose(
        search.is_solving, moved.step - newton.step, search.line.length * search.direction
    )
    change = choose(search.is_solving, moved.residual - newton.residual, change)
    return remember(search.memory, step, change, is_step | is_part)


def _judge_point(search: Search, loss: Scalar, gradient: Vector) -> tuple[LineSearch, Event]:
    """Judge the point that was evaluated as one of a line search; the start is always accepted."""
    slope = gradient @ search.direction
    line, outcome = advance_line(search.line, loss - search.loss, slope, choose_steepest(search))
    is_start = search.n_gradients == 0
    is_finite = jnp.isfinite(loss) & jnp.isfinite(slope)
    is_step = ~search.is_solving & jnp.where(is_start, is_finite, outcome.accepted)
    is_failed = ~search.is_solving & jnp.where(is_start, ~is_finite, outcome.failed)
    is_settled, is_nearly_zero = (
        jnp.abs(slope) <= -share * search.line.slope for share in (SETTLED, QUADRATIC)
    )
    is_quadratic = is_nearly_zero & (search.line.length == 1)
    return line, Event(is_step, is_failed, is_settled, is_quadratic)


def _plan(
    search: Search, event: Event, preconditioned: Vector, product: Scalar, tolerance: Scalar
) -> Search:
    """Choose what comes next: a line search, or another Hessian product."""
    quasi = 0.5 * product
    search = _schedule(search, event)
    near = jnp.maximum(search.near, NEAR_ENOUGH * tolerance)
    is_due = (quasi <= near) | (search.waited >= search.patience)
    begins = (event.is_step & is_due) | event.is_failed
    is_solved = search.is_solving & search.newton.is_done
    newton_slope = search.gradient @ search.newton.step
    is_downhill = is_solved & (newton_slope < 0)
    has_direction = is_solved | (event.is_step & ~begins)
    direction = choose(is_downhill, search.newton.step, -preconditioned)
    slope = jnp.where(is_downhill, newton_slope, -product)
    line = begin_line(slope, find_rounding(search.loss))
    decrement = jnp.where(event.is_step, quasi, search.decrement)
    first_radius = FIRST_RADIUS * jnp.maximum(1.0, jnp.sqrt(2 * quasi))
    return search._replace(
        direction=choose(has_direction, direction, search.direction),
        line=choose(has_direction, line, search.line),
        newton=choose(
            begins, begin_newton(search.gradient, preconditioned, product), search.newton
        ),
        is_solving=begins | (search.is_solving & ~search.newton.is_done),
        radius=jnp.where(begins & (search.radius == 0), first_radius, search.radius),
        longest=jnp.where(
            has_direction,
            jnp.where(is_solved, jnp.sqrt(search.newton.step_square), 0.0),
            search.longest,
        ),
        decrement=jnp.where(is_solved, search.newton.decrease, decrement),
    )


def _schedule(search: Search, event: Event) -> Search:
    """Choose when the next Newton step is tried: at once if the last one paid, else later than it.

    It paid if the loss was quadratic along it, so that conjugate gradients, which remember all
    directions, did at least as well as L-BFGS.

    Source: Morales & Nocedal (2002), section 3.
    """
    is_newton = event.is_step & (search.longest > 0)
    has_paid, is_vain = is_newton & event.is_quadratic, is_newton & ~event.is_quadratic
    waited = jnp.where(is_vain, 0, search.waited + event.is_step.astype(jnp.int32))
    return search._replace(
        near=jnp.where(is_vain, NEARER * jnp.minimum(search.near, search.decrement), search.near),
        waited=jnp.where(has_paid, search.patience, waited),
        patience=jnp.where(is_vain, LATER * search.patience, search.patience),
        is_quadratic=jnp.where(is_newton, event.is_quadratic, search.is_quadratic),
    )


def _end(
    search: Search, plan: Search, event: Event, is_solved: Flag, tolerance: Scalar,
    max_steps: Count,
) -> Search:  # fmt: skip
    """Decide whether the search ends, and why."""
    newton = search.newton
    is_near = is_solved & newton.is_convex & newton.is_inside & (newton.decrease <= tolerance)
    # One more Newton step squares the error, unless it is that of rounding already.
    is_exact = is_near & (newton.decrease <= tolerance**2)
    is_finite = jnp.isfinite(search.loss)
    is_stalled = event.is_failed & (search.is_last_resort | ~is_finite)
    is_far = jnp.max(jnp.abs(search.position)) > jnp.sqrt(jnp.finfo(search.loss.dtype).max)
    is_rounding = is_finite & (search.decrement <= 4 * find_rounding(search.loss))
    reason = jnp.where(is_stalled, jnp.where(is_rounding, ROUNDING, STALLED), 0)
    reason = jnp.where(event.is_step & (search.n_steps >= max_steps), STEPS, reason)
    reason = jnp.where(event.is_step & is_far, UNBOUNDED, reason)
    is_settled = search.is_final & event.is_step & event.is_settled
    reason = jnp.where(is_exact | is_settled, CONVERGED, reason)
    return plan._replace(
        is_final=is_near | (search.is_final & ~event.is_step & ~event.is_failed),
        is_last_resort=~event.is_step & (search.is_last_resort | event.is_failed),
        reason=reason.astype(jnp.int32),
    )


def adapt_radius(search: Any) -> Scalar:
    """Return the radius after a step: twice its length if it was not shortened, else its length."""
    xp = namespace_of(search.position)
    length = search.line.length * search.longest
    longer = choose(search.line.length < 1, length, xp.maximum(search.radius, 2 * length))
    return choose((search.radius > 0) & (length > 0), longer, search.radius)


def find_rounding(loss: Scalar) -> Scalar:
    """Return the difference of two losses that may be due to rounding."""
    xp = namespace_of(loss)
    return 2 * xp.finfo(loss.dtype).eps * xp.maximum(1.0, xp.abs(loss))
