"""Keep XLA from computing a log density of many sites again wherever a number of it is used."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..types import Scalar, Vector

# XLA merges the gradient, put together from as many parts as there are sites, into each of some
# thirty operations that use it. With 100 sites of one number, compiling NUTS took twice as long.
MANY_SITES = 30


def evaluate_once(
    evaluate: Callable[..., tuple[Scalar, Vector]], sites: int, position: Vector, *others: Any
) -> tuple[Scalar, Vector]:
    """Evaluate a log density and its gradient; with many sites, in a branch that XLA keeps whole.

    Args:
        evaluate: Takes the position and the others.
        sites: Number of latent sites.
        position: The position; if it is not finite, neither is the result.
        others: Further arguments.
    """
    if sites < MANY_SITES:
        return evaluate(position, *others)

    def lie_outside(position: Vector, *_: Any) -> tuple[Scalar, Vector]:
        nowhere = jnp.full_like(position, jnp.nan)
        return jnp.asarray(jnp.nan, position.dtype), nowhere

    is_finite = jnp.isfinite(position.sum())
    return jax.lax.cond(is_finite, evaluate, lie_outside, position, *others)
