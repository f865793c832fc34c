"""The search of `mode_search` on the host, without what a compiled loop computes in vain."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from .host_memory import HostMemory
from .line_search import LineSearch, Outcome, advance_line, begin_line
from .mode_search import (
    CONVERGED,
    FIRST_RADIUS,
    FIRST_STEPS,
    LATER,
    NEAR,
    NEAR_ENOUGH,
    NEARER,
    NEGLIGIBLE,
    QUADRATIC,
    ROUNDING,
    SETTLED,
    STALLED,
    STEPS,
    UNBOUNDED,
    Search,
    adapt_radius,
    choose_spacing,
    choose_steepest,
    count_directions,
    find_rounding,
)
from .namespace import Count, Flag, Scalar
from .newton_cg import Newton, begin_newton, step_along, turn


@jax.tree_util.register_dataclass
@dataclass
class HostSearch:
    """A search between two gradients; `advance` changes it. For the attributes see `Search`."""

    position: Any
    loss: Any
    gradient: Any
    memory: HostMemory
    direction: Any
    line: LineSearch
    newton: Newton
    is_solving: Any
    radius: Any
    longest: Any
    decrement: Any
    near: Any
    waited: Any
    patience: Any
    is_quadratic: Any
    n_steps: Any
    n_gradients: Any
    is_last_resort: Any
    is_final: Any
    reason: Any

    @classmethod
    def begin(
        cls, position: np.ndarray, loss: Scalar, gradient: np.ndarray, max_steps: int
    ) -> "HostSearch":
        """Begin at a position, with the loss and the gradient there, which are the first step's."""
        none, number, count = np.zeros_like(gradient), gradient.dtype.type, np.int32(0)
        zero, infinite = number(0), number(np.inf)
        made = cls(
            position, infinite, none, HostMemory.empty(gradient), none,
            begin_line(number(-1), zero), begin_newton(none, none, zero), np.False_,
            zero, zero, infinite, number(NEAR), count,
            np.int32(FIRST_STEPS), np.False_, count, count, np.False_, np.False_, count,
        )  # fmt: skip
        kinds = jax.tree.map(np.result_type, made)
        with np.errstate(all="ignore"):
            made.advance(loss, gradient, zero, np.int32(max_steps))
        return jax.tree.map(np.asarray, made, kinds)

    def to_loop(self) -> Search:
        """Return the search for `mode_search.advance`; numbers become those of the gradient."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in Search._fields}
        fields["memory"] = self.memory.to_loop()
        return Search(**fields)

    @classmethod
    def from_loop(cls, search: Search) -> "HostSearch":
        """Keep a search of a compiled loop; only `to_loop` may be called."""
        fields: dict[str, Any] = search._asdict()
        fields["memory"] = HostMemory.from_loop(search.memory)
        return cls(**fields)

    def next_point(self) -> np.ndarray:
        """Return where the next loss and gradient are to be evaluated."""
        if self.is_solving:
            return self.position + choose_spacing(self) * self.newton.direction
        return self.position + self.line.length * self.direction

    def advance(
        self, loss: Scalar, gradient: np.ndarray, tolerance: Scalar, max_steps: Count
    ) -> None:
        """Take the loss and gradient at `next_point`, unless it has ended; see `mode_search`."""
        if self.reason:
            return
        gradient = gradient if np.isfinite(gradient).all() else np.full_like(gradient, np.nan)
        if self.is_solving:
            self._multiply(gradient, tolerance)
        else:
            self._try(loss, gradient, tolerance, max_steps)
        self.n_gradients += 1

    def _try(self, loss: Scalar, gradient: np.ndarray, tolerance: Scalar, max_steps: Count) -> None:
        """Judge the point as one of a line search; the start is always accepted."""
        slope = gradient @ self.direction
        line, outcome = advance_line(self.line, loss - self.loss, slope, choose_steepest(self))
        if self.n_gradients == 0:
            is_finite = np.isfinite(loss) & np.isfinite(slope)
            outcome = Outcome(is_finite, ~is_finite)
        if outcome.accepted:
            self._step(loss, gradient, slope, max_steps)
            self._plan(tolerance)
        elif outcome.failed:
            self._fail()
        else:
            self.line = line

    def _step(self, loss: Scalar, gradient: np.ndarray, slope: Scalar, max_steps: Count) -> None:
        """Step to the point, and decide whether the search ends there."""
        is_settled = abs(slope) <= -SETTLED * self.line.slope
        is_quadratic = abs(slope) <= -QUADRATIC * self.line.slope and self.line.length == 1
        step = self.line.length * self.direction
        if self.n_gradients:
            self.memory.remember(step, gradient - self.gradient)
        self.position, self.loss, self.gradient = self.position + step, loss, gradient
        self.radius = adapt_radius(self)
        self.n_steps += 1
        self._schedule(is_quadratic)
        is_far = np.abs(self.position).max() > np.sqrt(np.finfo(gradient.dtype).max)
        self.reason = UNBOUNDED if is_far else STEPS if self.n_steps >= max_steps else 0
        self.reason = CONVERGED if self.is_final and is_settled else self.reason
        self.is_final = self.is_last_resort = False

    def _schedule(self, is_quadratic: Flag) -> None:
        """Choose when the next Newton step is tried; see `mode_search`."""
        self.waited += 1
        if not self.longest > 0:
            return
        self.is_quadratic = is_quadratic
        if is_quadratic:
            self.waited = self.patience
        else:
            self.near = NEARER * min(self.near, self.decrement)
            self.waited, self.patience = 0, LATER * self.patience

    def _plan(self, tolerance: Scalar) -> None:
        """Begin a Newton step if one is due, else a line search in the metric of L-BFGS."""
        preconditioned = self.memory.multiply(self.gradient)
        product = self.gradient @ preconditioned
        self.decrement = 0.5 * product
        near = max(self.near, NEAR_ENOUGH * tolerance)
        if self.decrement <= near or self.waited >= self.patience:
            self._begin_newton(preconditioned, product)
        else:
            self._begin_line(-preconditioned, -product, 0 * product)

    def _fail(self) -> None:
        """After a line search that failed, forget the metric and try a Newton step, once."""
        is_finite = np.isfinite(self.loss)
        if self.is_last_resort or not is_finite:
            is_rounding = is_finite and self.decrement <= 4 * find_rounding(self.loss)
            self.reason = ROUNDING if is_rounding else STALLED
        self.memory.forget(self.gradient)
        preconditioned = self.memory.multiply(self.gradient)
        self._begin_newton(preconditioned, self.gradient @ preconditioned)
        self.is_final, self.is_last_resort = False, True

    def _begin_newton(self, preconditioned: np.ndarray, product: Scalar) -> None:
        self.newton, self.is_solving = begin_newton(self.gradient, preconditioned, product), True
        if self.radius == 0:
            self.radius = FIRST_RADIUS * np.maximum(np.sqrt(product), product.dtype.type(1))

    def _begin_line(self, direction: np.ndarray, slope: Scalar, longest: Scalar) -> None:
        self.direction, self.longest, self.is_solving = direction, longest, False
        self.line = begin_line(slope, find_rounding(self.loss))

    def _multiply(self, gradient: np.ndarray, tolerance: Scalar) -> None:
        """Take the difference of gradients as a product with the Hessian."""
        newton = self.newton
        image = (gradient - self.gradient) / choose_spacing(self)
        moved = step_along(newton, image, self.radius)
        if moved.is_convex and not newton.is_done:
            self.memory.remember(moved.step - newton.step, moved.residual - newton.residual)
        preconditioned = self.memory.multiply(moved.residual)
        product = moved.residual @ preconditioned
        floor = NEGLIGIBLE * tolerance
        most = count_directions(self, len(self.memory.inner))
        self.newton = turn(moved, preconditioned, product, floor, most)
        if self.newton.is_done:
            self._end_newton(preconditioned, product, tolerance)

    def _end_newton(self, preconditioned: np.ndarray, product: Scalar, tolerance: Scalar) -> None:
        """Search along the Newton step, unless the minimum is as near as the tolerance squared."""
        newton = self.newton
        slope, longest = self.gradient @ newton.step, np.sqrt(newton.step_square)
        if slope < 0:
            self._begin_line(newton.step, slope, longest)
        else:
            self._begin_line(-preconditioned, -product, longest)
        self.decrement = newton.decrease
        if newton.is_convex and newton.is_inside and newton.decrease <= tolerance:
            self.is_final = True
            # One more Newton step squares the error, unless it is that of rounding already.
            self.reason = CONVERGED if newton.decrease <= tolerance**2 else 0
