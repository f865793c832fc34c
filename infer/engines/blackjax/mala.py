"""The Metropolis-adjusted Langevin algorithm of BlackJAX: one gradient per transition."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .library import library
from .metropolis import OneGradient


@dataclass(frozen=True)
class MALA(OneGradient):
    """Metropolis-adjusted Langevin: one gradient a transition.

    The step size is that of the diffusion: a proposal moves by `step_size` times the gradient
    plus noise of variance `2 * step_size`, in whitened units.

    Source: Roberts & Tweedie (1996); target acceptance of Roberts & Rosenthal (1998).
    """

    target_acceptance: float = field(default=0.574, compare=False)

    def _kernel(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        return library().mala.build_kernel(), library().mcmc.mala.MALAState
