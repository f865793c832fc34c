"""Scales of the coordinates, from the variances of draws and scores."""

import numpy as np


def fisher_scale(draws: np.ndarray, scores: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """Compute the scales that minimize the Fisher divergence to a standard normal.

    The variance is sqrt(Var draws / Var scores), pooled over all rows, in float64. For
    independent normals it is exact for any number of rows. A coordinate whose variance is zero or
    not finite keeps its previous scale, and so do all with fewer than three finite rows.

    Args:
        draws: Shape (*densities, rows, size).
        scores: Gradients of the log density at the draws, of the same shape.
        previous: The scales in use, shape (*densities, size).

    Source: Seyboldt, Carlson & Carpenter (2026), arXiv 2603.18845, section on the diagonal.
    """
    finite = np.isfinite(draws).all(-1) & np.isfinite(scores).all(-1)
    if not finite.all():
        if draws.ndim > 2:
            return np.stack([fisher_scale(*own) for own in zip(draws, scores, previous)])  # noqa: B905
        draws, scores = draws[finite], scores[finite]
    if draws.shape[-2] < 3:
        return previous
    spread, steepness = (a.astype(np.float64, order="C").var(-2) for a in (draws, scores))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = (spread / steepness) ** 0.25
    return np.where(np.isfinite(scale) & (scale > 0), np.clip(scale, 1e-10, 1e10), previous)
