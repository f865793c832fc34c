"""Running sums over an epoch of stochastic steps: parameters, and the ELBO with its spread."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..types import Scalar, Vector


class EpochSums(NamedTuple):
    """Running sums over an epoch.

    The ELBO is summed as the difference from the first one of the epoch, to avoid cancellation.

    Attributes:
        parameters: Sum of the parameters after some of the steps; see `add_parameters`. At the
            beginning of an epoch it holds leftovers: setting it to zero would be a pass over it.
        first: ELBO of the first step.
        elbo: Sum of differences from it.
        elbo_square: Sum of their squares.
        divergence: Sum of the divergences from the prior.
        slope: Sum of the mean gradients of the steps; see `numerics.elbo.Estimate`.
        steps: Number of steps that were taken.
    """

    parameters: Float[Array, "width"]
    first: Scalar
    elbo: Scalar
    elbo_square: Scalar
    divergence: Scalar
    slope: Vector
    steps: Int[Array, ""]


def no_sums(parameters: Float[Array, "width"], size: int = 0) -> EpochSums:
    """Begin an epoch.

    Args:
        parameters: Any vector of their length; the first record of the epoch replaces it.
        size: Length of the mean gradients of the steps; 0 if they are not summed.
    """
    zero = jnp.zeros((), parameters.dtype)
    slope = jnp.zeros((size,), parameters.dtype)
    return EpochSums(parameters, zero, zero, zero, zero, slope, jnp.int32(0))


def is_due(
    epochs: Int[Array, ""], ticks: Int[Array, ""] | int, window: int, warming: Bool[Array, ""]
) -> Bool[Array, ""]:
    """Return whether to recompute the log-determinant that steps update.

    In warm-up after 1, 2, 4, 8 and so on windows, and where sampling begins, whose mean ELBO is
    that of the fit: rounding adds up. Of 300 standard deviations of 1e-4 the log-determinant is
    -2763 nats, to which single precision adds nothing below 1.2e-4 nats.

    Args:
        epochs: Epochs made.
        ticks: Steps of the present epoch.
        window: Epochs of a window.
        warming: Whether this is warm-up.
    """
    windows = epochs // window
    is_power = (windows > 0) & (windows & (windows - 1) == 0)
    return (ticks == 0) & (epochs % window == 0) & (is_power | ~warming)


def add_step(
    sums: EpochSums,
    elbo: Scalar,
    usable: Array,
    divergence: Scalar | float = jnp.nan,
    slope: Vector | float = 0.0,
) -> EpochSums:
    """Add what a step has estimated, if it was usable; the parameters are added apart."""
    first = jnp.where(usable & (sums.steps == 0), elbo, sums.first)
    elbo = jnp.where(usable, elbo - first, 0.0)
    return EpochSums(
        sums.parameters,
        first,
        sums.elbo + elbo,
        sums.elbo_square + elbo**2,
        sums.divergence + jnp.where(usable, divergence, 0.0),
        sums.slope + jnp.where(usable, slope, 0.0),
        sums.steps + usable.astype(jnp.int32),
    )


def add_parameters(
    sums: EpochSums, parameters: Float[Array, "width"], taken: Int[Array, ""], every: int = 1
) -> tuple[EpochSums, Float[Array, "width"]]:
    """Add parameters to their sum, or begin it with them if they are the first of an epoch.

    A state stored when records were closer may be between two of today's. How many its sum holds
    is unknown, so each record begins the sum again, and the mean is the last one.

    Args:
        sums: The sums.
        parameters: The parameters.
        taken: Steps of the epoch before them.
        every: Steps between records.

    Returns:
        The sums, and the mean of the parameters that were added in the epoch.
    """
    is_between = taken % every != 0
    before = jnp.where(is_between | (taken == every), 0, sums.parameters)
    added = before + parameters
    count = jnp.where(is_between, 1, taken // every)
    return sums._replace(parameters=added), added / count.astype(added.dtype)


def mean_elbo(sums: EpochSums) -> tuple[Scalar, Scalar]:
    """Return the mean ELBO of the steps and its standard error, NaN if none was taken."""
    steps = sums.steps.astype(sums.elbo.dtype)
    mean = sums.elbo / steps
    variance = jnp.maximum(sums.elbo_square / steps - mean**2, 0.0)
    return sums.first + mean, jnp.sqrt(variance / steps)


def summarize(sums: EpochSums) -> dict[str, Scalar]:
    """Return the statistics of an epoch, NaN where no step was taken or nothing is known.

    Returns:
        "elbo", its standard error "elbo_se", the ELBO of the first step "elbo_first", and the
        "divergence" from the prior, in nats; "slope", the largest entry of the mean gradient.
    """
    elbo, error = mean_elbo(sums)
    steps = sums.steps.astype(elbo.dtype)
    return {
        "elbo": elbo,
        "elbo_se": error,
        "elbo_first": jnp.where(sums.steps > 0, sums.first, jnp.nan),
        "divergence": sums.divergence / steps,
        "slope": jnp.abs(sums.slope).max() / steps,
    }
