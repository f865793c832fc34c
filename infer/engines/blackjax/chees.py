"""ChEES of BlackJAX: HMC whose chains learn one step size and one trajectory length together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Int

from ...errors import EngineError
from ...numerics.metric import Metric, guess_metric
from ...numerics.retune import pool_rows
from ...numerics.windows import plan_windows
from ...target import Components, Target
from ...types import Scalar, Vector
from ..base import Draws, Engine, Examples, Tick, WarmupPlan, WindowEnd
from .library import as_log_density, library
from .population import gather, merge_copies

FIRST_STEP = 0.1
# The jitter repeats after 2^16 draws.
JITTER_BITS = 16
# Adam, and the memory of the averages, as in Hoffman et al. (2021), section 3.2.
LEARNING_RATE, FORGETTING = 0.025, 0.5
_ADAM = optax.adam(LEARNING_RATE, b1=0.0, b2=0.95)


class ChEESTuning(eqx.Module):
    """The tuning of ChEES; traced.

    Attributes:
        step_size: In whitened units.
        trajectory_length: Longest trajectory, in whitened units; the mean is half of it.
        metric: The scales.
    """

    step_size: Scalar | np.ndarray
    trajectory_length: Scalar | np.ndarray
    metric: Metric


class ChEESState(NamedTuple):
    """One chain between two transitions.

    Attributes:
        position: The current position.
        log_density: Log density there, in nats.
        gradient: Gradient there.
        adaptation: BlackJAX's state of the adaptation, the same in all chains.
        adapting: Whether transitions update it.
        transitions: Number of transitions so far, the index of the jitter.
    """

    position: Vector
    log_density: Scalar
    gradient: Vector
    adaptation: Any
    adapting: Bool[Array, ""]
    transitions: Int[Array, ""]


@dataclass(frozen=True)
class ChEES(Engine):
    """HMC with a trajectory length that maximizes the change of the squared distance.

    All chains move in step, with the same jittered number of leapfrog steps, and learn step size
    and length together. More chains learn better: use at least a dozen, or some hundred on an
    accelerator. Scales are pooled at the ends of windows, as for HMC.

    Attributes:
        target_acceptance: Harmonic mean of the acceptances of all chains that warm-up aims at.
        step_size: First step size in whitened units.
        max_steps: Maximum number of leapfrog steps of a transition.

    Source: Hoffman, Radul & Sountsov (2021), An adaptive-MCMC scheme for setting trajectory
        lengths in Hamiltonian Monte Carlo.
    """

    scope: ClassVar[Literal["chain", "population"]] = "population"
    examples: ClassVar[Examples] = Examples(invalid={"max_steps": 0})
    target_acceptance: float = 0.651
    step_size: float = field(default=FIRST_STEP, compare=False)
    max_steps: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.target_acceptance < 1 or not self.step_size > 0 or self.max_steps < 1:
            raise EngineError(
                "ChEES",
                f"target_acceptance is {self.target_acceptance}, step_size {self.step_size}, "
                f"max_steps {self.max_steps}",
                "Give an acceptance between 0 and 1, and positive numbers.",
            )

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        draws = 400 if draws is None else draws
        return WarmupPlan(draws, plan_windows(draws))

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> ChEESTuning:
        if len(positions) < 2:
            raise EngineError(
                "ChEES",
                "it learns from the distances between chains, and there is only one",
                "Run a dozen chains or more, or use HMC() or NUTS().",
            )
        step_size = np.asarray(self.step_size, gradients.dtype)
        return ChEESTuning(step_size, step_size, guess_metric(gradients, rank=0))

    def init(self, position: Vector, here: Components) -> ChEESState:
        one, no = jnp.ones_like(here.value), jnp.asarray(False)
        adaptation = self._begin(one, one)
        return ChEESState(position, here.value, here.gradient, adaptation, no, jnp.int32(0))

    def enter(self, tuning: ChEESTuning, state: ChEESState, warming: Bool[Array, ""]) -> ChEESState:
        lengths = jnp.asarray(tuning.step_size), jnp.asarray(tuning.trajectory_length)
        return state._replace(adaptation=self._begin(*lengths), adapting=warming)

    def tick(
        self, key: Array, target: Target, tuning: ChEESTuning, state: ChEESState
    ) -> tuple[ChEESState, Tick]:
        adaptation, transitions, adapting = merge_copies(
            (state.adaptation, state.transitions, state.adapting)
        )
        scale: Any = tuning.metric.to_model(jnp.ones_like(state.position))
        step_size = adaptation.step_size
        longest = adaptation.trajectory_length / step_size
        steps = jnp.ceil(_jitter(transitions).astype(step_size.dtype) * longest).astype(jnp.int32)
        kernel = library().hmc.build_kernel()
        here = library().mcmc.hmc.HMCState(
            jnp.zeros_like(scale), state.log_density, scale * state.gradient
        )
        log_density = as_log_density(target, state.position, scale)
        ones = jnp.ones_like(scale)
        end, info = kernel(key, here, log_density, step_size, ones, steps)
        learned = self._learn(adaptation, transitions, state.position / scale, info)
        adaptation = _select(adapting, learned, adaptation)
        moved = _move(state, end, scale, info.is_accepted)
        moved = moved._replace(adaptation=adaptation, transitions=transitions + 1)
        start_energy = 0.5 * jnp.sum(info.momentum**2) - state.log_density
        energy = jnp.where(info.is_accepted, info.energy, start_energy)
        stats = _stats(moved, info, energy, step_size, steps)
        return moved, Tick(jnp.asarray(True), moved.position, moved.gradient, stats)

    def end_window(
        self, tuning: ChEESTuning, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        stats, dtype = recent[-1].stats, np.asarray(tuning.step_size).dtype
        step_size, length = (
            np.asarray(stats[name][0, -1], dtype)
            for name in ("step_size_bar", "trajectory_length_bar")
        )
        metric = tuning.metric
        if windows:
            draws, scores = [w.positions for w in recent], [w.gradients for w in recent]
            metric = metric.learn(pool_rows(draws), pool_rows(scores))
        return WindowEnd(ChEESTuning(step_size, length, metric), windows)

    @property
    def _adaptation(self) -> tuple[Any, Any]:
        return library().adaptation.chees_adaptation.base(
            _jitter, lambda same: same, _ADAM, self.target_acceptance, FORGETTING, self.max_steps
        )

    def _begin(self, step_size: Scalar, trajectory_length: Scalar) -> Any:
        begin, _ = self._adaptation
        begun = begin(jnp.int32(0), step_size)._replace(trajectory_length=trajectory_length)
        return jax.tree.map(lambda a: _as_strong(a, step_size.dtype), begun)

    def _learn(self, adaptation: Any, transitions: Array, whitened: Vector, info: Any) -> Any:
        """Update BlackJAX's adaptation with the proposals of all chains."""
        _, update = self._adaptation
        everything = gather(
            (
                whitened + info.proposal.position,
                # BlackJAX flips the momentum at the end of a trajectory, as its criterion expects.
                info.proposal.momentum,
                whitened,
                info.acceptance_rate,
                info.is_divergent,
            )
        )
        now = adaptation._replace(random_generator_arg=transitions)
        return update(now, *everything, jnp.ones_like(whitened))


def _jitter(transitions: Array) -> Array:
    """Return the fraction of the longest trajectory for a transition, a van der Corput number."""
    return library().mcmc.dynamic_hmc.halton_sequence(transitions, JITTER_BITS)


def _as_strong(leaf: Any, dtype: Any) -> Array:
    """Convert an initial value of BlackJAX, such as a Python number, to an array of fixed type."""
    whole = jnp.issubdtype(jnp.result_type(leaf), jnp.integer)
    return jnp.asarray(leaf, jnp.int32 if whole else dtype)


def _select(chosen: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(chosen, jnp.asarray(a).astype(b.dtype), b), new, old)


def _move(state: ChEESState, end: Any, scale: Vector, accepted: Array) -> ChEESState:
    fresh = state.position + scale * end.position, end.logdensity, end.logdensity_grad / scale
    old = state.position, state.log_density, state.gradient
    return state._replace(**dict(zip(state._fields, _select(accepted, fresh, old), strict=False)))


def _stats(
    moved: ChEESState, info: Any, energy: Scalar, step_size: Scalar, steps: Array
) -> dict[str, Array]:
    adaptation = moved.adaptation
    bar = lambda log_average, own: jnp.where(moved.adapting, jnp.exp(log_average), own)  # noqa: E731
    return {
        "lp": moved.log_density,
        "acceptance_rate": info.acceptance_rate,
        "diverging": info.is_divergent,
        "energy": energy,
        "n_steps": steps,
        "step_size": step_size,
        "step_size_bar": bar(adaptation.log_step_size_moving_average, step_size),
        "trajectory_length": steps * step_size,
        "trajectory_length_bar": bar(
            adaptation.log_trajectory_length_moving_average, adaptation.trajectory_length
        ),
    }
