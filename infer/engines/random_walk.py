"""Random-walk Metropolis: normal proposals with the covariance of warm-up's draws; no gradient."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..numerics.spread import first_factor, learn_factor, scale_noise
from ..types import Scalar, Vector
from .proposing import Proposal, Proposing


@dataclass(frozen=True)
class RandomWalk(Proposing):
    """Adaptive random-walk Metropolis: one evaluation of the log density per step, no gradient.

    All chains pool their draws in warm-up to learn the covariance of the proposals; each adapts the
    step size. Sampling keeps both as they are, so its draws are those of a Markov chain.

    Attributes:
        target_acceptance: Mean acceptance that warm-up aims at; by default 0.44 for one coordinate,
            falling to 0.234 for many.
        steps: Proposals of a draw; by default two more than the vector has coordinates.

    Source: Haario, Saksman & Tamminen (2001), An adaptive Metropolis algorithm, with the scale
        2.38 / sqrt(size) of Roberts & Rosenthal (2001), section 3, adapted as Andrieu & Thoms
        (2008), Algorithm 4, here by dual averaging.
    """

    target_acceptance: float | None = field(default=None, compare=False)
    steps: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        self._check_shared_settings()

    def _first_step(self, size: int) -> float:
        return 2.38 / np.sqrt(size)

    def _first_moves(self, positions: np.ndarray) -> np.ndarray:
        return first_factor(positions.shape[1], positions.dtype)

    def _learn_moves(self, moves: np.ndarray, windows: Sequence[np.ndarray]) -> np.ndarray:
        return learn_factor(windows, moves)

    def _propose(self, key: Array, moves: Any, step_size: Scalar, position: Vector) -> Proposal:
        noise = jax.random.normal(key, position.shape, position.dtype)
        there = position + step_size * scale_noise(jnp.asarray(moves), noise)
        return Proposal(there, jnp.zeros_like(step_size), jnp.asarray(True))
