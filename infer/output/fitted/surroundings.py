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
from ...run.stepped import is_on_host

# Points evaluated by one call of the program.
ROWS = 16
# Largest size for which the whole Hessian is computed, by two gradients a column. For larger
# sizes, a subspace of this many vectors is examined: of eight random vectors and their images, as
# before, 64 vectors have powers of the Hessian up to the seventh alone.
MAX_WHOLE, SUBSPACE = 64, 32
# Nats, and share of the log density, by which the ends of searches for one mode may differ.
NEAR, NEAR_SHARE = 1e-2, 1e-6
# Points on the line from one end through another, where the other is at 1.
LINE_POINTS = (0.5, 4.0, 8.0)
# Largest distance in each coordinate (relative, if it is large) between two ends that count as one
# place although the log density is flat around them.
CLOSE = 0.1
# Nats that a direction of ascent should gain at the points tried, and the share required.
GAINS, GAINED = np.array([1.0, 10.0, 100.0, 1000.0]), 0.3


class Rise(NamedTuple):
    """A direction in which the log density rises.

    Attributes:
        gain: Largest rise in nats at the points tried.
        along: Names of the coordinates that the direction changes most.
    """

    gain: float
    along: tuple[str, ...]


class Probe(NamedTuple):
    """A log density around one point, on the host.

    Attributes:
        density: The log density.
        center: The point, shape (size,).
        steps: Half widths of the central differences along each coordinate, shape (size,).
        alone: Evaluates one point, shape (1, size), by the program of `run.stepped`; None if that
            program was not used.
    """

    density: LogDensity
    center: np.ndarray
    steps: np.ndarray
    alone: Callable[[np.ndarray], Points] | None

    @classmethod
    def at(cls, density: LogDensity, center: np.ndarray, searches: int) -> "Probe":
        """Choose steps that balance rounding and truncation: cube root of the precision."""
        scale = np.maximum(1.0, np.abs(center))
        steps = np.cbrt(np.finfo(center.dtype).eps) * scale
        own = singleton(density)
        alone = make_lane_evaluator(own, center[None]) if is_on_host(own, searches) else None
        return cls(density, center, steps, alone)

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
        # No coordinate moves by more than its own step.
        relative = np.abs(directions) / self.steps
        lengths = 1 / np.maximum(relative.max(1), np.finfo(float).tiny)
        offsets = lengths[:, None] * directions
        _, ends = self.evaluate(np.concatenate([self.center + offsets, self.center - offsets]))
        up, down = np.split(ends, 2)
        with np.errstate(all="ignore"):
            return (up - down) / (2 * lengths[:, None])


def prepare_probe(density: LogDensity, searches: int) -> None:
    """Start to compile the program that a probe calls, unless it is that of `run.stepped`."""
    if is_on_host(singleton(density), searches):
        return
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


def find_rise(probe: Probe, lp: float) -> Rise | None:
    """Look for a direction in which the log density rises from a stationary point.

    The direction of largest curvature is tried: a rise that is returned was observed. For more
    than 64 coordinates, the Hessian is projected on a Krylov subspace of 32 vectors, so a rise may
    be missed.
    """
    curvature, direction = _largest_curvature(probe)
    if not curvature > 0:
        return None
    resolution = max(NEAR, 1e3 * np.finfo(probe.center.dtype).eps * abs(lp))
    lengths = np.sqrt(2 * resolution * GAINS / curvature)
    offsets = np.concatenate([lengths, -lengths])[:, None] * direction
    values, _ = probe.evaluate(probe.center + offsets)
    gains = values - lp
    seen = np.isfinite(gains) & (gains >= GAINED * resolution * np.tile(GAINS, 2))
    if not seen.any():
        return None
    return Rise(float(gains[seen].max()), list_most_changed(probe.density, direction))


def _largest_curvature(probe: Probe) -> tuple[float, np.ndarray]:
    """Find the direction of largest positive curvature, relative to its coordinates' scales."""
    size = len(probe.center)
    if size > MAX_WHOLE:
        return _largest_curvature_in_subspace(probe)
    hessian = probe.multiply_hessian(np.eye(size))
    with np.errstate(over="ignore"):
        hessian = 0.5 * (hessian + hessian.T)
    if not np.isfinite(hessian).all():
        return np.nan, np.zeros(size)
    # Scaled to equal curvature in every coordinate, so that a stiff one does not hide a soft one.
    diagonal = np.abs(np.diagonal(hessian))
    scale = 1 / np.sqrt(np.maximum(diagonal, 1e-12 * diagonal.max() + np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(scale[:, None] * hessian * scale)
    return float(values[-1]), scale * vectors[:, -1]


def _largest_curvature_in_subspace(probe: Probe) -> tuple[float, np.ndarray]:
    """Use the Krylov space of a random vector, with all its vectors orthogonalized twice.

    Source: Golub & Van Loan (2013), sections 10.1 and 10.3.
    """
    vector = np.random.default_rng(0).normal(size=len(probe.center))
    basis, images = np.empty((SUBSPACE, len(vector))), np.empty((SUBSPACE, len(vector)))
    for k in range(SUBSPACE):
        for _ in range(2):
            vector = vector - (basis[:k] @ vector) @ basis[:k]
        basis[k] = vector / max(np.linalg.norm(vector), np.finfo(float).tiny)
        images[k] = vector = probe.multiply_hessian(basis[k : k + 1])[0]
        if not np.isfinite(vector).all():
            return np.nan, vector
    inner = basis @ images.T
    values, vectors = np.linalg.eigh(0.5 * (inner + inner.T))
    return float(values[-1]), vectors[:, -1] @ basis


def list_most_changed(density: LogDensity, direction: np.ndarray) -> tuple[str, ...]:
    """List the coordinates that a direction changes at least half as much as any other."""
    size, labels = np.abs(direction), density.labels()
    return tuple(labels[i] for i in np.flatnonzero(size >= 0.5 * size.max()))
