"""Running sums over an epoch of stochastic steps: parameters, and the ELBO with its spread."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..types import Scalar


class EpochSums(NamedTuple):
    """Running sums over an epoch.

    The ELBO is summed as the difference from the first one of the epoch, to avoid cancellation.

    Attributes:
        parameters: Sum of the parameters.
        first: ELBO of the first step.
        elbo: Sum of differences from it.
        elbo_square: Sum of their squares.
        steps: Number of steps that were taken.
    """

    parameters: Float[Array, "width"]
    first: Scalar
    elbo: Scalar
    elbo_square: Scalar
    steps: Int[Array, ""]


def no_sums(parameters: Float[Array, "width"]) -> EpochSums:
    """Begin an epoch."""
    zero = jnp.zeros((), parameters.dtype)
    return EpochSums(jnp.zeros_like(parameters), zero, zero, zero, jnp.int32(0))


def add_step(
    sums: EpochSums, parameters: Float[Array, "width"], elbo: Scalar, usable: Array
) -> EpochSums:
    """Add a step; one that is not usable left the parameters as they were."""
    first = jnp.where(usable & (sums.steps == 0), elbo, sums.first)
    elbo = jnp.where(usable, elbo - first, 0.0)
    return EpochSums(
        sums.parameters + parameters,
        first,
        sums.elbo + elbo,
        sums.elbo_square + elbo**2,
        sums.steps + usable.astype(jnp.int32),
    )


def mean_elbo(sums: EpochSums) -> tuple[Scalar, Scalar]:
    """Return the mean ELBO of the steps and its standard error, NaN if none was taken."""
    steps = sums.steps.astype(sums.elbo.dtype)
    mean = sums.elbo / steps
    variance = jnp.maximum(sums.elbo_square / steps - mean**2, 0.0)
    return sums.first + mean, jnp.sqrt(variance / steps)


def first_elbo(sums: EpochSums) -> Scalar:
    """Return the ELBO of the first step; NaN if no step was taken, or there is no value."""
    return jnp.where(sums.steps > 0, sums.first, jnp.nan)
