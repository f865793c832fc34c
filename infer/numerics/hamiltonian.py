"""Shared parts of HMC and NUTS: the tuning, how warm-up learns it, and drawing the momentum."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from ..errors import EngineError
from ..types import Scalar, Vector
from .agreement import is_settled
from .blas import one_blas_thread
from .long_sum import two_sum
from .metric import Metric, choose_rank, guess_metric
from .step_size import StepSize, average_log_steps, continue_search, restart

# A point of phase space or the candidate of a tree: both have a log density and a path.
Referenced = TypeVar("Referenced", bound=Any)

# A trajectory whose energy exceeds that of its start by this many nats is divergent (Stan).
DIVERGENT = 1000.0
# For each of these shares of divergent draws that is exceeded, the last window halves the distance
# of the target acceptance to 1, if at least MIN_DIVERGENT draws diverged. In a horseshoe regression
# 4 % of the draws diverged at 0.8, and chains got stuck in regions that need short steps: at 0.95
# its smallest ESS was 258 instead of 19 (medians of five).
DIVERGENT_SHARES = 0.02, 0.04
MIN_DIVERGENT = 5
# If all chains sampled the same posterior, the shortest step size of a last window of 30 draws was
# 0.77 to 0.99 of the median, on eight models; if a chain began to sample in the neck of a funnel,
# it was 0.14 to 0.35. With fewer than MIN_DRAWS draws the result of dual averaging is noisier. A
# step size below STUCK_STEP of the median suits that chain only.
SHORTEST_STEP = 0.5
STUCK_STEP = 0.03
MIN_DRAWS = 20
HIGHEST_TARGET = 0.95


class HamiltonianTuning(eqx.Module):
    """What warm-up learns; traced, and shared by all chains.

    Attributes:
        step_size: In whitened units.
        target_acceptance: Mean acceptance that dual averaging aims at.
        metric: The whitening.
        searching: Whether the next window begins by doubling or halving the step size.
        settled: Whether another window like the last one would add nothing; not read by the
            compiled program.
        relocated: Whether a chain was moved to the position of another; not read by the compiled
            program.
    """

    step_size: Scalar | np.ndarray
    target_acceptance: Scalar | np.ndarray
    metric: Metric
    searching: Bool[Array, ""] | np.ndarray
    settled: Bool[Array, ""] | np.ndarray
    relocated: Bool[Array, ""] | np.ndarray


def check_settings(
    engine: str, target_acceptance: float, step_size: float | None, rank: int | None
) -> None:
    """Raise an error if a setting is invalid, when the engine is made."""
    if rank is not None and rank < 0:
        raise EngineError(
            engine, f"rank is {rank}", "Give 0 for a diagonal metric, or a positive number."
        )
    if not 0 < target_acceptance < 1:
        raise EngineError(
            engine,
            f"target_acceptance is {target_acceptance}",
            "Give a number between 0 and 1, such as 0.8.",
        )
    if step_size is not None and not step_size > 0:
        raise EngineError(
            engine, f"step_size is {step_size}", "Give a positive number, or leave it out."
        )


def first_tuning(
    gradients: np.ndarray, step_size: float | None, target: float, rank: int | None
) -> HamiltonianTuning:
    """Set the scales from the gradients, and search for a step size if none is given."""
    dtype, size = gradients.dtype, gradients.shape[1]
    rank = choose_rank(size) if rank is None else min(rank, size)
    return HamiltonianTuning(
        np.asarray(0.1 if step_size is None else step_size, dtype),
        np.asarray(target, dtype),
        guess_metric(gradients, rank),
        np.asarray(step_size is None),
        np.asarray(False),
        np.asarray(False),
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


def retune(
    tuning: HamiltonianTuning,
    draws: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    stats: Mapping[str, np.ndarray],
    remaining: int,
    stays: np.ndarray,
) -> HamiltonianTuning:
    """Pool what all chains learned in a window, in float64, in the order of the chains.

    Args:
        tuning: The tuning used in the window that has ended.
        draws: Draws of the last windows, each of shape (chains, draws, size).
        scores: Gradients of the log density at the draws.
        stats: Statistics of the last window, each of shape (chains, draws).
        remaining: Number of windows still to come. The last window learns only the step size, and
            aims at a higher acceptance if it is repeated.
        stays: Which chains keep their positions, shape (chains,); the others are not used.
    """
    dtype = np.asarray(tuning.step_size).dtype
    metric, target = tuning.metric, np.asarray(tuning.target_acceptance)
    draws, scores = [w[stays] for w in draws], [w[stays] for w in scores]
    steps, relocated = stats["step_size_bar"][stays, -1], np.asarray(not stays.all())
    if not remaining:
        no = np.asarray(False)
        step_size, agree = choose_shared_step(steps, draws[-1].shape[1])
        target, step_size = target if agree else tighten(target), np.asarray(step_size, dtype)
        return HamiltonianTuning(step_size, target, metric, no, np.asarray(agree), relocated)
    with one_blas_thread():
        learned = metric.learn(pool_rows(draws), pool_rows(scores))
        # Just before the last window there is no window to skip.
        enough = remaining > 1 and is_settled(metric, draws[-1], scores[-1])
    if "diverging" in stats and (remaining == 1 or enough):
        target = raise_for_divergences(target, stats["diverging"][stays])
    step_size = np.asarray(median_step(steps), dtype)
    # The first learned metric changes the units of the step size; later ones hardly do.
    searching = np.asarray(len(draws) == 1)
    return HamiltonianTuning(step_size, target, learned, searching, np.asarray(enough), relocated)


def median_step(steps: np.ndarray) -> float:
    """Compute the median step size, which one stuck chain hardly changes."""
    return float(np.exp(np.median(np.log(steps.astype(np.float64)))))


def choose_shared_step(steps: np.ndarray, draws: int) -> tuple[float, bool]:
    """Choose one step size for all chains, and return whether it suits each of them.

    A chain in the neck of a funnel that takes steps much longer than it learned diverges and gets
    stuck. So if one chain's step size is much shorter than the median, all chains use the shortest,
    unless that would cost the others more than it can gain.

    Args:
        steps: Averaged step size of each chain, shape (chains,).
        draws: Number of draws from which each step size was learned.
    """
    shortest, median = float(steps.min()), median_step(steps)
    agree = draws < MIN_DRAWS or shortest >= SHORTEST_STEP * median
    return (median if agree or shortest < STUCK_STEP * median else shortest), agree


def raise_for_divergences(target: np.ndarray, diverging: np.ndarray) -> np.ndarray:
    """Raise the target acceptance if draws diverge, since chains get stuck if steps are too long.

    Args:
        target: Target acceptance of the window.
        diverging: Which draws of the window diverged, shape (chains, draws); only its second half
            counts.
    """
    late = diverging[:, diverging.shape[1] // 2 :]
    if late.sum() < MIN_DIVERGENT:
        return target
    halvings = sum(late.mean() > share for share in DIVERGENT_SHARES)
    for _ in range(halvings):
        target = tighten(target)
    return target


def tighten(target: np.ndarray) -> np.ndarray:
    """Halve the distance of the target acceptance to 1, but to no less than 0.05."""
    halved = max(float(target), min(1 - (1 - float(target)) / 2, HIGHEST_TARGET))
    return np.asarray(halved, target.dtype)


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


def pool_rows(windows: Sequence[np.ndarray]) -> np.ndarray:
    """Concatenate the rows of all chains of all windows, in order."""
    return np.concatenate([window.reshape(-1, window.shape[-1]) for window in windows])


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
