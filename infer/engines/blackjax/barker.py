"""Barker's proposal, by BlackJAX: one gradient per transition."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .library import library
from .metropolis import OneGradient


@dataclass(frozen=True)
class Barker(OneGradient):
    """Barker's proposal: a random walk biased uphill, which is robust to its step size.

    Source: Livingstone & Zanella (2022), The Barker proposal; section 4.2 for the target
    acceptance of 0.4.
    """

    target_acceptance: float = field(default=0.4, compare=False)

    def _kernel(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        return library().barker.build_kernel(), library().mcmc.barker.BarkerState
