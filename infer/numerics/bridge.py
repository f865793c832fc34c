"""Warp-III bridge sampling: the integral of a density from draws of it, by a normal fitted to them.

The first half of each chain gives the normal, the second half the estimate. In coordinates in which
the normal is standard, the density is made symmetric about the origin, which changes neither its
integral nor that of the normal and removes its skewness.

Source: Meng & Schilling (2002), Warp bridge sampling, JCGS 11, section 4; Meng & Wong (1996),
    Simulating ratios of normalizing constants, equation 4.1 (the optimal bridge); the error as in
    Fruehwirth-Schnatter (2004), Estimating marginal likelihoods for mixture and Markov switching
    models, section 3; half of the draws for the fit as in Gronau et al. (2020), bridgesampling.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from .mixing import estimate_ess

# Log densities in nats of points of shape (points, size).
LogDensities = Callable[[np.ndarray], np.ndarray]


class Bridge(NamedTuple):
    """An estimate of the logarithm of an integral.

    Attributes:
        log_integral: In nats.
        standard_error: In nats; covers the draws' autocorrelation, not a mode without draws.
        ess: Effective number of the draws that the estimate averages over.
        overlap: Effective number of the normal's draws, weighted by the density.
    """

    log_integral: float
    standard_error: float
    ess: float
    overlap: float


class Warp(NamedTuple):
    """The affine map x = mean + factor @ z under which a fitted normal is standard.

    Attributes:
        mean: Shape (size,).
        factor: Lower triangular, shape (size, size).
    """

    mean: np.ndarray
    factor: np.ndarray


def fit_warp(draws: np.ndarray) -> Warp | None:
    """Fit a normal to draws of shape (draws, size); None if their covariance is singular."""
    rows, size = draws.shape
    if rows <= size:
        return None
    try:
        factor = np.linalg.cholesky(np.atleast_2d(np.cov(draws.T)))
    except np.linalg.LinAlgError:
        return None
    return Warp(draws.mean(0), factor)


def bridge(log_densities: LogDensities, warp: Warp, draws: np.ndarray, seed: int) -> Bridge:
    """Estimate the integral of a density from draws that the warp was not fitted to.

    Args:
        log_densities: Its log densities, not normalized.
        warp: The fitted normal.
        draws: Shape (chains, draws, size).
        seed: Seed of the normal's draws, of which there are as many.
    """
    chains, count, size = draws.shape
    whitened = np.linalg.solve(warp.factor, (draws - warp.mean).reshape(-1, size).T).T
    proposals = np.random.default_rng(seed).normal(size=whitened.shape)
    ours = _log_ratios(log_densities, warp, whitened).reshape(chains, count)
    theirs = _log_ratios(log_densities, warp, proposals)
    return solve_bridge(ours, theirs)


def _log_ratios(log_densities: LogDensities, warp: Warp, points: np.ndarray) -> np.ndarray:
    """Return the log of the symmetric density over the standard normal one at whitened points."""
    each = [
        log_densities(warp.mean + sign * points @ warp.factor.T).astype(np.float64)
        for sign in (1, -1)
    ]
    finite = [np.where(np.isnan(own), -np.inf, own) for own in each]
    log_det = np.log(np.diag(warp.factor)).sum()
    log_normal = -0.5 * (points**2).sum(1) - 0.5 * points.shape[1] * np.log(2 * np.pi)
    return np.logaddexp(*finite) - np.log(2) + log_det - log_normal


def solve_bridge(ours: np.ndarray, theirs: np.ndarray) -> Bridge:
    """Solve for the log of the ratio of two integrals, that of the first density to the second.

    Args:
        ours: Log of the first density over the second at draws of the first, which are finite,
            shape (chains, draws).
        theirs: The same at independent draws of the second, shape (draws,).
    """
    # The share of our draws counts them by their effective number, which needs a first solution.
    first = _solve(ours, theirs, 0.5)
    log_ratio, above, below, ess = _solve(ours, theirs, first.ess / (first.ess + theirs.size))
    if not above.any() or not below.any():
        # The densities do not overlap as far as these draws show.
        return Bridge(log_ratio, np.inf, ess, 0.0)
    relative = above.var() / above.mean() ** 2 / above.size + below.var() / below.mean() ** 2 / ess
    overlap = above.sum() ** 2 / (above**2).sum()
    return Bridge(log_ratio, float(np.sqrt(relative)), ess, float(overlap))


class _Solution(NamedTuple):
    """A bridge for one share of our draws.

    Attributes:
        log_ratio: Log of the ratio of the two integrals.
        above: What the bridge averages at their draws, up to a factor.
        below: The same at ours.
        ess: Effective number of the latter.
    """

    log_ratio: float
    above: np.ndarray
    below: np.ndarray
    ess: float


def _solve(ours: np.ndarray, theirs: np.ndarray, share: float) -> _Solution:
    """Solve the optimal bridge for a share of our draws among all."""
    offset = float(np.log(share) - np.log1p(-share))
    log_ratio = find_log_ratio(ours, theirs, offset)
    below = expit(log_ratio - ours - offset)
    above = expit(theirs - log_ratio + offset)
    return _Solution(log_ratio, above, below, float(estimate_ess(below[None])[0]))


def find_log_ratio(ours: np.ndarray, theirs: np.ndarray, offset: float) -> float:
    """Find the log of the ratio of two integrals by the optimal bridge, from draws of both.

    Args:
        ours: Log of the first density over the second at draws of the first.
        theirs: The same at draws of the second.
        offset: Log odds of the share of the first among all draws.

    With s = expit(offset), the share of our draws, the condition of Meng & Wong is
    mean(expit(theirs - r + offset)) / s = mean(expit(r - ours - offset)) / (1 - s). The left side
    falls with r and the right one rises.
    """

    def excess(log_ratio: float) -> float:
        above = expit(theirs - log_ratio + offset).mean()
        below = expit(log_ratio - ours - offset).mean()
        return np.log(max(above, 1e-300)) - np.log(max(below, 1e-300)) - offset

    known = np.concatenate([ours.ravel(), theirs[np.isfinite(theirs)]])
    margin = 50 + abs(offset)
    root: Any = brentq(excess, known.min() - margin, known.max() + margin, xtol=1e-12)
    return float(root)
