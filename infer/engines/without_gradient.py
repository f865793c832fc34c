"""What engines that evaluate no gradient need of a run."""

from ..numerics.windows import choose_warmup_draws, plan_windows
from .base import Engine, Needs, WarmupPlan


class WithoutGradient(Engine):
    """An engine of one chain that evaluates log densities alone, and learns in windows.

    Its statistic `n_nan` counts the evaluations of a draw that gave NaN, as `n_steps` counts all.
    """

    @property
    def needs(self) -> Needs:
        return Needs(gradient=False)

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        draws = choose_warmup_draws(chains) if draws is None else draws
        return WarmupPlan(draws, plan_windows(draws))
