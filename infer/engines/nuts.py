"""The No-U-Turn sampler, one leapfrog step a tick."""

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from ..errors import EngineError
from ..numerics import hamiltonian, no_u_turn
from ..numerics.hamiltonian import HamiltonianTuning
from ..numerics.hierarchical import MetricName, check_metric, vary
from ..numerics.leapfrog import start_trajectory
from ..numerics.line_integral import Energy, QuadratureName, restart_path
from ..numerics.materialize import materialize
from ..numerics.metric import Metric
from ..numerics.no_u_turn import Candidate, Tree
from ..numerics.step_size import StepSize
from ..numerics.turns import make_slots
from ..target import Components, Target
from ..types import Scalar, Scratch, Vector
from .base import Examples, Tick
from .whitened import Hamiltonian

# Uniform numbers per tick: for the side that grows, for the choice within the subtree, and for the
# choice between the subtree and the tree.
UNIFORMS = 3


class NUTSState(NamedTuple):
    """One chain between two ticks.

    Attributes:
        tree: The trajectory; once it is complete, its choice is the start of the next one.
        slots: Memory of the growing subtree, `turns.Slots`.
        step: What the chain has learned of its step size.
        step_size: Step size of the current trajectory.
        reference: The reference from which log densities and energies are measured, in nats.
        ticks: Ticks since the last completed draw.
    """

    tree: Tree
    slots: Scratch
    step: StepSize
    step_size: Scalar
    reference: Scalar
    ticks: Int[Array, ""]


@dataclass(frozen=True)
class NUTS(Hamiltonian):
    """The No-U-Turn sampler with multinomial trajectories and Stan's extra turn checks.

    Attributes:
        max_depth: Maximum number of doublings of a trajectory.
        target_acceptance: Mean acceptance that warm-up aims at. If more than 2 % of the draws
            diverge before the last window, that window aims closer to 1.
        step_size: First step size in whitened units; by default warm-up searches for it.
        rank: Maximum number of directions that the metric stretches, besides a scale for each
            coordinate; 0 makes the metric diagonal. By default 64; 32 if there are more than 500
            coordinates, and 0 if there are more than 200,000. With more than 2000, only those are
            stretched that shorten trajectories by more than they cost.
        stop_early: Whether warm-up may skip to its last window once the chains agree and the
            metric whitens them, unless chains from other starts end elsewhere; and repeat that
            window while the step sizes of the chains disagree.
        energy: "value" compares log densities. "path" integrates, along each step, the force of
            the terms that have a score but no value.
        quadrature: Rule for these integrals: "gauss_legendre" (two more scores per step, in one
            batch), "simpson" (one more) or "trapezoid" (none, and biased at large steps).
        metric: "euclidean" is the same everywhere; "hierarchical" learns how locations and scales
            depend on coordinates; "auto" takes what pays (one data set, up to 300 coordinates).

    With `energy="path"` the statistics have `relative_lp` instead of `lp`: the log density up
    to a constant of each chain. Two more are sums over a trajectory, in nats:
    `integration_error`, the difference between the trapezoid rule and the chosen rule on each
    step; and `loop_residual`, the work around each triangle of three consecutive points. If the
    score is a gradient, the latter is at most about four times the former, and falls faster with
    the step size. A larger one shows that energies depend on the path, so that the score is not
    the gradient of a density.

    Source: Hoffman & Gelman (2014); Betancourt (2017), arXiv 1701.02434.
    """

    max_depth: int = 10
    target_acceptance: float = field(default=0.8, compare=False)
    step_size: float | None = field(default=None, compare=False)
    rank: int | None = None
    stop_early: bool = field(default=True, compare=False)
    energy: Energy = "value"
    quadrature: QuadratureName = "gauss_legendre"
    metric: MetricName = "auto"
    without_value: ClassVar[str] = 'NUTS(energy="path")'
    examples: ClassVar[Examples] = Examples(invalid={"target_acceptance": 1.2})

    def __post_init__(self) -> None:
        if not 1 <= self.max_depth <= 20:
            raise EngineError("NUTS", f"max_depth is {self.max_depth}", "Give 1 to 20 doublings.")
        self._check_shared_settings()
        check_metric("NUTS", self.metric, self.energy)

    def _complete(self, shared: HamiltonianTuning, size: int) -> HamiltonianTuning:
        return vary(shared, size) if self.metric == "hierarchical" else shared

    def init(self, position: Vector, here: Components) -> NUTSState:
        reference, point = self._first_point(position, here)
        tree = no_u_turn.begin(point)._replace(done=jnp.asarray(True))
        slots = Scratch(make_slots(self.max_depth, point.position))
        one = jnp.ones_like(reference)
        return NUTSState(tree, slots, hamiltonian.idle_step(one), one, reference, jnp.int32(0))

    def tick(
        self, key: Array, target: Target, tuning: HamiltonianTuning, state: NUTSState
    ) -> tuple[NUTSState, Tick]:
        key = jax.random.fold_in(key, state.ticks)
        uniforms = jax.random.uniform(key, (UNIFORMS,), state.step_size.dtype)
        state = _begin_if_done(key, tuning.metric, state)
        start, reference, step_size = state.tree.chosen, state.reference, state.step_size
        tree, end, sign = no_u_turn.find_growing_end(state.tree, uniforms[0])
        point = self._advance(target, reference, end, sign * step_size, tuning.metric)
        tree, slots = no_u_turn.join(tree, state.slots.memory, point, uniforms[1:])
        searching = state.step.searching
        complete = tree.done & ~searching
        acceptance = tree.acceptance_sum / tree.n_steps.astype(step_size.dtype)
        step = hamiltonian.learn(state.step, tuning, complete, acceptance)
        ticks = jnp.where(complete, 0, state.ticks + 1)
        tree = tree._replace(done=tree.done | searching)
        stats = _stats(tree, acceptance, state, step) | self._path_stats(
            reference, tree.chosen.log_density, tree.ends.path
        )
        tick = Tick(complete, tree.chosen.position, tree.chosen.gradient, stats)
        tree = _forget_trial(searching, tree, start)
        return NUTSState(tree, Scratch(slots), step, step_size, reference, ticks), tick


def _begin_if_done(key: Array, metric: Metric, state: NUTSState) -> NUTSState:
    def fresh() -> tuple[Tree, Scalar, Scalar]:
        reference, start = hamiltonian.shift_reference(state.reference, state.tree.chosen)
        position, gradient, log_density, _, path = start
        momentum = materialize(hamiltonian.draw_momentum(key, position, UNIFORMS), state.ticks)
        point = start_trajectory(
            position, momentum, gradient, log_density, metric, restart_path(path)
        )
        return no_u_turn.begin(point), jnp.exp(state.step.log_step), reference

    def same() -> tuple[Tree, Scalar, Scalar]:
        return state.tree, state.step_size, state.reference

    tree, step_size, reference = jax.lax.cond(state.tree.done, fresh, same)
    return state._replace(tree=tree, step_size=step_size, reference=reference)


def _forget_trial(searching: Array, tree: Tree, start: Candidate) -> Tree:
    """Keep the chain where it was after a trial step of the search for a step size."""
    chosen = jax.tree.map(lambda old, new: jnp.where(searching, old, new), start, tree.chosen)
    return tree._replace(chosen=chosen)


def _stats(tree: Tree, acceptance: Scalar, state: NUTSState, step: StepSize) -> dict[str, Array]:
    return {
        "acceptance_rate": acceptance,
        "diverging": tree.diverging,
        "energy_error": -tree.chosen.log_weight,
        "energy": tree.start_energy - tree.chosen.log_weight - state.reference,
        "n_steps": tree.n_steps,
        "tree_depth": tree.depth,
        "step_size": state.step_size,
        "step_size_bar": jnp.exp(step.log_average),
    }
