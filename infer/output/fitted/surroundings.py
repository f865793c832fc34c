"""Examine a log density around where searches ended: is it a mode, and which ends share it?"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from ...density.base import LogDensity
from ...density.family import singleton
from ...density.points import Points, make_lane_evaluator
from ...programs.native import call_compiled, prepare
from ...programs.slices import call_in_slices
from ...run.run import Run

# Points evaluated by one call of the program.
ROWS = 16
# Nats, and share of the log density, by which the ends of searches for one mode may differ.
NEAR, NEAR_SHARE = 1e-2, 1e-6
# Points on the line from one end through another, where the other is at 1.
LINE_POINTS = (0.5, 4.0, 8.0)
# Largest distance in each coordinate (relative, if it is large) between two ends that count as one
# place although the log density is flat around them.
CLOSE = 0.1


class Probe(NamedTuple):
    """A log density around one point, on the host.

    Attributes:
        density: The log density.
        center: The point, shape (size,).
        steps: Half widths of the central differences along each coordinate, shape (size,).
        alone: Evaluates one point, shape (1, size), by the program that searches on the host call;
            None if that program was not used.
        gradient: Gradient at the center, shape (size,); None if it is not known.
    """

    density: LogDensity
    center: np.ndarray
    steps: np.ndarray
    alone: Callable[[np.ndarray], Points] | None
    gradient: np.ndarray | None = None

    @classmethod
    def at(
        cls, density: LogDensity, center: np.ndarray, on_host: bool,
        gradient: np.ndarray | None = None,
    ) -> "Probe":  # fmt: skip
        """Choose steps that balance rounding and truncation: cube root of the precision."""
        scale = np.maximum(1.0, np.abs(center))
        steps = np.cbrt(np.finfo(center.dtype).eps) * scale
        own = singleton(density)
        alone = make_lane_evaluator(own, center[None]) if on_host else None
        return cls(density, center, steps, alone, gradient)

    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute values, shape (n,), and gradients, shape (n, size), at points of that shape."""

        def call(rows: np.ndarray) -> tuple[Array, Array]:
            return call_compiled(_evaluate_in_turn, self.density, rows, form="fast_compile")

        with np.errstate(over="ignore"):
            points = points.astype(self.center.dtype)
        if self.alone:
            each = [self.alone(point[None]) for point in points]
            values, gradients = (
                np.stack([getattr(here, name)[0] for here in each])
                for name in ("log_densities", "gradients")
            )
        else:
            values, gradients = call_in_slices(call, points, ROWS)
        return values.astype(float), gradients.astype(float)

    def multiply_hessian(self, directions: np.ndarray) -> np.ndarray:
        """Multiply the Hessian by unit vectors, shape (n, size), using central differences."""
        lengths = self._choose_lengths(directions)
        offsets = lengths * directions
        _, ends = self.evaluate(np.concatenate([self.center + offsets, self.center - offsets]))
        up, down = np.split(ends, 2)
        with np.errstate(all="ignore"):
            return (up - down) / (2 * lengths)

    def multiply_one_sided(self, directions: np.ndarray, side: int = 1) -> np.ndarray:
        """Do as `multiply_hessian` with one gradient a vector; the error is the step, not squared.

        Args:
            directions: Unit vectors, shape (n, size).
            side: 1 for forward differences, -1 for backward ones. The mean of both is central.
        """
        lengths = side * self._choose_lengths(directions)
        known = self.gradient is not None
        here = self.gradient if known else self.evaluate(self.center[None])[1][0]
        _, ends = self.evaluate(self.center + lengths * directions)
        with np.errstate(all="ignore"):
            return (ends - here) / lengths

    def _choose_lengths(self, directions: np.ndarray) -> np.ndarray:
        """Return steps along unit vectors, shape (n, 1): no coordinate moves by more than its own.

        Directions have the shape (n, size).
        """
        relative = (np.abs(directions) / self.steps).max(1, keepdims=True)
        return 1 / np.maximum(relative, np.finfo(float).tiny)


def has_point_program(run: Run) -> bool:
    """Return whether a run has called a program that evaluates one point."""
    is_alone = run.chains == 1 and jax.default_backend() == "cpu"
    return is_alone or run.groups[0].state.on_host


def prepare_probe(density: LogDensity) -> None:
    """Start to compile the program that a probe calls, if it evaluates several points."""
    blank = np.zeros((ROWS, density.size), jax.dtypes.canonicalize_dtype(float))
    prepare(_evaluate_in_turn, (), (density, blank), "fast_compile")


def _evaluate_in_turn(density: LogDensity, points: Array) -> tuple[Array, Array]:
    return jax.lax.map(density.evaluate, points)


def tolerance(lp: float) -> float:
    """Return by how many nats the ends of two searches for one mode may differ."""
    return NEAR + NEAR_SHARE * abs(lp)


def find_same_mode(probe: Probe, lp: float, ends: np.ndarray) -> np.ndarray:
    """Return which searches ended at the center of a probe, within the tolerance of a search.

    That tolerance is a small share of the posterior's width, which is measured along the line
    through each end: half way to the end and eight times as far out, the log density must have
    fallen little, and like a parabola. If it does not fall at all, the end must be near.

    Args:
        probe: A probe at one of the ends.
        lp: The log density there, in nats; not finite if it has no value.
        ends: Ends of all searches that reached the same height, shape (searches, size).
    """
    ways = ends.astype(float) - probe.center
    if not ways.any():
        return np.full(len(ends), True)
    away = np.abs(ways) / np.maximum(1.0, np.abs(probe.center))
    near = np.asarray(away.max(1) <= CLOSE)
    if not np.isfinite(lp):
        return near
    with np.errstate(all="ignore"):
        points = probe.center + np.array(LINE_POINTS)[:, None, None] * ways
        values, _ = probe.evaluate(points.reshape(-1, len(probe.center)))
        falls = np.where(np.isfinite(values), lp - values, np.inf).reshape(len(LINE_POINTS), -1)
    half, inner, outer = falls
    little = (half <= tolerance(lp)) & (outer <= LINE_POINTS[2] ** 2 * tolerance(lp))
    seen = outer > 1e3 * np.finfo(probe.center.dtype).eps * max(1.0, abs(lp))
    # A parabola falls four times as much at twice the distance.
    parabola = (outer >= 2 * inner) & (outer <= 8 * inner)
    return little & (near | (seen & parabola))


def list_most_changed(density: LogDensity, direction: np.ndarray) -> tuple[str, ...]:
    """List the coordinates that a direction changes at least half as much as any other."""
    size, labels = np.abs(direction), density.labels()
    return tuple(labels[i] for i in np.flatnonzero(size >= 0.5 * size.max()))
