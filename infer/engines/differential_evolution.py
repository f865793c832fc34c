"""Differential-evolution Metropolis: steps along differences of past draws; no gradient."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..errors import EngineError
from ..numerics.retune import pool_rows
from ..types import Scalar, Vector
from .base import Examples
from .proposing import Proposal, Proposing

# Past draws that are kept: 10 for each coordinate (ter Braak & Vrugt 2008, section 2), within
# these limits.
ROWS_PER_COORDINATE, FEWEST_ROWS, MOST_ROWS = 10, 100, 4000
# Standard deviation of the noise of each step, relative to that of the past draws; it makes every
# point reachable.
JITTER = 1e-3
# The factor of a snooker step is uniform between these (ter Braak & Vrugt 2008, section 2).
SNOOKER_FACTORS = 1.2, 2.2


class Archive(NamedTuple):
    """Past draws, fixed within a window.

    Attributes:
        rows: Draws of all chains, shape (rows, size).
        noise: Standard deviation of the noise of a step, shape (size,).
    """

    rows: Float[Array | np.ndarray, "rows size"]
    noise: Float[Array | np.ndarray, "size"]


@dataclass(frozen=True)
class DEMetropolis(Proposing):
    """DE-MC(Z): a step is the scaled difference of two past draws; one evaluation, no gradient.

    Differences follow the scales and correlations of the posterior by themselves, and those between
    draws of two modes lead from one to the other. The past draws are those of warm-up, of all
    chains; sampling keeps them fixed, so its draws are those of a Markov chain, and chains never
    wait for each other.

    Attributes:
        snooker: Share of steps along the line to a past draw.
        jump: Share of the other steps that take the whole difference, to reach another mode.
        target_acceptance: Mean acceptance that the scale of the other steps aims at; by default
            0.44 for one coordinate, falling to 0.234 for many.
        steps: Proposals of a draw; by default two more than the vector has coordinates.

    Source: ter Braak & Vrugt (2008), Differential Evolution Markov Chain with snooker updater and
        fewer chains, equations 2 to 4.
    """

    examples: ClassVar[Examples] = Examples(invalid={"snooker": 1.5})
    snooker: float = 0.1
    jump: float = 0.1
    target_acceptance: float | None = field(default=None, compare=False)
    steps: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        self._check_shared_settings()
        for name in ("snooker", "jump"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise EngineError(
                    "DEMetropolis", f"{name} is {share}", "Give a share from 0 to below 1."
                )

    def _first_step(self, size: int) -> float:
        return 2.38 / np.sqrt(2 * size)

    def _first_moves(self, positions: np.ndarray) -> Archive:
        size = positions.shape[1]
        count = int(np.clip(ROWS_PER_COORDINATE * size, FEWEST_ROWS, MOST_ROWS))
        # Before there are draws, differences are as between draws of unit normals.
        noise = np.random.default_rng(0).normal(size=(count, size))
        return _make_archive(np.resize(positions, (count, size)) + noise, positions.dtype)

    def _learn_moves(self, moves: Archive, windows: Sequence[np.ndarray]) -> Archive:
        rows = pool_rows(windows)
        chosen = np.linspace(0, len(rows) - 1, len(moves.rows)).round().astype(int)
        return _make_archive(rows[chosen], np.asarray(moves.rows).dtype)

    def _propose(self, key: Array, moves: Archive, step_size: Scalar, position: Vector) -> Proposal:
        kind_key, rows_key, noise_key, factor_key = jax.random.split(key, 4)
        rows = jnp.asarray(moves.rows)
        first, second, third = _draw_rows(rows_key, rows)
        is_snooker, is_jump = jax.random.uniform(kind_key, (2,)) < jnp.array(
            [self.snooker, self.jump]
        )
        factor = jnp.where(is_jump, jnp.ones_like(step_size), step_size)
        noise = jnp.asarray(moves.noise) * jax.random.normal(noise_key, position.shape, rows.dtype)
        parallel = position + factor * (first - second) + noise
        snooker, log_ratio = _step_snooker(factor_key, position, third, first - second)
        return Proposal(
            jnp.where(is_snooker, snooker, parallel),
            jnp.where(is_snooker, log_ratio, jnp.zeros_like(log_ratio)),
            ~is_snooker & ~is_jump,
        )


def _make_archive(rows: np.ndarray, dtype: Any) -> Archive:
    return Archive(rows.astype(dtype), (JITTER * rows.std(axis=0)).astype(dtype))


def _draw_rows(key: Array, rows: Array) -> tuple[Vector, Vector, Vector]:
    """Draw two different rows, and a third one that may be any."""
    count = len(rows)
    first, gap, third = jax.random.randint(key, (3,), jnp.array([0, 1, 0]), count)
    return rows[first], rows[(first + gap) % count], rows[third]


def _step_snooker(
    key: Array, position: Vector, pivot: Vector, difference: Vector
) -> tuple[Vector, Scalar]:
    """Step along the line from a pivot, by the projection of a difference.

    The end is not finite if the position is the pivot, and then rejected.

    Returns:
        The end, and the log ratio (size - 1) log(|end - pivot| / |position - pivot|).
    """
    low, high = SNOOKER_FACTORS
    factor = jax.random.uniform(key, (), position.dtype, low, high)
    line = position - pivot
    along = factor * (difference @ line) / (line @ line)
    # The end lies on the line at (1 + along) times the distance.
    log_ratio = (position.size - 1) * jnp.log(jnp.abs(1 + along))
    return position + along * line, log_ratio
