"""Tune microcanonical Langevin dynamics: a step size by its energy error, a length by memory."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from ..types import Scalar

# The squared energy error of a step grows with the sixth power of its size.
ORDER = 6.0
# Robnik et al. (2023): errors within a factor exp(6 * 1.5) of the aim count, the nearer the more;
# the memory is of 150 steps; after a step that fails, steps stay 0.8 times shorter.
TRUST, MEMORY, SHRINK = 1.5, 150.0, 0.8
DECAY = (MEMORY - 1) / (MEMORY + 1)
# A momentum is forgotten over this part of the steps that positions take to be.
LENGTH_SHARE = 0.4
# Fewer draws of a chain do not show how long it remembers.
MIN_DRAWS = 40


class EnergyStep(NamedTuple):
    """What one chain has learned of its step size from the energy errors of its steps.

    Attributes:
        log_step: Logarithm of the step size.
        error: Weighted sum of squared energy errors over their aim, were they made at the
            present step size.
        weight: Sum of the weights.
        log_largest: Logarithm of the longest step that did not fail since.
        adapting: Whether steps move the step size.
    """

    log_step: Scalar
    error: Scalar
    weight: Scalar
    log_largest: Scalar
    adapting: Bool[Array, ""]


def begin(step_size: Scalar, adapting: Bool[Array, ""]) -> EnergyStep:
    """Begin anew from a step size."""
    zero = jnp.zeros_like(step_size)
    return EnergyStep(jnp.log(step_size), zero, zero, jnp.full_like(zero, jnp.inf), adapting)


def learn(
    state: EnergyStep, energy_error: Scalar, usable: Bool[Array, ""], size: int, aim: Scalar
) -> EnergyStep:
    """Move towards the step size whose mean squared energy error is `aim` for each coordinate.

    Args:
        state: Before the step.
        energy_error: Change of the energy in this step, in nats.
        usable: Whether the step ended where the density is finite; if not, later ones are shorter.
        size: Number of coordinates.
        aim: Squared error for each coordinate, in nats squared.

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
    # Past errors, as if made at the new step size.
    error = error * jnp.exp(ORDER * (log_step - state.log_step))
    moved = EnergyStep(log_step, error, total, largest, state.adapting)
    pick = lambda new, old: jnp.where(state.adapting, new, old)  # noqa: E731
    return EnergyStep(*(pick(new, old) for new, old in zip(moved, state, strict=True)))


def pool_steps(steps: np.ndarray) -> float:
    """Pool the chains' step sizes, of shape (chains,), in float64."""
    # The median, so that one stuck chain does not take the others along.
    return float(np.exp(np.median(np.log(steps.astype(np.float64)))))


def decoherence_length(draws: np.ndarray, spacing: float) -> float | None:
    """Choose over what length a momentum is forgotten, from how long positions are remembered.

    Args:
        draws: Shape (chains, draws, size).
        spacing: Length between two draws: step size times steps.

    Returns:
        The length, in the units of the step size; or None, where the draws are too few.

    Source: Robnik et al. (2023), arXiv 2212.08549, section 4.3.
    """
    if draws.shape[1] < MIN_DRAWS:
        return None
    return LENGTH_SHARE * spacing * float(autocorrelation_times(draws).mean())


def autocorrelation_times(draws: np.ndarray) -> np.ndarray:
    """Estimate each coordinate's integrated autocorrelation time, in draws, shape (size,).

    Args:
        draws: Shape (chains, draws, size), of one distribution.

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
