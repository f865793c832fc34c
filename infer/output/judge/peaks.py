"""Find peaks of the density that hold much of the mass, but few of the draws."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import chdtri

from ...density.points import Evaluate
from ...numerics.information import compute_hessian
from ...programs.native import call_compiled
from ...target import Target
from .modes import measure_entropy

# Largest width of a peak, in standard deviations of the draws; a wider one is a ridge, of which a
# normal approximation says nothing.
WIDEST = 3.0
# Share of a normal distribution that counts as its peak.
NEAR = 0.999
# A peak counts from this share of the mass on, if it holds this share of the draws it should.
SMALLEST_SHARE, SEEN = 0.05, 0.1


class Peak(NamedTuple):
    """A peak, by a normal approximation.

    Attributes:
        share: Its mass, relative to its and the draws' mass together.
        seen: Share of the draws that lie in it.
    """

    share: float
    seen: float

    @property
    def is_unseen(self) -> bool:
        """Whether the draws miss it."""
        return self.share >= SMALLEST_SHARE and self.seen < SEEN * self.share


def measure_precision(
    density: Target, mode: np.ndarray, compute_gradients: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Compute minus the Hessian at a mode, shape (size, size).

    It is differentiated, forward over reverse. If a derivative of the user's own (`jax.custom_vjp`)
    allows only reverse mode, gradients are differenced, which misses a curvature that changes
    within their spacing.

    Args:
        density: The log density.
        mode: Shape (size,).
        compute_gradients: Computes gradients of the log density at points (n, size).
    """
    try:
        hessian = np.asarray(call_compiled(compute_hessian, density, mode), np.float64)
    except TypeError as error:
        if "custom_vjp" not in str(error):
            raise
        hessian = _difference_gradients(compute_gradients, mode)
    return -0.5 * (hessian + hessian.T)


def _difference_gradients(
    compute_gradients: Callable[[np.ndarray], np.ndarray], mode: np.ndarray
) -> np.ndarray:
    # They balance rounding and truncation.
    steps = np.cbrt(np.finfo(mode.dtype).eps) * np.maximum(1.0, np.abs(mode))
    ends = np.concatenate([mode + np.diag(steps), mode - np.diag(steps)])
    up, down = np.split(compute_gradients(ends.astype(mode.dtype)).astype(np.float64), 2)
    return (up - down) / (2 * steps[:, None])


def measure_peak(
    mode: np.ndarray, level: float, precision: np.ndarray, positions: np.ndarray, lp: np.ndarray
) -> Peak | None:
    """Compare the mass of a mode with that of the draws; None if it is no peak.

    The peak's mass is that of a normal distribution with its height and curvature (Laplace's
    approximation), and the draws' mass E[log density] + H as in `weigh_modes`.

    Args:
        mode: Shape (size,).
        level: The log density there, in nats.
        precision: Minus the Hessian there.
        positions: Draws in the flat vector, shape (chains, draws, size).
        lp: Their log densities, shape (chains, draws).
    """
    rows, size = positions.reshape(-1, len(mode)).astype(np.float64), len(mode)
    spread = rows.std(0)
    scaled = precision * spread * spread[:, None]
    if not np.isfinite(scaled).all() or not (spread > 0).all():
        return None
    curvatures = np.linalg.eigvalsh(scaled)
    if curvatures[0] < WIDEST**-2:
        return None
    mass = level - 0.5 * np.log(curvatures).sum() + np.log(spread).sum()
    others = lp.mean(dtype=np.float64) + size / 2 + measure_entropy(positions)
    away = rows - mode
    near = ((away @ precision) * away).sum(1) <= chdtri(size, 1 - NEAR)
    return Peak(float(1 / (1 + np.exp(np.clip(others - mass, -700, 700)))), float(near.mean()))


def compute_gradients(evaluate: Evaluate, points: np.ndarray, chains: int) -> np.ndarray:
    """Compute gradients at points (n, size) by a program that takes one for each chain."""
    index = np.minimum(np.arange(-(-len(points) // chains) * chains), len(points) - 1)
    found = evaluate(points[index].reshape(-1, chains, points.shape[-1]))
    whole = found.gradients + found.unvalued_gradients
    return whole.reshape(-1, points.shape[-1])[: len(points)]
