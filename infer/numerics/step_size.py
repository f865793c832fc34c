"""Learn a step size: double or halve to find a first guess, then use dual averaging."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from ..types import Scalar

# Hoffman & Gelman (2014), section 3.2.1, except for gamma, which is 0.05 there. With 0.05 the step
# size still fluctuates widely at the end of a window. Since acceptance falls ever faster as the
# step grows, the averaged step size then comes out too short.
GAMMA, T0, KAPPA = 0.15, 10.0, 0.75
# In the whitened space a step longer than pi is over half an orbit of a normal (as in nuts-rs).
LARGEST = math.pi
SMALLEST = 1e-7


class StepSize(NamedTuple):
    """What one chain has learned of its step size.

    Attributes:
        log_step: Logarithm of the step size to use next.
        log_average: Logarithm of the averaged step size, for sampling.
        error_sum: Running mean of target minus acceptance.
        center: Initial value of `log_step`, toward which it is drawn.
        updates: Number of updates so far.
        searching: Whether the search for a first guess goes on.
        adapting: Whether completed draws change the step size.
        direction: +1 while doubling, -1 while halving, 0 before the first trial.
    """

    log_step: Scalar
    log_average: Scalar
    error_sum: Scalar
    center: Scalar
    updates: Int[Array, ""]
    searching: Bool[Array, ""]
    adapting: Bool[Array, ""]
    direction: Int[Array, ""]


def restart(step_size: Scalar, searching: Bool[Array, ""], adapting: Bool[Array, ""]) -> StepSize:
    """Restart from a step size, with or without a search around it."""
    log_step = jnp.log(step_size)
    zero = jnp.zeros_like(log_step)
    none = jnp.int32(0)
    return StepSize(log_step, log_step, zero, log_step, none, searching, adapting, none)


def continue_search(state: StepSize, acceptance: Scalar) -> StepSize:
    """Double or halve the step size after a trial step, until the acceptance crosses 0.8.

    Source: Hoffman & Gelman (2014), Algorithm 4, with Stan's threshold.
    """
    direction = jnp.where(acceptance > 0.8, 1, -1).astype(jnp.int32)
    crossed = (state.direction != 0) & (direction != state.direction)
    moved = state.log_step + direction.astype(acceptance.dtype) * math.log(2.0)
    out_of_range = (moved > math.log(LARGEST)) | (moved < math.log(SMALLEST))
    found = crossed | out_of_range
    fresh = restart(jnp.exp(state.log_step), found, state.adapting)
    log_step = jnp.where(found, state.log_step, moved)
    return fresh._replace(log_step=log_step, searching=~found, direction=direction)


def average_log_steps(state: StepSize, acceptance: Scalar, target: Scalar) -> StepSize:
    """Update by dual averaging, toward the step size whose mean acceptance is `target`.

    Source: Hoffman & Gelman (2014), equation 6; Nesterov (2009).
    """
    t = (state.updates + 1).astype(acceptance.dtype)
    eta = 1 / (t + T0)
    error_sum = (1 - eta) * state.error_sum + eta * (target - acceptance)
    log_step = state.center - error_sum * jnp.sqrt(t) / GAMMA
    log_step = jnp.clip(log_step, math.log(SMALLEST), math.log(LARGEST))
    weight = t**-KAPPA
    log_average = (1 - weight) * state.log_average + weight * log_step
    return state._replace(
        log_step=log_step, log_average=log_average, error_sum=error_sum, updates=state.updates + 1
    )
