"""Pathfinder: the normal distribution of largest ELBO along the path of a search for a mode."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import EngineError
from ..numerics.families.base import Family
from ..numerics.families.low_rank import LowRank
from ..numerics.local_normal import list_most_changed
from ..numerics.mode_search import CONVERGED, ROUNDING, Search, advance, begin_search
from ..numerics.path_normals import Best, find_best_normal
from ..target import Components, Target
from ..types import Vector
from .approximating import Approximator, Ended, Fitted, Problem, Unit
from .base import Examples, Tick, Tuning, WarmupPlan

# Nats from the mode at which a path ends.
TOLERANCE, SINGLE_TOLERANCE = 1e-6, 1e-5
# Share of the mass from which the end of another path is reported, and its least distance, in
# standard deviations of a coordinate.
REPORTED_SHARE, APART = 0.01, 4.0


@dataclass(frozen=True)
class Pathfinder(Approximator):
    """The normal distribution of largest ELBO along the paths of searches for a mode.

    At each point of a path the covariance is the inverse Hessian as L-BFGS knows it, of low rank
    plus diagonal, and the mean is one quasi-Newton step away. So it needs no mode: if the density
    has none, the ELBO is largest before the path leaves the region that matters. The best of
    several paths is the one of largest ELBO. Draws that are resampled by their importance among
    draws of all paths (`fit.sample(resample="psis")`) correct it as far as k-hat allows.

    It is much cheaper than ADVI, and rougher: `ADVI("full_rank")` reaches a larger ELBO.

    Attributes:
        paths: Number of paths, if `infer.fit` is not given starts.
        steps: Maximum number of points of a path.
        pairs: Number of steps that the covariance remembers; its rank is at most twice that.
        draws: Draws from which the ELBO of each point is estimated.

    Source: Zhang et al. (2022), Pathfinder, JMLR 23(306), algorithms 1 to 4. The search is that of
        `MAP`: L-BFGS, finished by Newton steps.
    """

    paths: int = field(default=4, compare=False)
    steps: int = field(default=100, compare=False)
    pairs: int = 10
    draws: int = field(default=50, compare=False)
    unit: ClassVar[Unit] = "points"
    examples: ClassVar[Examples] = Examples(invalid={"paths": 0, "pairs": 0})

    def __post_init__(self) -> None:
        for name in ("paths", "steps", "pairs", "draws"):
            if not getattr(self, name) > 0:
                value = getattr(self, name)
                raise EngineError("Pathfinder", f"{name} is {value}", "Give a positive number.")

    @property
    def final_draws(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Every point of a path is a draw."""
        return self.steps

    def count_chains(self) -> int:
        return self.paths

    def choose_family(self, size: int) -> Family:
        return LowRank(2 * self.pairs)

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        return WarmupPlan(draws or 0, ())

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> np.ndarray:
        dtype = gradients.dtype
        return np.asarray(TOLERANCE if dtype == np.float64 else SINGLE_TOLERANCE, dtype)

    def init(self, position: Vector, here: Components) -> Search:
        return begin_search(position, -here.gradient)

    def tick(self, key: Any, target: Target, tuning: Tuning, state: Search) -> tuple[Search, Tick]:
        lp, gradient = target.evaluate(state.next_point())
        most = jnp.int32(np.iinfo(np.int32).max)
        search = advance(state, -lp, -gradient, jnp.asarray(tuning), most)
        # A path that has ended stays where it is.
        has_ended = state.reason > 0
        search = jax.tree.map(lambda a, b: jnp.where(has_ended, a, b), state, search)
        is_point = (search.n_steps > state.n_steps) | (search.reason > 0)
        stats = {"lp": -search.loss, "n_gradients": search.n_gradients}
        return search, Tick(is_point, search.position, -search.gradient, stats)

    def conclude(self, ended: Ended) -> Fitted:
        draws = ended.draws
        found = [
            self._follow(ended, index, *path)
            for index, path in enumerate(zip(draws.positions, draws.gradients, strict=True))
        ]
        order = sorted(range(len(found)), key=lambda i: -float(found[i].elbo))
        best = found[order[0]]
        points = [1 + np.any(np.diff(own, axis=0) != 0, axis=1).sum() for own in draws.positions]
        is_cut = int(ended.states.reason[order[0]]) not in (CONVERGED, ROUNDING)
        is_rising = is_cut and int(best.place) == points[order[0]] - 1
        is_finite = bool(np.isfinite(np.asarray(best.elbo)))
        problem = _describe_lost() if not is_finite else _describe_rising() if is_rising else None
        problem = problem or _describe_others([found[i] for i in order])
        gradients = int(draws.stats["n_gradients"][:, -1].sum())
        return Fitted(
            best.normal,
            "low_rank",
            is_finite and not is_rising,
            problems=(problem,) if problem else (),
            facts=(f"best of {len(found)} {'path' if len(found) == 1 else 'paths'} by ELBO",),
            n_gradients=gradients + self.draws * int(sum(points)),
            paths=tuple(own.normal for own in found if np.isfinite(np.asarray(own.elbo))),
        )

    def _follow(
        self, ended: Ended, index: int, positions: np.ndarray, gradients: np.ndarray
    ) -> Best:
        shape = (self.draws, positions.shape[1])
        noise = np.random.default_rng(index).normal(size=shape).astype(positions.dtype)
        empty = np.zeros(self.pairs, positions.dtype)
        return ended.call(find_best_normal, ended.target, positions, gradients, noise, empty)


def _describe_lost() -> Problem:
    return Problem(
        "elbo_not_finite",
        "the ELBO is not finite at any point of the paths: the log density is not finite at draws "
        "of every normal distribution along them.",
        "Give other starts=, or look at infer.check(model).",
    )


def _describe_rising() -> Problem:
    return Problem(
        "unfinished_search",
        "the ELBO was still rising at the last point of the best path: the log density grows "
        "without bound, or the path was cut short.",
        "Give the sites priors that vanish far away, or allow more points (steps=).",
    )


def _describe_others(found: list[Best]) -> Problem | None:
    """Name another path that ended elsewhere with a comparable ELBO, which bounds its mass."""
    elbos = np.array([float(own.elbo) for own in found])
    shares = np.exp(elbos - elbos[0]) / np.exp(elbos - elbos[0]).sum()
    center, sd = (np.asarray(a, float) for a in (found[0].normal.location, found[0].normal.sd))
    for own, share in zip(found[1:], shares[1:], strict=True):
        apart = np.abs(np.asarray(own.normal.location, float) - center) / sd
        if share >= REPORTED_SHARE and apart.max() > APART:
            return Problem(
                "other_modes",
                f"another path ended {apart.max():.2g} sd away in "
                "{along}, with an ELBO only "
                f"{elbos[0] - float(own.elbo):.2g} nats lower: there may be several modes, and the "
                "approximation covers one of them.",
                "infer.sample visits several modes if chains can cross between them; a prior or an "
                "order (bijectors.Ordered) removes symmetries.",
                list_most_changed(apart),
            )
    return None
