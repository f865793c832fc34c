"""Shared parts of HMC and NUTS: the tuning, what a chain does with it, and drawing the momentum."""

from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from ..types import Scalar, Vector
from .long_sum import two_sum
from .low_rank import choose_rank
from .metric import Metric, guess_metric
from .step_size import StepSize, average_log_steps, continue_search, restart

# A point of phase space or the candidate of a tree: both have a log density and a path.
Referenced = TypeVar("Referenced", bound=Any)

# A trajectory whose energy exceeds that of its start by this many nats is divergent (Stan).
DIVERGENT = 1000.0


class HamiltonianTuning(eqx.Module):
    """What warm-up learns; traced, and shared by all chains.

    Attributes:
        step_size: In whitened units.
        target_acceptance: Mean acceptance that dual averaging aims at.
        metric: The whitening.
        searching: Whether the next window begins by doubling or halving the step size.
        settled: Whether another window like the last one would add nothing; read on the host only.
        relocated: Whether a chain was moved to the position of another; read on the host only.
    """

    step_size: Scalar | np.ndarray
    target_acceptance: Scalar | np.ndarray
    metric: Metric
    searching: Bool[Array, ""] | np.ndarray
    settled: Bool[Array, ""] | np.ndarray
    relocated: Bool[Array, ""] | np.ndarray


def first_tuning(
    gradients: np.ndarray, step_size: float | None, target: float, rank: int | None
) -> HamiltonianTuning:
    """Set the scales from the gradients, and search for a step size if none is given.

    Args:
        gradients: Shape (*densities, chains, size); all of the tuning has these leading axes.
        step_size: The step size, if it is given.
        target: Mean acceptance that warm-up aims at.
        rank: Maximum number of directions to stretch, if it is given.
    """
    (*lead, _, size), dtype = gradients.shape, gradients.dtype
    rank = choose_rank(size) if rank is None else min(rank, size)
    no = np.zeros(lead, bool)
    return HamiltonianTuning(
        np.full(lead, 0.1 if step_size is None else step_size, dtype),
        np.full(lead, target, dtype),
        guess_metric(gradients, rank),
        np.full(lead, step_size is None),
        no,
        no,
    )


def reuse(learned: HamiltonianTuning, fresh: HamiltonianTuning) -> HamiltonianTuning:
    """Keep the learned step size and metric; take the target acceptance from `fresh`."""
    return eqx.tree_at(lambda t: t.target_acceptance, learned, fresh.target_acceptance)


def nan_as_divergence(log_weight: Scalar) -> Scalar:
    """Replace a log weight of NaN or plus infinity by minus infinity, which is a divergence."""
    return jnp.where(log_weight < jnp.inf, log_weight, -jnp.inf)


def shift_reference(reference: Scalar, point: Referenced) -> tuple[Scalar, Referenced]:
    """Add a point's log density to the reference from which log densities are measured.

    The point keeps the rounding error of the sum, so no precision is lost. An energy that is
    integrated along the path has no reference.
    """
    if point.path is not None:
        return reference, point
    total, remainder = two_sum(reference, point.log_density)
    return total, point._replace(log_density=remainder)


def remaining_windows(
    tuning: HamiltonianTuning, done: int, windows: tuple[int, ...]
) -> tuple[int, ...]:
    """Choose the remaining windows: once the metric has settled, only the last one planned.

    The last window learns only the step size. It is repeated while the chains' step sizes
    disagree, so that a chain in the neck of a funnel can leave it with its own short steps. If a
    chain was relocated, the metric is learned again, now from the region it was moved to.

    Args:
        tuning: The tuning learned from the window that has ended.
        done: Draws per chain in that window.
        windows: Draws per chain in each window still planned.
    """
    if tuning.relocated:
        return (done, *windows) if windows else (2 * done, done)
    if tuning.settled:
        return windows[-1:]
    return windows or (done,)


def idle_step(like: Scalar) -> StepSize:
    """Return a step size of 1, of the type of `like`, which nothing changes."""
    no = jnp.asarray(False)
    return restart(jnp.ones_like(like), searching=no, adapting=no)


def enter(tuning: HamiltonianTuning, warming: Bool[Array, ""]) -> StepSize:
    """Begin a window with the shared step size, which each chain adapts for itself in warm-up."""
    return restart(jnp.asarray(tuning.step_size), jnp.asarray(tuning.searching), warming)


def learn(
    state: StepSize, tuning: HamiltonianTuning, complete: Bool[Array, ""], acceptance: Scalar
) -> StepSize:
    """Update one chain's step size after a trial step of the search or a completed draw."""

    def update() -> StepSize:
        searched = continue_search(state, acceptance)
        averaged = average_log_steps(state, acceptance, jnp.asarray(tuning.target_acceptance))
        return jax.tree.map(lambda a, b: jnp.where(state.searching, a, b), searched, averaged)

    due = state.searching | (complete & state.adapting)
    return jax.lax.cond(due, update, lambda: state)


def draw_momentum(key: Array, like: Vector, spent: int) -> Vector:
    """Draw a standard normal momentum in the whitened space.

    Args:
        key: May have been used for a few uniform numbers before; a second key would cost more.
        like: An array with the shape and type of the momentum.
        spent: Number of uniform numbers already drawn from the key.
    """
    # With JAX's partitionable threefry the n-th number of a key depends only on n.
    return jax.random.normal(key, (spent + like.size,), like.dtype)[spent:]
