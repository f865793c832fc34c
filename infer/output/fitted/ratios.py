"""Importance ratios of an approximation: how heavy their tail is, and draws weighed by them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from ...density.base import LogDensity
from ...programs.native import call_compiled, prepare
from ..data.pareto import pareto_k, smooth_weights

# Numbers in the candidates for resampling; half a gigabyte in double precision.
LARGEST = 2**26
# Rounding error of a log density, in nats, above which it makes a tail of its own.
LARGEST_ROUNDING = 0.1
# Draws weighed by one call; Vehtari et al. advise 1000 or more for an estimate of k.
BATCH_DRAWS = 2000
# Draws evaluated together; each may need memory for all rows of the data.
BATCH = 16


@dataclass(frozen=True, eq=False)
class Ratios:
    """Importance ratios p / q at draws of an approximation.

    Attributes:
        log_ratios: log p - log q in nats, in double precision, shape (draws,).
        rounding: Median rounding error of log p, in nats.
    """

    log_ratios: np.ndarray
    rounding: float

    @property
    def is_rounded(self) -> bool:
        """Whether rounding makes a tail of its own."""
        return self.rounding > LARGEST_ROUNDING

    @cached_property
    def khat(self) -> float:
        """Pareto k of the ratios."""
        return pareto_k(self.log_ratios)

    @cached_property
    def ess(self) -> float:
        """Effective number of draws as a share of their number, between 0 and 1.

        Source: Kong (1992), A note on importance sampling using standardized weights.
        """
        if not np.isfinite(self.log_ratios).any():
            return 0.0
        weights = self._weights
        return float(weights.sum() ** 2 / (weights**2).sum() / weights.size)

    @property
    def _weights(self) -> np.ndarray:
        """Weights up to a factor; those of ratios that are not finite are zero."""
        finite = np.where(np.isfinite(self.log_ratios), self.log_ratios, -np.inf)
        return np.exp(finite - finite.max())

    def join(self, others: Iterable["Ratios"]) -> "Ratios":
        """Join the ratios of more draws to these."""
        log_ratios = [self.log_ratios, *(other.log_ratios for other in others)]
        return Ratios(np.concatenate(log_ratios), self.rounding)

    def resample(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Choose draws by their Pareto smoothed weights; return indices, shape (draws,).

        Source: Vehtari et al. (2024), Pareto smoothed importance sampling.
        """
        return choose_by_weight(smooth_weights(self.log_ratios), draws, rng)


def choose_by_weight(weights: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Choose systematically by weights; return indices in random order, shape (draws,).

    A draw of weight w among weights of sum one is chosen floor(draws * w) times, or once more.

    Source: Kitagawa (1996), Monte Carlo filter and smoother, appendix.
    """
    places = (rng.uniform() + np.arange(draws)) / draws
    chosen = np.searchsorted(np.cumsum(weights) / weights.sum(), places)
    return rng.permutation(np.minimum(chosen, weights.size - 1))


def is_affordable(density: LogDensity) -> bool:
    """Return whether a fit evaluates the density at 2000 draws: it has a value and no minibatch."""
    return density.has_value and "minibatch" not in density.offers


def weigh(density: LogDensity, positions: np.ndarray, log_q: np.ndarray) -> Ratios:
    """Compute the ratios at positions of shape (draws, size), whose log q is given."""
    log_p = np.concatenate([_evaluate(density, part) for part in _split(positions)])
    rounding = np.finfo(log_p.dtype).eps * np.abs(log_p)
    finite = rounding[np.isfinite(rounding)]
    median = float(np.median(finite)) if finite.size else 0.0
    return Ratios(log_p.astype(np.float64) - log_q, median)


def prepare_ratios(density: LogDensity, dtype: Any) -> None:
    """Start to compile what `weigh` calls."""
    positions = np.zeros((BATCH_DRAWS, density.size), dtype)
    prepare(_log_densities, (), (density, positions), "either")


def _split(positions: np.ndarray) -> list[np.ndarray]:
    """Split positions into parts of at most one call's draws."""
    return np.split(positions, range(BATCH_DRAWS, len(positions), BATCH_DRAWS))


def _evaluate(density: LogDensity, positions: np.ndarray) -> np.ndarray:
    """Compute log densities by one program, whatever the number of positions."""
    missing = BATCH_DRAWS - len(positions)
    padded = np.concatenate([positions, np.repeat(positions[:1], missing, 0)])
    found = call_compiled(_log_densities, density, padded, form="either")
    return np.asarray(found)[: len(positions)]


def _log_densities(density: LogDensity, positions: Array) -> Array:
    return jax.lax.map(density, positions, batch_size=BATCH)


def choose_candidates(draws: int, size: int) -> int:
    """Choose how many draws to weigh for so many resampled ones: ten times as many, if they fit.

    They are at least 2000, so that the shape of their tail is known.

    Args:
        draws: Number of resampled draws.
        size: Length of the vectors.
    """
    return max(draws, min(max(10 * draws, BATCH_DRAWS), LARGEST // max(size, 1)))
