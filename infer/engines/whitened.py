"""What HMC, NUTS and the Metropolis samplers share: whitened coordinates and their warm-up."""

from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from ..numerics import hamiltonian
from ..numerics.hamiltonian import HamiltonianTuning
from ..numerics.leapfrog import PhasePoint, leapfrog
from ..numerics.line_integral import (
    Energy,
    Path,
    QuadratureName,
    check_energy,
    leapfrog_along,
    name_path_statistics,
    start_chain,
)
from ..numerics.metric import Metric
from ..numerics.retune import retune
from ..numerics.stray import SCOUT_DRAWS, relocate_chains
from ..numerics.windows import choose_warmup_draws, plan_windows
from ..target import Components, Target
from ..types import Scalar, Vector
from .base import Draws, Engine, Needs, Tuning, WarmupPlan, WindowEnd
from .settings import check_step_settings


class Whitened(Engine):
    """An engine whose chains learn a common metric and step size, pooled at the ends of windows.

    The tuning is a `HamiltonianTuning`, or has one in its attribute `shared`.

    Attributes:
        stop_early: Whether warm-up may skip to its last window, and repeat that window.
        energy: "value" compares log densities; "path" integrates forces along each step.
        sends_scouts: Whether chains from other starts explore before warm-up ends early.
    """

    stop_early: bool
    energy: Energy = "value"
    sends_scouts: ClassVar[bool] = True

    @property
    def needs(self) -> Needs:
        return Needs(value=self.energy == "value")

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        draws = self._default_warmup(chains) if draws is None else draws
        # Without a value nothing bounds the mass of a region.
        scout_draws = SCOUT_DRAWS if self.sends_scouts and self.energy == "value" else 0
        return WarmupPlan(draws, plan_windows(draws), scout_draws, self.energy == "value")

    def _default_warmup(self, chains: int) -> int:
        return choose_warmup_draws(chains)

    def reuse(self, learned: Tuning, fresh: Tuning) -> Tuning:
        return _with_shared(fresh, hamiltonian.reuse(_shared(learned), _shared(fresh)))

    def enter(self, tuning: Tuning, state: Any, warming: Bool[Array, ""]) -> Any:
        """Let the chain begin the window with the shared step size, in `state.step`."""
        return state._replace(step=hamiltonian.enter(_shared(tuning), warming))

    def end_window(
        self, tuning: Tuning, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        before, last, remaining = _shared(tuning), recent[-1], len(windows)
        relocation = relocate_chains(before.metric, *last, remaining)
        stays = relocation == np.arange(len(relocation))
        # All of them are the window itself, which is then not copied.
        kept = recent if stays.all() else [_select(window, stays) for window in recent]
        draws, scores = [w.positions for w in kept], [w.gradients for w in kept]
        moved = not stays.all()
        learned = retune(before, draws, scores, kept[-1].stats, remaining, moved)
        if self.stop_early:
            windows = hamiltonian.remaining_windows(learned, last.positions.shape[1], windows)
        return WindowEnd(_with_shared(tuning, learned), windows, relocation)


class Hamiltonian(Whitened):
    """A whitened engine whose trajectories are leapfrog steps.

    Attributes:
        target_acceptance: Mean acceptance that warm-up aims at.
        step_size: First step size in whitened units, if it is not searched for.
        rank: Maximum number of directions that the metric stretches, if it is given.
        quadrature: Rule for the integrals of `energy="path"`.
    """

    target_acceptance: float
    step_size: float | None
    rank: int | None
    quadrature: QuadratureName

    def _check_shared_settings(self) -> None:
        name = type(self).__name__
        check_energy(name, self.energy, self.quadrature)
        check_step_settings(name, self.target_acceptance, self.step_size, self.rank)

    def first_tuning(self, target: Target, positions: np.ndarray, gradients: np.ndarray) -> Tuning:
        """Make the first tuning; gradients, and then it, may have a leading axis of densities."""
        settings = self.step_size, self.target_acceptance, self.rank
        return self._complete(hamiltonian.first_tuning(gradients, *settings), gradients.shape[-1])

    def _complete(self, shared: HamiltonianTuning, size: int) -> Tuning:
        """Add to a first tuning what only this engine has."""
        return shared

    def _first_point(self, position: Vector, here: Components) -> tuple[Scalar, PhasePoint]:
        """Return the reference of a chain that starts here, and its first point."""
        point = start_chain(self.energy, position, here)
        return hamiltonian.shift_reference(jnp.zeros_like(point.log_density), point)

    def _advance(
        self, target: Target, reference: Scalar, point: PhasePoint, step_size: Scalar,
        metric: Metric,
    ) -> PhasePoint:  # fmt: skip
        """Take one leapfrog step, with the energy by value or along the path."""
        if self.energy == "path":
            return leapfrog_along(target, self.quadrature, point, step_size, metric)
        evaluate = lambda q: target.evaluate_from(q, reference)  # noqa: E731
        return leapfrog(evaluate, point, step_size, metric)

    def _path_stats(
        self, reference: Scalar, log_density: Scalar, path: Path | None
    ) -> dict[str, Array]:
        """Name the log density of the draw, and sums over the paths of the trajectory's ends."""
        if path is None:
            return {"lp": reference + log_density}
        sums = path.error.sum(), path.loop.sum()
        return name_path_statistics(self.quadrature, log_density, *sums)


def _select(window: Draws, chains: np.ndarray) -> Draws:
    stats = {name: a[chains] for name, a in window.stats.items()}
    return Draws(window.positions[chains], window.gradients[chains], stats)


def _shared(tuning: Any) -> HamiltonianTuning:
    return tuning if isinstance(tuning, HamiltonianTuning) else tuning.shared


def _with_shared(tuning: Any, shared: HamiltonianTuning) -> Any:
    if isinstance(tuning, HamiltonianTuning):
        return shared
    return eqx.tree_at(lambda t: t.shared, tuning, shared)
