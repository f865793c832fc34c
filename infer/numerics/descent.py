"""What an optax optimizer asks of a log density that it is to maximize."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ..target import Target
from .minimizers import as_transformation
from .namespace import Scalar, Vector


@lru_cache(maxsize=64)
def asks_for_value(optimizer: Any) -> bool:
    """Return whether an optimizer cannot take a step from a gradient alone."""
    here = jnp.zeros(1)
    own = as_transformation(optimizer)
    try:
        jax.eval_shape(lambda: own.update(here, own.init(here), here))
    except TypeError:
        return True
    return False


def make_loss(target: Target) -> Callable[[Vector], Scalar]:
    """Return minus the log density as a function, differentiable by the target's own gradient.

    Where the log density is not finite the loss is huge and flat, so that a line search backtracks.
    """

    def loss(position: Vector) -> Scalar:
        here = jax.lax.stop_gradient(position)
        log_density, gradient = target.evaluate(here)
        usable = jnp.isfinite(log_density) & jnp.isfinite(gradient).all()
        slope = jnp.where(usable, gradient, 0.0)
        value = jnp.where(usable, -log_density, choose_huge(log_density))
        return jax.lax.stop_gradient(value) - jax.lax.stop_gradient(slope) @ (position - here)

    return loss


def choose_huge(like: Scalar) -> Scalar:
    """Return a loss that is worse than any, and whose square is finite."""
    return jnp.sqrt(jnp.finfo(like.dtype).max).astype(like.dtype)


def measure_steepness(position: Vector, gradient: Vector) -> Scalar:
    """Return the largest |gradient| times max(1, |position|)."""
    return (abs(gradient) * abs(position).clip(1.0)).max()
