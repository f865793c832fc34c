"""Adjusted microcanonical sampling of BlackJAX: trajectories with a Metropolis step.

BlackJAX's momenta have length 1; step sizes here are those of momenta as long as the square root
of the number of coordinates, as those of HMC are, so that the two are comparable.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...errors import EngineError
from ...target import Target
from ...types import Scalar, Vector
from ..base import Examples
from .library import library, refuse_one_dimension
from .metropolis import Here, Metropolis, MetropolisTuning, Transition


@dataclass(frozen=True)
class AdjustedMCLMC(Metropolis):
    """Metropolis-adjusted microcanonical Hamiltonian Monte Carlo (MHMCHMC, MAMS).

    The momentum is a direction, drawn for each transition, and the number of integration steps is
    random. As in BlackJAX's own tuning the mean number of steps is fixed, so that only the step
    size is learned, from the acceptance.

    Attributes:
        mean_steps: Mean number of integration steps of a transition: a trajectory is
            `mean_steps * step_size` long. Each step takes two gradients.

    Source: Robnik, Cohn-Gordon & Seljak (2025), arXiv 2503.01707; the integrator is that of
        McLachlan (1995) with two stages; two steps as BlackJAX 1.7 advises.
    """

    target_acceptance: float = field(default=0.65, compare=False)
    mean_steps: float = field(default=2.0, compare=False)
    examples: ClassVar[Examples] = Examples(invalid={"mean_steps": 0.5})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.mean_steps >= 1:
            raise EngineError(
                "AdjustedMCLMC", f"mean_steps is {self.mean_steps}", "Give one or more."
            )

    @property
    def _mean_steps(self) -> float:
        return self.mean_steps

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> MetropolisTuning:
        refuse_one_dimension("AdjustedMCLMC", positions.shape[1])
        return super().first_tuning(target, positions, gradients)

    def _transition(
        self,
        key: Array,
        log_density: Callable[[Vector], Scalar],
        here: Here,
        step_size: Scalar,
        mean_steps: Scalar,
    ) -> Transition:
        microcanonical = library().mcmc.adjusted_mclmc_dynamic
        length_key, key = jax.random.split(key)
        kernel = microcanonical.build_kernel(
            microcanonical.make_random_trajectory_length_fn(random_trajectory_length=True),
            next_random_arg_fn=lambda same: same,
        )
        state = library().mcmc.dynamic_hmc.DynamicHMCState(*here, length_key)
        own_step = step_size * math.sqrt(here.moved.shape[0])
        end, info = kernel(
            key, state, log_density, own_step, integration_steps_params=(mean_steps,)
        )
        n_steps = (2 * info.num_integration_steps).astype(jnp.int32)
        stats = {"diverging": info.is_divergent}
        return Transition(Here(*end[:3]), info.acceptance_rate, n_steps, stats)
