"""Directions in which standardised draws are spread otherwise than a standard normal."""

import numpy as np

# Directions stretched by less than sqrt(2) either way are left as they are.
SMALLEST_RATIO = 2.0
# Added to sums of squares, not to means: its weight fades with the number of rows.
REGULARISER = 1e-5
FEWEST_ROWS = 10
# Rows beyond these are thinned, where a basis of the rows is cheaper than one of the space.
MOST_ROWS = 256


def principal_stretches(
    draws: np.ndarray, scores: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the directions along which a metric should stretch, and by how much.

    The covariance sought is the geometric mean of that of the draws and the inverse of that of
    the scores: it minimises the Fisher divergence to a standard normal, and is exact for a
    normal target whose draws span the space.

    Args:
        draws: Standardised, shape (rows, size).
        scores: Gradients with respect to the standardised position, shape (rows, size).
        most: How many directions to return at most, the most stretched first.

    Returns:
        Orthonormal directions, shape (size, count), and the stretch of each: the square root of
        its variance, shape (count,).

    Source: Seyboldt, Carlson & Carpenter (2026), arXiv 2603.18845, the low-rank metric.
    """
    size = draws.shape[1]
    none = np.zeros((size, 0)), np.zeros(0)
    finite = np.isfinite(draws).all(-1) & np.isfinite(scores).all(-1)
    if finite.sum() < FEWEST_ROWS:
        return none
    spread, steepness = (_centred(a[finite]) for a in (draws, scores))
    basis = _basis(spread, steepness)
    variance = _geometric_mean(_squares(spread @ basis), _squares(steepness @ basis))
    ratios, vectors = np.linalg.eigh(variance)
    if not np.all(np.isfinite(ratios)) or ratios[0] <= 0:
        return none
    order = np.argsort(-np.abs(np.log(ratios)))[:most]
    kept = order[np.abs(np.log(ratios[order])) > np.log(SMALLEST_RATIO)]
    return basis @ vectors[:, kept], np.sqrt(ratios[kept])


def _centred(rows: np.ndarray) -> np.ndarray:
    return rows.astype(np.float64) - rows.mean(0, dtype=np.float64)


def _basis(spread: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span the rows of both, or the whole space if it is small."""
    rows, size = spread.shape
    if size <= 2 * min(rows, MOST_ROWS):
        return np.eye(size)
    thinned = slice(None, None, -(-rows // MOST_ROWS))
    return np.linalg.qr(np.concatenate([spread[thinned], steepness[thinned]]).T)[0]


def _squares(rows: np.ndarray) -> np.ndarray:
    return rows.T @ rows + REGULARISER * np.eye(rows.shape[1])


def _geometric_mean(spread: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    """A # B^-1 = B^-1/2 (B^1/2 A B^1/2)^1/2 B^-1/2, of symmetric positive definite A and B."""
    values, vectors = np.linalg.eigh(steepness)
    # A floor relative to the largest: below it, eigenvalues are rounding.
    values = np.maximum(values, values[-1] * 1e-14)
    root, inverse_root = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
    inner, turns = np.linalg.eigh(root @ spread @ root)
    middle = (turns * np.sqrt(np.maximum(inner, 0.0))) @ turns.T
    return inverse_root @ middle @ inverse_root
