"""Adaptive tempered SMC of BlackJAX: the chains are particles that go from prior to posterior."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from ...errors import EngineError
from ...target import Components, Target
from ...types import Scalar, Vector
from ..base import CHAINS, Engine, Examples, Needs, Tick, WarmupPlan, one_window
from .library import library
from .population import gather, merge_copies, shared_key

# With fewer particles, neither weights nor scales are meaningful.
FEWEST = 16
FIRST_STEP = 0.5
# Maximum number of leapfrog steps of a move.
MOST_STEPS = 64


class SMCTuning(eqx.Module):
    """The tuning of tempered SMC; traced, and not learned between windows.

    Attributes:
        trajectory_length: Mean length of a move, in units of the scales of the particles.
        target_acceptance: Mean acceptance that the step size aims at.
        ess: Effective fraction of the particles after a change of the power.
    """

    trajectory_length: Scalar | np.ndarray
    target_acceptance: Scalar | np.ndarray
    ess: Scalar | np.ndarray


class Population(NamedTuple):
    """What all particles share; each has a copy.

    Attributes:
        power: Power of the likelihood: 0 at the prior, 1 at the posterior.
        log_step: Logarithm of the step size of the moves.
        scale: Standard deviations of the particles, shape (size,).
        evidence: Log marginal likelihood at this power, in nats.
        stages: Number of changes of the power so far.
    """

    power: Scalar
    log_step: Scalar
    scale: Vector
    evidence: Scalar
    stages: Int[Array, ""]


class SMCState(NamedTuple):
    """One particle between two stages.

    Attributes:
        position: The current position.
        weight: Its normalized weight.
        steps: Leapfrog steps since the last draw.
        warming: Whether moves at the posterior still learn.
        population: What it shares with the others.
    """

    position: Vector
    weight: Scalar
    steps: Int[Array, ""]
    warming: Bool[Array, ""]
    population: Population


@dataclass(frozen=True)
class TemperedSMC(Engine):
    """Sequential Monte Carlo from the prior to the posterior, through powers of the likelihood.

    Chains are particles. A tick is a stage: particles are resampled by their weights, moved by
    HMC, and weighted for the next power, chosen so that a fraction `ess` of them stays effective.
    At the posterior weights are equal, and every further stage is a draw of each particle. The
    statistic `log_marginal_likelihood` is the evidence, in nats, if priors and likelihood are
    normalized; `stages` counts the powers.

    Attributes:
        moves: HMC moves of a particle per stage.
        ess: Effective fraction of the particles after a change of the power.
        trajectory_length: Mean length of a move, in units of the scales of the particles.
        target_acceptance: Mean acceptance that the step size of the moves aims at.

    Source: Del Moral, Doucet & Jasra (2006), Sequential Monte Carlo samplers; adaptive powers as
        Jasra et al. (2011); moves tuned by the particles as Buchholz, Chopin & Jacob (2021).
    """

    scope: ClassVar[Literal["chain", "population"]] = "population"
    examples: ClassVar[Examples] = Examples(invalid={"ess": 1.0})
    moves: int = 5
    ess: float = field(default=0.5, compare=False)
    trajectory_length: float = field(default=1.5, compare=False)
    target_acceptance: float = field(default=0.8, compare=False)

    def __post_init__(self) -> None:
        if self.moves < 1 or not self.trajectory_length > 0:
            raise EngineError(
                "TemperedSMC",
                f"moves is {self.moves} and trajectory_length {self.trajectory_length}",
                "Give one move or more, and a positive length.",
            )
        if not (0 < self.ess < 1 and 0 < self.target_acceptance < 1):
            raise EngineError(
                "TemperedSMC",
                f"ess is {self.ess} and target_acceptance {self.target_acceptance}",
                "Give numbers between 0 and 1.",
            )

    @property
    def needs(self) -> Needs:
        return Needs(parts=True, prior_starts=True)

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        return one_window(10 if draws is None else draws)

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> SMCTuning:
        if len(positions) < FEWEST:
            raise EngineError(
                "TemperedSMC",
                f"its particles are the chains, and there are only {len(positions)}",
                f"Run at least {FEWEST} chains, better chains=1000.",
            )
        settings = self.trajectory_length, self.target_acceptance, self.ess
        return SMCTuning(*(np.asarray(number, gradients.dtype) for number in settings))

    def reuse(self, learned: SMCTuning, fresh: SMCTuning) -> SMCTuning:
        return fresh

    def init(self, position: Vector, here: Components) -> SMCState:
        zero = jnp.zeros_like(here.value)
        log_step = jnp.full_like(zero, np.log(FIRST_STEP))
        population = Population(zero, log_step, jnp.ones_like(position), zero, jnp.int32(0))
        one, none = jnp.ones_like(zero), jnp.int32(0)
        return SMCState(position, one, none, jnp.asarray(False), population)

    def enter(self, tuning: SMCTuning, state: SMCState, warming: Bool[Array, ""]) -> SMCState:
        return state._replace(warming=warming)

    def tick(
        self, key: Array, target: Target, tuning: SMCTuning, state: SMCState
    ) -> tuple[SMCState, Tick]:
        now, warming = merge_copies((state.population, state.warming))
        particles, weights = gather((state.position, state.weight))
        weights = weights / weights.sum()
        arrived = now.power == 1
        learning = warming | ~arrived
        scale = jnp.where(learning, _spread(particles, weights), now.scale)
        # The stages before the first draw are ticks of that draw, and share its key.
        length_key, key = jax.random.split(jax.random.fold_in(shared_key(key), now.stages))
        steps = _steps(length_key, tuning, now)
        moved, info = self._stage(
            key,
            merge_copies(target),
            tuning,
            now._replace(scale=scale),
            (particles, weights),
            steps,
        )
        moves = info.update_info
        gained = moves.acceptance_rate.mean() - tuning.target_acceptance
        population = Population(
            power=moved.tempering_param,
            log_step=now.log_step + jnp.where(learning, gained, 0.0),
            scale=scale,
            evidence=now.evidence + jnp.where(arrived, 0.0, info.log_likelihood_increment),
            stages=now.stages + ~arrived,
        )
        population = jax.tree.map(lambda a, old: a.astype(old.dtype), population, now)
        own = jax.lax.axis_index(CHAINS)
        position = moved.particles[own].astype(state.position.dtype)
        log_density, gradient = target.evaluate(position)
        taken = state.steps + self.moves * steps
        stats = {
            "lp": log_density,
            "acceptance_rate": moves.acceptance_rate[own].mean(),
            "diverging": moves.is_divergent[own].any(),
            "log_marginal_likelihood": population.evidence,
            "n_steps": taken,
            "stages": population.stages,
            "step_size": jnp.exp(now.log_step),
        }
        weight = moved.weights[own].astype(state.weight.dtype)
        left = jnp.where(arrived, 0, taken)
        return SMCState(position, weight, left, warming, population), Tick(
            arrived, position, gradient, stats
        )

    def _stage(
        self,
        key: Array,
        target: Target,
        tuning: SMCTuning,
        now: Population,
        weighted: tuple[Array, Array],
        steps: Array,
    ) -> tuple[Any, Any]:
        """Resample the particles by BlackJAX, move them, and weight them for the next power."""
        blackjax = library()
        kernel = blackjax.adaptive_tempered_smc.build_kernel(
            lambda position: target.parts(position).prior,
            lambda position: target.parts(position).likelihood,
            blackjax.hmc.build_kernel(),
            blackjax.hmc.init,
            resample,
            jnp.asarray(tuning.ess),
        )
        state = blackjax.smc.tempered.TemperedSMCState(*weighted, now.power)
        # BlackJAX shares a setting with one row among all particles.
        settings = {
            "step_size": jnp.exp(now.log_step)[None],
            "inverse_mass_matrix": (now.scale**2)[None],
            "num_integration_steps": steps[None],
        }
        return kernel(key, state, self.moves, settings)


def _spread(particles: Array, weights: Array) -> Vector:
    """Return the standard deviations of weighted particles; 1 for a coordinate without spread."""
    mean = weights @ particles
    variance = weights @ (particles - mean) ** 2
    return jnp.where(variance > 0, jnp.sqrt(variance), 1.0)


def _steps(key: Array, tuning: SMCTuning, now: Population) -> Int[Array, ""]:
    """Choose the number of leapfrog steps per move; jittered, so that no orbit closes."""
    jitter = jax.random.uniform(key, (), now.log_step.dtype, 0.5, 1.5)
    steps = jnp.round(jitter * tuning.trajectory_length / jnp.exp(now.log_step))
    return jnp.clip(steps, 1, MOST_STEPS).astype(jnp.int32)


def resample(key: Array, weights: Array, count: int) -> Array:
    """Resample particles by their weights; if the weights are equal, each particle stays."""
    drawn = library().smc.resampling.systematic(key, weights, count)
    equal = (weights == weights[0]).all()
    return jnp.where(equal, jnp.arange(count, dtype=drawn.dtype), drawn)
