"""What HMC and NUTS share: their tuning, how it is learned, and a transition's momentum."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from ..errors import EngineError
from ..types import Scalar, Vector
from .agreement import settled
from .blas import one_blas_thread
from .long_sum import two_sum
from .metric import Metric, default_rank, first_metric
from .step_size import StepSize, average_dually, restart, try_one
from .stray import places

# A point of phase space, or the choice of a tree: both have a log density and a path.
Rebased = TypeVar("Rebased", bound=Any)

# A trajectory whose energy exceeds its start's by so many nats is divergent (Stan).
DIVERGENT = 1000.0
# Shares of divergent draws above which the last window aims nearer to 1, each by half of what is
# left; and how many there must be. A horseshoe regression had four in a hundred at 0.8, and chains
# stuck where steps must be short: at 0.95 its smallest ESS was 258 instead of 19 (medians of five).
DIVERGENT_SHARES = 0.02, 0.04
FEWEST_DIVERGENT = 5
# Of chains on one posterior, whose last window had 30 draws, the shortest step was 0.77 to 0.99 of
# the median, on eight models; of chains that began to sample in the neck of a funnel 0.14 to 0.35.
# Dual averaging of few draws scatters more; a step shorter by far serves one chain alone.
SHORTEST_STEP = 0.5
STUCK_STEP = 0.03
FEWEST_DRAWS = 20
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
        astray: Whether some chain had to be sent to where the others are; not read in the program.
    """

    step_size: Scalar | np.ndarray
    target_acceptance: Scalar | np.ndarray
    metric: Metric
    searching: Bool[Array, ""] | np.ndarray
    settled: Bool[Array, ""] | np.ndarray
    astray: Bool[Array, ""] | np.ndarray


def check_settings(
    engine: str, target_acceptance: float, step_size: float | None, rank: int | None
) -> None:
    """Refuse settings that make no sense, when the engine is made."""
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
    """Begin with scales from the gradients, and a step size that is sought where not given."""
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


def trusted(log_weight: Scalar) -> Scalar:
    """Read an energy that is not a number, or is minus infinity, as a divergence."""
    return jnp.where(log_weight < jnp.inf, log_weight, -jnp.inf)


def rebased(reference: Scalar, point: Rebased) -> tuple[Scalar, Rebased]:
    """Take a point's log density into the reference that the next ones are told from.

    What rounding leaves of it stays with the point, so nothing is lost. Energies that are
    integrated along the way have no reference.
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
) -> HamiltonianTuning:
    """Pool what all chains learned in a window, in float64 and in chain order.

    Chains that have gone astray teach nothing.

    Args:
        tuning: In use so far.
        draws: Of the last windows, each of shape (chains, draws, size).
        scores: Gradients there.
        stats: Of the last window, each of shape (chains, draws).
        remaining: Windows still to come; the last learns the step size alone, and aims at a
            higher acceptance if it is made again.
    """
    dtype = np.asarray(tuning.step_size).dtype
    metric, target = tuning.metric, np.asarray(tuning.target_acceptance)
    kept = places(metric, draws[-1], scores[-1], stats, remaining) == np.arange(len(draws[-1]))
    draws, scores = [w[kept] for w in draws], [w[kept] for w in scores]
    steps, astray = stats["step_size_bar"][kept, -1], np.asarray(not kept.all())
    if not remaining:
        step_size, agree = shared_step(steps, draws[-1].shape[1])
        target = target if agree else nearer(target)
        return HamiltonianTuning(
            np.asarray(step_size, dtype),
            target,
            metric,
            np.asarray(False),
            np.asarray(agree),
            astray,
        )
    with one_blas_thread():
        learned = metric.learned(pooled(draws), pooled(scores))
        # Before the last window there is none to leave out.
        enough = remaining > 1 and settled(metric, draws[-1], scores[-1])
    if "diverging" in stats and (remaining == 1 or enough):
        target = raised(target, stats["diverging"][kept])
    return HamiltonianTuning(
        np.asarray(middle(steps), dtype),
        target,
        learned,
        # The first metric changes the units of a step, later ones hardly do.
        np.asarray(len(draws) == 1),
        np.asarray(enough),
        astray,
    )


def middle(steps: np.ndarray) -> float:
    """Compute the median step size: one stuck chain does not take the others along."""
    return float(np.exp(np.median(np.log(steps.astype(np.float64)))))


def shared_step(steps: np.ndarray, draws: int) -> tuple[float, bool]:
    """Choose one step size for all chains, and tell whether it suits each of them.

    At a step much longer than its own, as in the neck of a funnel, a chain diverges and stays
    where it is. Where one has a much shorter step than the median, all take the shortest, unless
    that would cost the others more than it can gain.

    Args:
        steps: Each chain's averaged step size, shape (chains,).
        draws: From which each was learned.
    """
    shortest, median = float(steps.min()), middle(steps)
    agree = draws < FEWEST_DRAWS or shortest >= SHORTEST_STEP * median
    return (median if agree or shortest < STUCK_STEP * median else shortest), agree


def raised(target: np.ndarray, diverging: np.ndarray) -> np.ndarray:
    """Aim at a higher acceptance where draws diverge: steps too long leave chains stuck.

    Args:
        target: Mean acceptance that was aimed at.
        diverging: Which draws of a window diverged, shape (chains, draws); the later half counts.
    """
    late = diverging[:, diverging.shape[1] // 2 :]
    if late.sum() < FEWEST_DIVERGENT:
        return target
    halvings = sum(late.mean() > share for share in DIVERGENT_SHARES)
    for _ in range(halvings):
        target = nearer(target)
    return target


def nearer(target: np.ndarray) -> np.ndarray:
    """Halve what is left to an acceptance of 1, down to a twentieth."""
    halved = max(float(target), min(1 - (1 - float(target)) / 2, HIGHEST_TARGET))
    return np.asarray(halved, target.dtype)


def still(tuning: HamiltonianTuning, done: int, windows: tuple[int, ...]) -> tuple[int, ...]:
    """Choose the windows to come: once a metric has settled, only the last of those planned.

    The last one learns the step size alone, and is made again while the chains' steps disagree, so
    that a chain in the neck of a funnel finds out of it with short steps of its own. Where one had
    gone astray, the metric is learned once more too, from where it has been sent.

    Args:
        tuning: Learned from the window done.
        done: Draws per chain in it.
        windows: Those still planned.
    """
    if tuning.astray:
        return (done, *windows) if windows else (2 * done, done)
    if tuning.settled:
        return windows[-1:]
    return windows or (done,)


def pooled(windows: Sequence[np.ndarray]) -> np.ndarray:
    """Join the rows of all chains of all windows, in order."""
    return np.concatenate([window.reshape(-1, window.shape[-1]) for window in windows])


def enter(tuning: HamiltonianTuning, warming: Bool[Array, ""]) -> StepSize:
    """Begin a window: each chain takes the shared step size, and in warm-up moves its own."""
    return restart(jnp.asarray(tuning.step_size), jnp.asarray(tuning.searching), warming)


def learn(
    state: StepSize, tuning: HamiltonianTuning, complete: Bool[Array, ""], acceptance: Scalar
) -> StepSize:
    """Update one chain's step size: after a search's trial, or a completed draw."""

    def updated() -> StepSize:
        searched = try_one(state, acceptance)
        averaged = average_dually(state, acceptance, jnp.asarray(tuning.target_acceptance))
        return jax.tree.map(lambda a, b: jnp.where(state.searching, a, b), searched, averaged)

    due = state.searching | (complete & state.adapting)
    return jax.lax.cond(due, updated, lambda: state)


def draw_momentum(key: Array, like: Vector, spent: int) -> Vector:
    """Draw a standard normal momentum in the whitened space.

    Args:
        key: May have been used for a few uniform numbers; a key for each would cost more.
        like: Of the shape and type of the momentum.
        spent: How many.
    """
    # The n-th number of a key depends on n alone, with JAX's partitionable threefry.
    return jax.random.normal(key, (spent + like.size,), like.dtype)[spent:]
