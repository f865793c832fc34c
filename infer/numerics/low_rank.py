"""Find the directions in which standardized draws differ most from a standard normal."""

import numpy as np
from scipy.linalg import solve_triangular

# Directions stretched or shrunk by less than sqrt(2) are left unchanged.
SMALLEST_RATIO = 2.0
# Added to sums of squares, not to means, so that its weight decreases with the number of rows.
REGULARIZER = 1e-5
MIN_ROWS = 10
# More rows are thinned to at most this many when a basis of the rows is built.
MAX_ROWS = 256


def find_principal_stretches(
    draws: np.ndarray, scores: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the directions along which a metric should stretch, and by how much.

    The covariance is the geometric mean of the draws' covariance and the inverse of the scores'
    covariance. It minimizes the Fisher divergence to a standard normal, and is exact for a normal
    target whose draws span the space.

    Args:
        draws: Standardized draws, shape (rows, size).
        scores: Gradients with respect to the standardized position, shape (rows, size).
        most: Maximum number of directions to return, the most stretched first.

    Returns:
        Orthonormal directions, shape (size, count), and their stretches, shape (count,): the
        square roots of their variances.

    Source: Seyboldt, Carlson & Carpenter (2026), arXiv 2603.18845, the low-rank metric.
    """
    size = draws.shape[1]
    finite = np.isfinite(draws).all(-1) & np.isfinite(scores).all(-1)
    if finite.sum() < MIN_ROWS:
        return _no_directions(size)
    spread, steepness = (_center(a[finite]) for a in (draws, scores))
    if size <= 2 * min(len(spread), MAX_ROWS):
        return _find_stretches(spread, steepness, most)
    basis = _basis(spread, steepness)
    directions, stretch = _find_stretches(spread @ basis, steepness @ basis, most)
    return basis @ directions, stretch


def _center(rows: np.ndarray) -> np.ndarray:
    return rows.astype(np.float64) - rows.mean(0, dtype=np.float64)


def _basis(spread: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    """Build an orthonormal basis of the space spanned by the rows of both."""
    thinned = slice(None, None, -(-len(spread) // MAX_ROWS))
    return np.linalg.qr(np.concatenate([spread[thinned], steepness[thinned]]).T)[0]


def _find_stretches(
    spread: np.ndarray, steepness: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find directions and stretches from centered rows in a space of few dimensions."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = _sum_squares(spread), _sum_squares(steepness)
    if not all(np.isfinite(own).all() for own in squares):
        return _no_directions(spread.shape[1])
    ratios, vectors = np.linalg.eigh(_geometric_mean(*squares))
    if ratios[0] <= 0:
        return _no_directions(spread.shape[1])
    order = np.argsort(-np.abs(np.log(ratios)))[:most]
    kept = order[np.abs(np.log(ratios[order])) > np.log(SMALLEST_RATIO)]
    return vectors[:, kept], np.sqrt(ratios[kept])


def _no_directions(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((size, 0)), np.zeros(0)


def _sum_squares(rows: np.ndarray) -> np.ndarray:
    return rows.T @ rows + REGULARIZER * np.eye(rows.shape[1])


def _geometric_mean(spread: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    """Compute A # B^-1 = L^-T (L^T A L)^1/2 L^-1 for positive definite A and B = L L^T."""
    # Relative to the trace: eigenvalues below this are rounding errors.
    floor = 1e-12 * np.trace(steepness) * np.eye(len(steepness))
    factor = np.linalg.cholesky(steepness + floor)
    inner, turns = np.linalg.eigh(factor.T @ spread @ factor)
    fourth = turns * np.maximum(inner, 0.0) ** 0.25
    half = solve_triangular(factor, fourth, trans=1, lower=True, check_finite=False)
    return half @ half.T


def choose_rank(size: int) -> int:
    """Return the maximum number of directions to stretch if the user gives none."""
    if size == 1:
        return 0
    return min(size, 64) if size <= 500 else 32 if size <= 2000 else 0
