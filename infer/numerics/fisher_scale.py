"""Scales of the coordinates, from the variances of draws and scores."""

import numpy as np


def fisher_scale(draws: np.ndarray, scores: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """Compute the scales that minimize the Fisher divergence to a standard normal.

    The variance is sqrt(Var draws / Var scores), pooled over all rows, in float64. For
    independent normals it is exact for any number of rows. A coordinate whose variance is zero or
    not finite keeps its previous scale, and so do all with fewer than three finite rows.

    Args:
        draws: Shape (rows, size).
        scores: Gradients of the log density at the draws, shape (rows, size).
        previous: The scales in use, shape (size,).

    Source: Seyboldt, Carlson & Carpenter (2026), arXiv 2603.18845, section on the diagonal.
    """
    finite = np.isfinite(draws).all(-1) & np.isfinite(scores).all(-1)
    if finite.sum() < 3:
        return previous
    spread = draws[finite].astype(np.float64).var(0)
    steepness = scores[finite].astype(np.float64).var(0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = (spread / steepness) ** 0.25
    return np.where(np.isfinite(scale) & (scale > 0), np.clip(scale, 1e-10, 1e10), previous)
