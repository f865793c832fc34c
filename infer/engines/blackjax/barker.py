"""Barker's proposal, by BlackJAX: one gradient per transition."""

from collections.abc import Callable
from dataclasses import dataclass, field

import jax.numpy as jnp
from jaxtyping import Array

from ...types import Scalar, Vector
from .library import library
from .metropolis import Here, Metropolis, Transition


@dataclass(frozen=True)
class Barker(Metropolis):
    """Barker's proposal: a random walk biased uphill, which is robust to its step size.

    Source: Livingstone & Zanella (2022), The Barker proposal; section 4.2 for the target
    acceptance of 0.4.
    """

    target_acceptance: float = field(default=0.4, compare=False)

    def _transition(
        self,
        key: Array,
        log_density: Callable[[Vector], Scalar],
        here: Here,
        step_size: Scalar,
        mean_steps: Scalar,
    ) -> Transition:
        kernel = library().barker.build_kernel()
        state = library().mcmc.barker.BarkerState(*here)
        end, info = kernel(key, state, log_density, step_size)
        return Transition(Here(*end), info.acceptance_rate, jnp.int32(1), {})
