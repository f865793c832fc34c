"""The distinct modes that searches found: where, how high, how broad and how often found."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...density.base import LogDensity
from .curvature import Curvature, measure_curvature
from .surroundings import Probe, find_same_mode

# Maximum number of distinct modes; each one costs a few evaluations per search.
MAX_MODES = 8


@dataclass(frozen=True, eq=False)
class Mode:
    """A place where searches ended.

    Attributes:
        density: The log density.
        values: Constrained and derived values there, by name.
        lp: Log density there in nats.
        position: The flat unconstrained vector.
        searches: Indices of the searches that ended there.
        share: Share of all searches that ended there.
        distance: Distance from the best mode, in standard deviations of the normal approximation
            around that one; 0 for itself, NaN if the log density is not concave along the way.
    """

    density: LogDensity
    values: dict[str, np.ndarray]
    lp: float
    position: np.ndarray
    searches: tuple[int, ...]
    share: float
    distance: float

    def __repr__(self) -> str:
        return (
            f"Mode(lp={self.lp:.6g}, found by {len(self.searches)} searches, "
            f"distance={self.distance:.3g})"
        )

    @cached_property
    def curvature(self) -> Curvature:
        """The information matrix there, computed on request."""
        return measure_curvature(self.density, self.position, "curvature")

    @property
    def log_mass(self) -> float:
        """Logarithm of the integral of the normal approximation there, in nats (Laplace's method).

        NaN if the information is not positive definite, or if the density lacks the Jacobian of a
        map, as in the constrained space. Modes in the unconstrained space can be
        weighed by it; the heights of modes say nothing about their masses.

        Source: Tierney & Kadane (1986), equation 2.2.
        """
        curvature = self.curvature
        without_maps = all(site.constraint == "Real" for site in self.density.latent)
        if not curvature.is_definite or not (self.density.jacobian or without_maps):
            return float("nan")
        return self.lp + 0.5 * (len(self.position) * np.log(2 * np.pi) - curvature.log_det)


def cluster_ends(
    density: LogDensity, positions: np.ndarray, lp: np.ndarray, converged: np.ndarray, on_host: bool
) -> list[tuple[np.ndarray, float]]:
    """Group the ends of converged searches by place, the highest place first.

    Two ends share a place if their distance in the metric of the Hessian is a small share of a
    standard deviation; see `find_same_mode`.

    Args:
        density: The log density.
        positions: Shape (searches, size).
        lp: Log densities there, shape (searches,).
        converged: Which searches converged, shape (searches,).
        on_host: As in `Probe.at`.

    Returns:
        For each place the indices of its searches, the highest first, and its distance from the
        first place in standard deviations there.
    """
    order = np.argsort(-np.where(np.isfinite(lp), lp, -np.inf), kind="stable")
    left, groups = order[converged[order] & np.isfinite(lp[order])], []
    first = None
    while len(left) and len(groups) < MAX_MODES:
        probe = Probe.at(density, positions[left[0]], on_host)
        first = probe if first is None else first
        same = find_same_mode(probe, float(lp[left[0]]), positions[left])
        same[0] = True
        groups.append((left[same], _measure_distance(first, positions[left[0]])))
        left = left[~same]
    return groups


def _measure_distance(probe: Probe, end: np.ndarray) -> float:
    """Return the distance of an end from a probe's center in the metric of the Hessian there.

    NaN if the log density is not concave along the way.
    """
    way = end.astype(float) - probe.center
    length = np.linalg.norm(way)
    if not length > 0:
        return 0.0
    with np.errstate(all="ignore"):
        image = probe.multiply_hessian(way[None] / length)[0]
        return float(np.sqrt(-length * (way @ image)))
