"""Find the directions in which standardized draws differ most from a standard normal."""

import numpy as np

# Directions stretched or shrunk by less than sqrt(2) are left unchanged.
SMALLEST_RATIO = 2.0
# Added to sums of squares, not to means, so that its weight decreases with the number of rows.
REGULARIZER = 1e-5
MIN_ROWS = 10
# More rows are thinned to at most this many when a basis of the rows is built.
MAX_ROWS = 256
# Size above which directions cost more than a cheap gradient, so that time and memory count: rows
# are thinned, one in `BASIS_EVERY` makes the basis, and only those directions are stretched that
# pay. Measured on a normal with ten directions and 60 to 600 rows, the scales that were left
# differed by factors of 11 to 27 with one row in two, of 3 to 11 with one in three, and of 3 to 16
# with one in four.
LARGE, LARGE_ROWS, BASIS_EVERY = 2000, 512, 3
# What a stretched direction adds to the time of a step, as a share of one with a cheap gradient:
# 0.1 with 2100 coordinates. A CPU stretches along so many together.
COST, TOGETHER = 0.1, 8
# Squared length, relative to the largest, of a direction that only rounding errors tell apart.
REDUNDANT = 1e-9
# Size above which the default metric is diagonal: 32 directions would take more than 50 MB.
HUGE = 200_000


def find_principal_stretches(
    draws: np.ndarray, scores: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the directions along which a metric should stretch, and by how much.

    The covariance is the geometric mean of the draws' covariance and the inverse of the scores'
    covariance. It minimizes the Fisher divergence to a standard normal, and is exact for a normal
    target whose draws span the space.

    Args:
        draws: Standardized draws, shape (*densities, rows, size).
        scores: Gradients with respect to the standardized position, of the same shape.
        most: Maximum number of directions to return, the most stretched first.

    Returns:
        Orthonormal directions, shape (*densities, size, most), and their stretches, shape
        (*densities, most): the square roots of their variances. If there are fewer directions, the
        others are zero, with a stretch of 1.

    Source: Seyboldt, Carlson & Carpenter (2026), arXiv 2603.18845, the low-rank metric.
    """
    finite = np.isfinite(draws).all(-1) & np.isfinite(scores).all(-1)
    is_large = draws.shape[-1] > LARGE
    if draws.ndim > 2 and (is_large or not finite.all()):
        each = [find_principal_stretches(*own, most) for own in zip(draws, scores)]  # noqa: B905
        return np.stack([own[0] for own in each]), np.stack([own[1] for own in each])
    if not finite.all():
        draws, scores = draws[finite], scores[finite]
    if is_large:
        every = max(-(-len(draws) // LARGE_ROWS), 1)
        draws, scores = draws[::every], scores[::every]
    rows, size = draws.shape[-2:]
    none = np.zeros((*draws.shape[:-2], size, most)), np.ones((*draws.shape[:-2], most))
    if rows < MIN_ROWS:
        return none
    spread, steepness = _center(draws), _center(scores)
    if size <= 2 * min(rows, MAX_ROWS):
        return _find_stretches(spread, steepness, most)
    basis = _independent_basis(spread, steepness) if is_large else _basis(spread, steepness)
    if not basis.shape[-1]:
        return none
    directions, stretch = _find_stretches(spread @ basis, steepness @ basis, most, is_large)
    return basis @ directions, stretch


def _center(rows: np.ndarray) -> np.ndarray:
    # Last bits depend on the order in the memory.
    rows = rows.astype(np.float64, order="C")
    return rows - rows.mean(-2, keepdims=True)


def _basis(spread: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    """Build an orthonormal basis of the space spanned by the rows of both."""
    every = -(-spread.shape[-2] // MAX_ROWS)
    thinned = [own[..., ::every, :] for own in (spread, steepness)]
    return np.linalg.qr(np.concatenate(thinned, -2).swapaxes(-1, -2))[0]


def _independent_basis(spread: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    """Build an orthonormal basis of some rows of both, from their inner products.

    Most scores of a large target are combinations of the draws; directions that only rounding
    errors tell apart are left out. Variances along the others are measured by all rows, which
    are more than the directions.
    """
    rows = np.concatenate((spread[::BASIS_EVERY], steepness[::BASIS_EVERY]))
    with np.errstate(over="ignore", invalid="ignore"):
        products = rows @ rows.T
    if not np.isfinite(products).all():
        return np.zeros((rows.shape[1], 0))
    squares, turns = np.linalg.eigh(products)
    kept = squares > REDUNDANT * squares[-1]
    return rows.T @ (turns[:, kept] / np.sqrt(squares[kept]))


def _find_stretches(
    spread: np.ndarray, steepness: np.ndarray, most: int, must_pay: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Find directions and stretches from centered rows in a space of few dimensions.

    With `must_pay` there are only as many as shorten trajectories by more than they cost.
    """
    size = spread.shape[-1]
    with np.errstate(over="ignore", invalid="ignore"):
        squares = _sum_squares(spread), _sum_squares(steepness)
    sound = np.all([np.isfinite(own).all((-2, -1)) for own in squares], axis=0)
    squares = [np.where(sound[..., None, None], own, np.eye(size)) for own in squares]
    ratios, vectors = np.linalg.eigh(_geometric_mean(*squares))
    sound = (sound & (ratios[..., 0] > 0))[..., None]
    distances = np.abs(np.log(np.where(sound, ratios, 1.0)))
    order = np.argsort(-distances, axis=-1)[..., :most]
    kept = sound & (np.take_along_axis(distances, order, -1) > np.log(SMALLEST_RATIO))
    if must_pay:
        kept = kept & (np.arange(kept.shape[-1]) < _count_paying(distances, most)[..., None])
    stretch = np.sqrt(np.where(kept, np.take_along_axis(ratios, order, -1), 1.0))
    chosen = np.take_along_axis(vectors, order[..., None, :], -1)
    directions = np.where(kept[..., None, :], chosen, 0.0)
    missing = [(0, 0)] * (stretch.ndim - 1) + [(0, most - stretch.shape[-1])]
    return (
        np.pad(directions, [(0, 0), *missing]),
        np.pad(stretch, missing, constant_values=1.0),
    )


def _count_paying(distances: np.ndarray, most: int) -> np.ndarray:
    """Count how many of the most stretched directions make draws cheapest.

    The number of steps grows with the square root of the largest ratio of variances that is left.
    A few directions that stand out pay; the first few of a broad spectrum do not.

    Args:
        distances: Absolute logarithms of the ratios, shape (*densities, directions).
        most: Maximum number to count.
    """
    left = -np.sort(-distances, axis=-1)[..., : most + 1]
    used = TOGETHER * -(-np.arange(left.shape[-1]) // TOGETHER)
    costs = left / 2 + np.log1p(COST * used)
    return costs.argmin(-1)


def _sum_squares(rows: np.ndarray) -> np.ndarray:
    return rows.swapaxes(-1, -2) @ rows + REGULARIZER * np.eye(rows.shape[-1])


def _geometric_mean(spread: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    """Compute A # B^-1 = L^-T (L^T A L)^1/2 L^-1 for positive definite A and B = L L^T."""
    # Relative to the trace: eigenvalues below this are rounding errors.
    floor = 1e-12 * np.trace(steepness, axis1=-2, axis2=-1)[..., None, None]
    factor = np.linalg.cholesky(steepness + floor * np.eye(steepness.shape[-1]))
    inner, turns = np.linalg.eigh(factor.swapaxes(-1, -2) @ spread @ factor)
    fourth = turns * np.maximum(inner, 0.0)[..., None, :] ** 0.25
    # A triangular matrix is its own factor, so that this solves by substitution alone.
    half = np.linalg.solve(factor.swapaxes(-1, -2), fourth)
    return half @ half.swapaxes(-1, -2)


def choose_rank(size: int) -> int:
    """Return the maximum number of directions to stretch if the user gives none."""
    if size == 1:
        return 0
    return min(size, 64) if size <= 500 else 32 if size <= HUGE else 0
