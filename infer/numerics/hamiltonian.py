"""What HMC and NUTS share: their tuning, how it is learned, and the momentum of a transition."""

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
from .metric import Metric, default_rank, first_metric
from .step_size import StepSize, average_log_steps, continue_search, restart

# A point of phase space, or the choice of a tree: both have a log density and a path.
Referenced = TypeVar("Referenced", bound=Any)

# A trajectory whose energy exceeds that of its start by this many nats is divergent (Stan).
DIVERGENT = 1000.0
# Each share of divergent draws that is exceeded halves the distance of the target acceptance to 1
# in the last window; and the minimum number of divergent draws for that. In a horseshoe regression
# 4 % of the draws diverged at 0.8, and chains got stuck where steps must be short: at 0.95 its
# smallest ESS was 258 instead of 19 (medians of five).
DIVERGENT_SHARES = 0.02, 0.04
MIN_DIVERGENT = 5
# If all chains sample one posterior, the shortest step of a last window of 30 draws was 0.77 to
# 0.99 of the median, on eight models; for chains that began to sample in the neck of a funnel it
# was 0.14 to 0.35. With fewer draws dual averaging scatters more; a step that is shorter still
# suits one chain only.
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
        settled: Whether another window like the last one would teach nothing; not read in the
            program.
        relocated: Whether some chain had to be moved to where the others are; not read in the
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
    """Refuse invalid settings when the engine is made."""
    if rank is not None and rank < 0:
        raise EngineError(engine, f"rank is {rank}", "Give 0 for a diagonal metric, or more.")
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
    """Begin with scales from the gradients, and search for a step size if none is given."""
    dtype, size = gradients.dtype, gradients.shape[1]
    rank = default_rank(size) if rank is None else min(rank, size)
    return HamiltonianTuning(
        np.asarray(0.1 if step_size is None else step_size, dtype),
        np.asarray(target, dtype),
        first_metric(gradients, rank),
        np.asarray(step_size is None),
        np.asarray(False),
        np.asarray(False),
    )


def reuse(learned: HamiltonianTuning, fresh: HamiltonianTuning) -> HamiltonianTuning:
    """Keep step size and metric, and take the target acceptance from `fresh`."""
    return eqx.tree_at(lambda t: t.target_acceptance, learned, fresh.target_acceptance)


def nan_as_divergence(log_weight: Scalar) -> Scalar:
    """Replace a log weight that is NaN or infinite by minus infinity, which is a divergence."""
    return jnp.where(log_weight < jnp.inf, log_weight, -jnp.inf)


def shift_reference(reference: Scalar, point: Referenced) -> tuple[Scalar, Referenced]:
    """Add a point's log density to the reference from which log densities are measured.

    The rounding error of the sum stays with the point, so nothing is lost. Energies that are
    integrated along the path have no reference.
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
    """Pool what all chains learned in a window, in float64 and in chain order.

    Args:
        tuning: In use so far.
        draws: Of the last windows, each of shape (chains, draws, size).
        scores: Gradients there.
        stats: Of the last window, each of shape (chains, draws).
        remaining: Windows still to come. The last window learns the step size alone, and aims at
            a higher acceptance if it is repeated.
        stays: Which chains stay where they are, shape (chains,); nothing is learned from the
            others.
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
        # Before the last window there is none to skip.
        enough = remaining > 1 and is_settled(metric, draws[-1], scores[-1])
    if "diverging" in stats and (remaining == 1 or enough):
        target = raise_for_divergences(target, stats["diverging"][stays])
    step_size = np.asarray(median_step(steps), dtype)
    # The first metric changes the units of a step, later ones hardly do.
    searching = np.asarray(len(draws) == 1)
    return HamiltonianTuning(step_size, target, learned, searching, np.asarray(enough), relocated)


def median_step(steps: np.ndarray) -> float:
    """Compute the median step size, which a single stuck chain does not change much."""
    return float(np.exp(np.median(np.log(steps.astype(np.float64)))))


def choose_shared_step(steps: np.ndarray, draws: int) -> tuple[float, bool]:
    """Choose one step size for all chains, and return whether it suits each of them.

    With a step much longer than its own, as in the neck of a funnel, a chain diverges and stays
    where it is. If one chain has a much shorter step than the median, all chains take the shortest,
    unless that would cost the others more than it can gain.

    Args:
        steps: Averaged step size of each chain, shape (chains,).
        draws: Number of draws from which each was learned.
    """
    shortest, median = float(steps.min()), median_step(steps)
    agree = draws < MIN_DRAWS or shortest >= SHORTEST_STEP * median
    return (median if agree or shortest < STUCK_STEP * median else shortest), agree


def raise_for_divergences(target: np.ndarray, diverging: np.ndarray) -> np.ndarray:
    """Raise the target acceptance if draws diverge: steps that are too long leave chains stuck.

    Args:
        target: Mean acceptance that was aimed at.
        diverging: Which draws of a window diverged, shape (chains, draws); only the later half of
            the window counts.
    """
    late = diverging[:, diverging.shape[1] // 2 :]
    if late.sum() < MIN_DIVERGENT:
        return target
    halvings = sum(late.mean() > share for share in DIVERGENT_SHARES)
    for _ in range(halvings):
        target = tighten(target)
    return target


def tighten(target: np.ndarray) -> np.ndarray:
    """Halve the distance of a target acceptance to 1, but not below 0.05."""
    halved = max(float(target), min(1 - (1 - float(target)) / 2, HIGHEST_TARGET))
    return np.asarray(halved, target.dtype)


def remaining_windows(
    tuning: HamiltonianTuning, done: int, windows: tuple[int, ...]
) -> tuple[int, ...]:
    """Choose the windows to come: only the last of those planned once the metric has settled.

    The last window learns the step size alone, and is repeated while the chains' step sizes
    disagree, so that a chain in the neck of a funnel leaves it with short steps of its own. If a
    chain was relocated, the metric is learned once more, from the region it was moved to.

    Args:
        tuning: Learned from the window that has ended.
        done: Draws per chain in that window.
        windows: Draws per chain in each window still planned.
    """
    if tuning.relocated:
        return (done, *windows) if windows else (2 * done, done)
    if tuning.settled:
        return windows[-1:]
    return windows or (done,)


def pool_rows(windows: Sequence[np.ndarray]) -> np.ndarray:
    """Join the rows of all chains of all windows, in order."""
    return np.concatenate([window.reshape(-1, window.shape[-1]) for window in windows])


def enter(tuning: HamiltonianTuning, warming: Bool[Array, ""]) -> StepSize:
    """Begin a window: each chain takes the shared step size, and in warm-up adapts its own."""
    return restart(jnp.asarray(tuning.step_size), jnp.asarray(tuning.searching), warming)


def learn(
    state: StepSize, tuning: HamiltonianTuning, complete: Bool[Array, ""], acceptance: Scalar
) -> StepSize:
    """Update one chain's step size after a trial of the search, or after a completed draw."""

    def update() -> StepSize:
        searched = continue_search(state, acceptance)
        averaged = average_log_steps(state, acceptance, jnp.asarray(tuning.target_acceptance))
        return jax.tree.map(lambda a, b: jnp.where(state.searching, a, b), searched, averaged)

    due = state.searching | (complete & state.adapting)
    return jax.lax.cond(due, update, lambda: state)


def draw_momentum(key: Array, like: Vector, spent: int) -> Vector:
    """Draw a standard normal momentum in the whitened space.

    Args:
        key: May already have been used for a few uniform numbers; another key would cost more.
        like: Has the shape and type of the momentum.
        spent: Number of uniform numbers that were drawn.
    """
    # The n-th number of a key depends on n alone, with JAX's partitionable threefry.
    return jax.random.normal(key, (spent + like.size,), like.dtype)[spent:]
