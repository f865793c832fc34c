"""Batch and match: a normal distribution that matches the scores of the target at its draws."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..errors import EngineError
from ..numerics.epoch import EpochSums, add_parameters, add_step, is_due, mean_elbo, no_sums
from ..numerics.families.base import Family
from ..numerics.families.full_rank import DenseNormal, FullRank
from ..numerics.families.memory import refuse_large
from ..numerics.stationarity import measure_movement
from ..numerics.trace import make_trace, record
from ..target import Components, Target
from ..types import Scalar, Vector
from .approximating import Approximator, Ended, Fitted, Unit, average_epochs
from .base import Draws, Examples, Needs, Tick, WarmupPlan, WindowEnd

FAMILY = FullRank()
# Steps that are averaged to one draw, and draws after which the host decides.
EPOCH, WINDOW = 50, 10
# The learning rate, relative to the first one, at which a fit ends even if its parameters are not
# known to the tolerance.
SLOWEST = 1e-3


class MatchTuning(eqx.Module):
    """What the host decides between windows.

    Attributes:
        learning_rate: How much the scores of one step count relative to the present covariance.
        scale: Scale of the first distribution.
        size: Length of the flat vector; like all that follows, not read in the program.
        first_rate: The first learning rate.
        settled: Whether the parameters have stopped moving.
    """

    learning_rate: Scalar | np.ndarray
    scale: Scalar | np.ndarray
    size: Array | np.ndarray
    first_rate: Scalar | np.ndarray
    settled: Array | np.ndarray


class MatchState(NamedTuple):
    """The approximation between two steps.

    Attributes:
        distribution: The approximation.
        sums: Sums over the steps of the epoch.
        ticks: Steps of the epoch.
        epochs: Epochs made.
        trace: Mean ELBO of the epochs and its standard error; see `numerics.trace`.
    """

    distribution: DenseNormal
    sums: EpochSums
    ticks: Int[Array, ""]
    epochs: Int[Array, ""]
    trace: Float[Array, "2 epochs"]


@dataclass(frozen=True)
class BatchAndMatch(Approximator):
    """Fit a normal distribution with any covariance by matching scores.

    Each step draws from the approximation, and moves its mean and covariance so that its scores
    match those of the target at these draws. This needs no value of the log density, and no
    gradient passes through the draws; the covariance stays positive definite at any step. If the
    posterior is normal, the error falls by a constant factor with each step, whatever the
    posterior's correlations. Otherwise the learning rate is halved when mean and covariance are
    stationary. The result is not the optimum of the ELBO, but of a divergence between scores,
    which weighs directions by the covariance.

    Attributes:
        batch: Draws of the approximation per step.
        learning_rate: The first lambda: how much the scores of one step count relative to the
            present covariance.
        initial_scale: Standard deviations of the first distribution.
        tolerance: Largest change of a mean, in standard deviations, or of a logarithm of a
            standard deviation, that counts as settled.

    Source: Cai et al. (2024), Batch and match, arXiv 2402.14758, algorithm 1; the stop rule
        follows Welandawe et al. (2022), arXiv 2203.15945.
    """

    # Epochs averaged after the fit has settled; the error of the mean falls with their square root.
    final_draws: ClassVar[int] = 50
    unit: ClassVar[Unit] = "epochs"
    without_value: ClassVar[str] = "BatchAndMatch()"
    examples: ClassVar[Examples] = Examples(invalid={"batch": 1})
    batch: int = 16
    learning_rate: float = field(default=1.0, compare=False)
    initial_scale: float = field(default=0.1, compare=False)
    tolerance: float = field(default=0.005, compare=False)

    def __post_init__(self) -> None:
        if self.batch < 2:
            raise EngineError(
                "BatchAndMatch",
                f"batch is {self.batch}, and fewer than 2 draws have no spread to be matched",
                "Give 2 or more; more draws make a step less noisy.",
            )
        for name in ("learning_rate", "initial_scale", "tolerance"):
            value = getattr(self, name)
            if not value > 0:
                raise EngineError(
                    "BatchAndMatch", f"{name} is {value}", "Give a positive number."
                )  # fmt: skip

    @property
    def needs(self) -> Needs:
        return Needs(value=False, exact=False)

    def choose_family(self, size: int) -> Family:
        return FAMILY

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        draws = 2000 if draws is None else draws
        return WarmupPlan(draws, (WINDOW,) * (draws // WINDOW))

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> MatchTuning:
        size, dtype = positions.shape[-1], gradients.dtype
        refuse_large(FAMILY, size, dtype, "BatchAndMatch")
        rate = np.asarray(self.learning_rate, dtype)
        scale = np.asarray(self.initial_scale, dtype)
        return MatchTuning(rate, scale, np.asarray(size, np.int32), rate, np.asarray(False))

    def init(self, position: Vector, here: Components) -> MatchState:
        # The first window begins it with the tuning's scale.
        normal = FAMILY.begin(position, jnp.ones((), position.dtype))
        none = jnp.int32(0)
        return MatchState(normal, no_sums(normal.pack()), none, none, make_trace(position, 2))

    def enter(self, tuning: MatchTuning, state: MatchState, warming: Bool[Array, ""]) -> MatchState:
        is_first = (state.epochs == 0) & (state.ticks == 0)
        begun = FAMILY.begin(state.distribution.mean, jnp.asarray(tuning.scale))
        # Every block is entered, and a window begins after whole windows.
        fresh = state.distribution.refresh(is_due(state.epochs, state.ticks, WINDOW, warming))
        normal = jax.tree.map(lambda a, b: jnp.where(is_first, a, b), begun, fresh)
        return state._replace(distribution=normal, sums=no_sums(normal.pack()))

    def tick(
        self, key: Array, target: Target, tuning: MatchTuning, state: MatchState
    ) -> tuple[MatchState, Tick]:
        q = state.distribution
        key = jax.random.fold_in(key, state.ticks)
        noise = jax.random.normal(key, (self.batch, q.size), q.mean.dtype)
        target = target.at(jax.random.fold_in(key, 1))
        values, scores = jax.vmap(target.evaluate)(jax.vmap(q.forward)(noise))
        elbo = values.mean() - q.mean_log_density(noise)
        usable = jnp.isfinite(scores).all()
        # Without rows nothing changes.
        noise, scores = (jnp.where(usable, a, 0) for a in (noise, scores))
        q = q.match_with_mean(noise, scores, jnp.asarray(tuning.learning_rate))
        sums = add_step(state.sums, elbo, usable)
        return self._end_step(state._replace(distribution=q), sums)

    def _end_step(self, state: MatchState, sums: EpochSums) -> tuple[MatchState, Tick]:
        sums, mean = add_parameters(sums, state.distribution.pack(), state.ticks + 1)
        complete = state.ticks + 1 == EPOCH
        elbo, error = mean_elbo(sums)
        stats = {"elbo": elbo, "elbo_se": error, "skipped": EPOCH - sums.steps}
        tick = Tick(complete, mean, jnp.zeros((0,), elbo.dtype), stats)
        trace = record(state.trace, state.epochs, jnp.stack([elbo, error]))
        done = (no_sums(sums.parameters), jnp.int32(0), state.epochs + 1, trace)
        going = (sums, state.ticks + 1, state.epochs, state.trace)
        rest = jax.tree.map(lambda a, b: jnp.where(complete, a, b), done, going)
        return MatchState(state.distribution, *rest), tick

    def end_window(
        self, tuning: MatchTuning, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        made = recent[-1]
        moving = bool((2 * made.stats["skipped"] < EPOCH).all())
        with np.errstate(all="ignore"):
            moments = FAMILY.moments(made.positions[0], int(tuning.size))
        change, noise = measure_movement(*moments)
        rate = float(tuning.learning_rate)
        stationary = moving and change <= max(self.tolerance, 3 * noise)
        is_known = max(change, noise) <= self.tolerance or rate <= SLOWEST * tuning.first_rate
        settled = bool(stationary and is_known)
        rate = np.asarray(rate / 2 if stationary and not settled else rate, made.positions.dtype)
        learned = replace(tuning, learning_rate=rate, settled=np.asarray(settled))
        return WindowEnd(learned, () if settled else windows)

    def conclude(self, ended: Ended) -> Fitted:
        state = ended.states
        known = bool(ended.tuning.settled), np.nan, state.trace[0]
        epochs = int(state.epochs[0])
        return average_epochs(FAMILY, ended, *known, epochs, epochs * EPOCH * self.batch)
