"""Normal distributions at the modes of many densities at once, and whether each has one mode."""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from .blas import one_blas_thread
from .mode_masses import CLOSE, SAME
from .mode_search import CONVERGED, ROUNDING

# Nats by which a search that did not converge must end above the mode to count.
HIGHER = 1.0
# Degrees of freedom of the t distribution. Candidates with 5 did not come to the mass of a banana,
# ten standard deviations away, and 2000 of them had a k-hat of 0.62.
FREEDOM = 1
# Nats by which both halves of the candidates may disagree about the evidence, beyond three standard
# errors.
AGREEMENT = 0.1


class Normals(NamedTuple):
    """Normal distributions in the flat vector, one for each density.

    Attributes:
        modes: Their means, shape (densities, size).
        factors: Lower triangular factors L of the precisions L L^T, shape (densities, size, size);
            the identity if there is no normal distribution.
        log_dets: Logarithms of the determinants of the factors, shape (densities,).
        is_definite: Whether there is one: minus the Hessian is positive definite.
    """

    modes: np.ndarray
    factors: np.ndarray
    log_dets: np.ndarray
    is_definite: np.ndarray


def choose_ends(lp: np.ndarray, reasons: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Choose the highest end of the searches that converged.

    Args:
        lp: Log density where each search ended, in nats, shape (densities, searches).
        reasons: Why it ended, likewise; see `mode_search.py`.

    Returns:
        The index of a search for each density; which densities have a converged search; and those
        for which none that did not converge ended higher.
    """
    lp = np.where(np.isfinite(lp), lp, -np.inf)
    found = np.isin(reasons, (CONVERGED, ROUNDING)) & np.isfinite(lp)
    heights = np.where(found, lp, -np.inf)
    best = heights.argmax(1)
    top = np.take_along_axis(heights, best[:, None], 1)
    others = np.where(found, -np.inf, lp)
    return best, np.asarray(found.any(1)), ~np.asarray((others > top + HIGHER).any(1))


def make_normals(modes: np.ndarray, hessians: np.ndarray) -> Normals:
    """Put a normal distribution at each mode.

    Args:
        modes: Shape (densities, size).
        hessians: Hessians of the log densities there, shape (densities, size, size).
    """
    precision = -0.5 * (hessians + hessians.swapaxes(1, 2)).astype(np.float64)
    diagonal, size = np.diagonal(precision, axis1=1, axis2=2), modes.shape[1]
    sound = np.asarray(np.isfinite(precision).all((1, 2)) & (diagonal > 0).all(1))
    # In units of the diagonal, so that scales do not matter.
    scale = np.sqrt(np.where(sound[:, None], diagonal, 1.0))
    unit = np.where(sound[:, None, None], precision, np.eye(size))
    unit = unit / scale[:, :, None] / scale[:, None]
    with one_blas_thread():
        sound &= np.linalg.eigvalsh(unit)[:, 0] > size * np.finfo(modes.dtype).eps
        factors = np.linalg.cholesky(np.where(sound[:, None, None], unit, np.eye(size)))
    factors = np.where(sound[:, None, None], scale[:, :, None] * factors, np.eye(size))
    log_dets = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(1)
    return Normals(modes.astype(np.float64), factors, log_dets, sound)


def share_one_mode(normals: Normals, ends: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return for which densities all converged searches ended at the mode of the normal.

    Args:
        normals: The normal distributions.
        ends: Where the searches ended, shape (densities, searches, size).
        found: Which of them converged, shape (densities, searches).
    """
    ways = ends - normals.modes[:, None]
    near = np.abs(ways).max(2) <= CLOSE * np.maximum(1.0, np.abs(normals.modes).max(1))[:, None]
    # The root mean square distance in standard deviations.
    distances = np.sqrt(((ways @ normals.factors) ** 2).mean(2))
    near = np.where(normals.is_definite[:, None], distances <= SAME, near)
    return (near | ~found).all(1)


class Candidates(NamedTuple):
    """Draws of mixtures of each normal distribution and a t distribution of the same scale.

    Attributes:
        draws: Shape (densities, draws, size); the second half is of the t distributions.
        normal: Log densities of the normal distributions there in nats, shape (densities, draws).
        heavy: Those of the t distributions.
    """

    draws: np.ndarray
    normal: np.ndarray
    heavy: np.ndarray

    @property
    def log_q(self) -> np.ndarray:
        """Log densities of the mixtures in nats, shape (densities, draws)."""
        return np.logaddexp(self.normal, self.heavy) - np.log(2)

    def agree(self, lp: np.ndarray) -> np.ndarray:
        """Return for which densities both halves give the same evidence, up to their errors.

        If mass is where the normal distribution hardly has draws, its half lacks it.

        Args:
            lp: Log densities of the posterior at the draws in nats, of the shape of `normal`.
        """
        half = lp.shape[1] // 2
        one = _average((lp - self.normal)[:, :half])
        other = _average((lp - self.heavy)[:, half:])
        error = 3 * np.hypot(one[1], other[1]) + AGREEMENT
        return np.abs(one[0] - other[0]) <= error


def _average(log_ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the logarithm of the mean ratio of each row, and its standard error."""
    usable = np.where(np.isfinite(log_ratios), log_ratios, -np.inf)
    top = np.maximum(usable.max(1, keepdims=True), -1e300)
    ratios = np.exp(usable - top)
    mean = np.maximum(ratios.mean(1), 1e-300)
    error = ratios.std(1) / mean / np.sqrt(ratios.shape[1])
    return np.log(mean) + top[:, 0], error


def draw_candidates(normals: Normals, noise: np.ndarray, chi_square: np.ndarray) -> Candidates:
    """Draw from each normal distribution, and as many from a t distribution of the same scale.

    The tails of a normal distribution would not come to where heavier ones of the posterior are, so
    that k-hat could not tell. The ratio of a normal density to the mixture is at most two.

    Args:
        normals: The distributions.
        noise: Standard normal numbers, shape (densities, draws, size).
        chi_square: Numbers of a chi-square distribution with `FREEDOM` degrees of freedom, shape
            (densities, half of the draws).

    Source: Hesterberg (1995), Weighted average importance sampling and defensive mixture
        distributions, section 2, for a mixture with the t distribution of Geweke (1989).
    """
    noise, own, size = noise.copy(), chi_square.shape[1], noise.shape[2]
    noise[:, -own:] *= np.sqrt(FREEDOM / chi_square)[..., None]
    with one_blas_thread():
        draws = normals.modes[:, None] + noise @ np.linalg.inv(normals.factors)
    squares = (noise**2).sum(2)
    normal = -0.5 * squares - 0.5 * size * np.log(2 * np.pi)
    power = 0.5 * (FREEDOM + size)
    constant = gammaln(power) - gammaln(FREEDOM / 2) - 0.5 * size * np.log(FREEDOM * np.pi)
    heavy = constant - power * np.log1p(squares / FREEDOM)
    return Candidates(draws, *(normals.log_dets[:, None] + log for log in (normal, heavy)))
