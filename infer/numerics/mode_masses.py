"""Which searches share a mode, and how much of the mass each mode has, by Laplace's method."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .local_normal import LocalNormal

# Largest distance, in root mean square standard deviations of the local normal approximation, of
# two ends of searches for one mode: ten times what the default tolerance leaves.
SAME = 0.02
# The same where there is no approximation, relative to coordinates above one.
CLOSE = 1e-2
# Maximum number of distinct modes; each one costs a local approximation.
MAX_MODES = 6


class WeighedMode(NamedTuple):
    """A mode that searches found.

    Attributes:
        normal: The normal approximation around it.
        lp: Log density there, in nats.
        log_mass: Logarithm of the mass around it, in nats; NaN if it has none.
        searches: Number of searches that ended there.
    """

    normal: LocalNormal
    lp: float
    log_mass: float
    searches: int


def weigh_modes(
    approximate: Callable[[np.ndarray], LocalNormal], ends: np.ndarray, lp: np.ndarray
) -> list[WeighedMode]:
    """Group the ends of converged searches by mode, and weigh the modes.

    Args:
        approximate: Makes the normal approximation around a mode.
        ends: Where the searches ended, the highest first, shape (searches, size).
        lp: Log densities there in nats, shape (searches,).

    Returns:
        The modes, the one of largest mass first; those without a mass come last, in the order of
        their heights.
    """
    modes = []
    while len(ends) and len(modes) < MAX_MODES:
        normal = approximate(ends[0])
        same = _is_near(normal, ends)
        mass = normal.measure_log_mass(float(lp[0]))
        modes.append(WeighedMode(normal, float(lp[0]), mass, int(same.sum())))
        ends, lp = ends[~same], lp[~same]
    return sorted(modes, key=lambda m: -m.log_mass if np.isfinite(m.log_mass) else np.inf)


def share_masses(modes: list[WeighedMode]) -> np.ndarray:
    """Return the share of each mode in the mass of all; 0 for one without a mass."""
    masses = np.array([mode.log_mass for mode in modes])
    masses = np.where(np.isfinite(masses), masses, -np.inf)
    if not np.isfinite(masses).any():
        return np.zeros(len(modes))
    shares = np.exp(masses - masses.max())
    return shares / shares.sum()


def _is_near(normal: LocalNormal, ends: np.ndarray) -> np.ndarray:
    """Return which ends are where the first one is."""
    way = ends.astype(float) - ends[0]
    near = np.abs(way).max(1) <= CLOSE * max(1.0, float(np.abs(ends[0]).max()))
    if normal.is_definite:
        near = normal.measure_distance(way) <= SAME
    near[0] = True
    return near
