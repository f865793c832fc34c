"""Tune microcanonical Langevin dynamics: step size and decoherence length."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from ..types import Scalar

# The squared energy error of a step grows with the sixth power of its size.
ORDER = 6.0
# Robnik et al. (2023): a squared error has a normal weight about its target, with a standard
# deviation of 6 * 1.5 in its logarithm; about 150 steps are remembered; after a step that fails,
# the step size stays at or below 0.8 of it.
TRUST, MEMORY, SHRINK = 1.5, 150.0, 0.8
DECAY = (MEMORY - 1) / (MEMORY + 1)
# Decoherence length of the momentum as a share of the autocorrelation length of the position.
LENGTH_SHARE = 0.4
# Fewer draws of a chain do not show its autocorrelation time.
MIN_DRAWS = 40


class EnergyStep(NamedTuple):
    """What one chain has learned of its step size from the energy errors of its steps.

    Attributes:
        log_step: Logarithm of the step size.
        error: Weighted sum of squared energy errors divided by their target, rescaled to the
            present step size.
        weight: Sum of the weights.
        log_largest: Logarithm of the upper limit set by the last step that failed.
        adapting: Whether steps change the step size.
    """

    log_step: Scalar
    error: Scalar
    weight: Scalar
    log_largest: Scalar
    adapting: Bool[Array, ""]


def begin(step_size: Scalar, adapting: Bool[Array, ""]) -> EnergyStep:
    """Begin with a step size and no errors."""
    zero = jnp.zeros_like(step_size)
    return EnergyStep(jnp.log(step_size), zero, zero, jnp.full_like(zero, jnp.inf), adapting)


def learn(
    state: EnergyStep, energy_error: Scalar, usable: Bool[Array, ""], size: int, aim: Scalar
) -> EnergyStep:
    """Move toward the step size whose mean squared energy error is `aim` per coordinate.

    Args:
        state: What was learned before the step.
        energy_error: Change of the energy in this step, in nats.
        usable: Whether the density is finite at the end of the step; if not, later steps are
            shorter.
        size: Number of coordinates.
        aim: Target squared error per coordinate, in nats squared.

    Source: Robnik, De Luca, Silverstein & Seljak (2023), arXiv 2212.08549, section 4.2, as
        implemented in BlackJAX's `mclmc_adaptation`.
    """
    ratio = jnp.where(usable, energy_error, 0.0) ** 2 / (size * aim) + 1e-8
    weight = jnp.exp(-0.5 * (jnp.log(ratio) / (ORDER * TRUST)) ** 2)
    weight = jnp.where(usable, weight, 0.0)
    error = DECAY * state.error + weight * ratio
    total = DECAY * state.weight + weight
    change = jnp.where(total > 0, -jnp.log(error / total) / ORDER, 0.0)
    failed = state.log_step + math.log(SHRINK)
    largest = jnp.where(usable, state.log_largest, failed)
    log_step = jnp.minimum(state.log_step + change, largest)
    # Rescale past errors to the new step size.
    error = error * jnp.exp(ORDER * (log_step - state.log_step))
    moved = EnergyStep(log_step, error, total, largest, state.adapting)
    pick = lambda new, old: jnp.where(state.adapting, new, old)  # noqa: E731
    return EnergyStep(*(pick(new, old) for new, old in zip(moved, state, strict=True)))


def pool_steps(steps: np.ndarray) -> float:
    """Pool the chains' step sizes, shape (chains,), in float64."""
    # The median, so that one stuck chain does not change the others' step size.
    return float(np.exp(np.median(np.log(steps.astype(np.float64)))))


def choose_decoherence_length(draws: np.ndarray, spacing: float) -> float | None:
    """Choose the decoherence length of the momentum from the autocorrelation of the positions.

    Args:
        draws: Shape (chains, draws, size).
        spacing: Path length between two draws: step size times number of steps.

    Returns:
        The length, in the units of the step size; None if there are too few draws.

    Source: Robnik et al. (2023), arXiv 2212.08549, section 4.3.
    """
    if draws.shape[1] < MIN_DRAWS:
        return None
    return LENGTH_SHARE * spacing * float(autocorrelation_times(draws).mean())


def autocorrelation_times(draws: np.ndarray) -> np.ndarray:
    """Estimate each coordinate's integrated autocorrelation time, in draws, shape (size,).

    Args:
        draws: Draws from one distribution, shape (chains, draws, size).

    Source: Geyer (1992), Practical Markov chain Monte Carlo, section 3.3: sums of neighboring
        autocovariances, up to the first that is not positive.
    """
    count = draws.shape[1]
    centered = draws.astype(np.float64) - draws.mean((0, 1))
    spectrum = np.fft.rfft(centered, n=2 * count, axis=1)
    covariances = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :count].mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlations = np.nan_to_num(covariances / covariances[:1])
    even = count - count % 2
    pairs = correlations[0:even:2] + correlations[1:even:2]
    kept = np.cumprod(pairs > 0, axis=0)
    return np.maximum(2 * (pairs * kept).sum(0) - 1, 1.0)
