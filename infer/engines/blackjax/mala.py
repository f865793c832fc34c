"""The Metropolis-adjusted Langevin algorithm of BlackJAX: one gradient per transition."""

from collections.abc import Callable
from dataclasses import dataclass, field

import jax.numpy as jnp
from jaxtyping import Array

from ...types import Scalar, Vector
from .library import library
from .metropolis import Here, Metropolis, Transition


@dataclass(frozen=True)
class MALA(Metropolis):
    """Metropolis-adjusted Langevin: one gradient a transition.

    The step size is that of the diffusion: a proposal moves by `step_size` times the gradient
    plus noise of variance `2 * step_size`, in whitened units.

    Source: Roberts & Tweedie (1996); target acceptance of Roberts & Rosenthal (1998).
    """

    target_acceptance: float = field(default=0.574, compare=False)

    def _transition(
        self,
        key: Array,
        log_density: Callable[[Vector], Scalar],
        here: Here,
        step_size: Scalar,
        mean_steps: Scalar,
    ) -> Transition:
        kernel = library().mala.build_kernel()
        state = library().mcmc.mala.MALAState(*here)
        end, info = kernel(key, state, log_density, step_size)
        return Transition(Here(*end), info.acceptance_rate, jnp.int32(1), {})
