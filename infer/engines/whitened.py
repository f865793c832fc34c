"""What HMC, NUTS and the Metropolis samplers share: warm-up in whitened coordinates."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import equinox as eqx
import numpy as np

from ..numerics import hamiltonian
from ..numerics.hamiltonian import HamiltonianTuning
from ..numerics.stray import SCOUT_DRAWS, relocate_chains
from ..numerics.windows import choose_warmup_draws, plan_windows
from .base import Draws, Engine, Needs, Tuning, WarmupPlan, WindowEnd


class Whitened(Engine):
    """An engine whose chains learn a common metric and step size, pooled at the ends of windows.

    The tuning is a `HamiltonianTuning`, or has one in its attribute `shared`.

    Attributes:
        stop_early: Whether warm-up may skip to its last window, and repeat that window.
        energy: "value" compares log densities; "path" integrates forces along each step.
        sends_scouts: Whether chains from other starts explore before warm-up ends early.
    """

    stop_early: bool
    energy: Literal["value", "path"] = "value"
    sends_scouts: ClassVar[bool] = True

    @property
    def needs(self) -> Needs:
        return Needs(value=self.energy == "value")

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        draws = self._default_warmup(chains) if draws is None else draws
        # Without a value nothing bounds the mass of a region.
        scout_draws = SCOUT_DRAWS if self.sends_scouts and self.energy == "value" else 0
        return WarmupPlan(draws, plan_windows(draws), scout_draws)

    def _default_warmup(self, chains: int) -> int:
        return choose_warmup_draws(chains)

    def reuse(self, learned: Tuning, fresh: Tuning) -> Tuning:
        return _with_shared(fresh, hamiltonian.reuse(_shared(learned), _shared(fresh)))

    def end_window(
        self, tuning: Tuning, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        before, last, remaining = _shared(tuning), recent[-1], len(windows)
        draws, scores = [w.positions for w in recent], [w.gradients for w in recent]
        relocation = relocate_chains(before.metric, *last, remaining)
        stays = relocation == np.arange(len(relocation))
        learned = hamiltonian.retune(before, draws, scores, last.stats, remaining, stays)
        if self.stop_early:
            windows = hamiltonian.remaining_windows(learned, last.positions.shape[1], windows)
        return WindowEnd(_with_shared(tuning, learned), windows, relocation)


def _shared(tuning: Any) -> HamiltonianTuning:
    return tuning if isinstance(tuning, HamiltonianTuning) else tuning.shared


def _with_shared(tuning: Any, shared: HamiltonianTuning) -> Any:
    if isinstance(tuning, HamiltonianTuning):
        return shared
    return eqx.tree_at(lambda t: t.shared, tuning, shared)
