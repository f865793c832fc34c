"""Laplace's method: the normal distribution around a mode, by the curvature of the log density."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from ..errors import EngineError
from ..numerics.families.base import Family
from ..numerics.families.full_rank import FullRank
from ..numerics.families.low_rank import LowRank
from ..numerics.families.mean_field import MeanField
from ..numerics.host_search import HostSearch
from ..numerics.local_normal import (
    LocalNormal,
    approximate_dense,
    approximate_diagonal,
    approximate_low_rank,
    list_most_changed,
)
from ..numerics.loop_search import advance_in_loop
from ..numerics.mode_masses import WeighedMode, share_masses, weigh_modes
from ..numerics.mode_search import (
    CONVERGED,
    REASONS,
    ROUNDING,
    UNBOUNDED,
    Search,
    begin_search,
)
from ..numerics.namespace import Scalar, Vector
from ..target import Components, Target
from .approximating import Approximator, Ended, Fitted, Problem, Unit
from .asking import AskingEngine, Best
from .base import Examples, Tick, WarmupPlan

COVARIANCES = ("dense", "low_rank", "diagonal")
# Coordinates up to which the covariance is dense by default.
MAX_DENSE = 500
# Nats from the mode at which a search has converged, as for `MAP`.
TOLERANCE, SINGLE_TOLERANCE = 1e-6, 1e-5
# Share of the mass from which another mode is reported: far away, a hundredth of the mass doubles
# a standard deviation.
REPORTED_SHARE = 0.01
# Nats by which a search that did not converge must end above the mode to be reported.
HIGHER = 1.0


class LaplaceTuning(eqx.Module):
    """The tuning of the searches for modes; traced."""

    tolerance: Scalar | np.ndarray
    max_steps: Int[Array, ""] | np.ndarray


@dataclass(frozen=True)
class Laplace(Approximator, AskingEngine):
    """A normal distribution at the mode, with the inverse of minus the Hessian as its covariance.

    The mode is that of the flat unconstrained vector, with the log-determinants of the maps. Of
    several modes, the one with the largest mass by Laplace's method is taken, and the others are
    reported. If minus the Hessian is not positive definite, as at a saddle, there is no such
    distribution: a finding says so, and its scales are NaN.

    Attributes:
        covariance: "dense" takes one Hessian product for each coordinate; "low_rank" the diagonal
            and the directions whose curvature, in units of it, is furthest from one, by the Lanczos
            process; "diagonal" the standard deviations of the conditionals, as an optimal
            mean-field fit of a normal posterior has. By default dense up to 500 coordinates, and
            low_rank above.
        rank: Number of directions of "low_rank".
        searches: Number of searches, if `infer.fit` is not given starts; by default as many as
            take about ten seconds, at most 16.
        tolerance: As for `MAP`.
        max_steps: Maximum number of steps of a search.

    Source: Tierney & Kadane (1986), section 2; MacKay (2003), Information Theory, chapter 27.
    """

    covariance: Literal["dense", "low_rank", "diagonal"] | None = None
    rank: int = 20
    searches: int | None = field(default=None, compare=False)
    tolerance: float | None = field(default=None, compare=False)
    max_steps: int = field(default=2000, compare=False)
    unit: ClassVar[Unit] = "searches"
    examples: ClassVar[Examples] = Examples(invalid={"covariance": "full", "rank": 0})

    def __post_init__(self) -> None:
        if self.covariance is not None and self.covariance not in COVARIANCES:
            raise EngineError(
                "Laplace", f"covariance is {self.covariance!r}", f"Choose one of {COVARIANCES}."
            )
        for name in ("rank", "searches", "max_steps", "tolerance"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise EngineError("Laplace", f"{name} is {value}", "Give a positive number.")

    def count_chains(self) -> int | None:
        return self.searches

    def choose_family(self, size: int) -> Family:
        families = {"dense": FullRank(), "diagonal": MeanField(), "low_rank": LowRank(self.rank)}
        return families[self._choose_covariance(size)]

    def _choose_covariance(self, size: int) -> str:
        return self.covariance or ("dense" if size <= MAX_DENSE else "low_rank")

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        return WarmupPlan(draws or 0, ())

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> LaplaceTuning:
        dtype = gradients.dtype
        default = TOLERANCE if dtype == np.float64 else SINGLE_TOLERANCE
        tolerance = default if self.tolerance is None else self.tolerance
        return LaplaceTuning(np.asarray(tolerance, dtype), np.asarray(self.max_steps, np.int32))

    def init(self, position: Vector, here: Components) -> Search:
        return begin_search(position, -here.gradient)

    def begin(self, position: np.ndarray, here: Components) -> HostSearch:
        value, gradient = map(np.asarray, here[:2])
        return HostSearch.begin(position, -value, -gradient, self.max_steps)

    def ask(self, state: Search | HostSearch) -> Vector:
        return state.next_point()

    def tell(
        self, tuning: LaplaceTuning, state: Any, log_density: Scalar, gradient: Vector
    ) -> tuple[Any, Tick]:
        if isinstance(state, HostSearch):
            state.advance(-log_density, -gradient, tuning.tolerance, tuning.max_steps)
        else:
            limits = jnp.asarray(tuning.tolerance), jnp.asarray(tuning.max_steps)
            state = advance_in_loop(state, -log_density, -gradient, *limits)
        stats = {"lp": -state.loss, "reason": state.reason, "n_gradients": state.n_gradients}
        return state, Tick(state.reason > 0, state.position, -state.gradient, stats)

    def best(self, state: Any) -> Best:
        lp, gradient = np.asarray(-state.loss), -state.gradient
        return Best(state.position, lp, gradient, int(state.n_gradients))

    def to_loop(self, state: HostSearch) -> Search:
        return state.to_loop()

    def to_host(self, state: Search) -> HostSearch:
        return HostSearch.from_loop(state)

    def conclude(self, ended: Ended) -> Fitted:
        ends, stats = ended.draws.positions[:, 0], ended.draws.stats
        lp, reasons = stats["lp"][:, 0].astype(float), stats["reason"][:, 0]
        found = np.isin(reasons, (CONVERGED, ROUNDING))
        order = np.argsort(-np.where(np.isfinite(lp), lp, -np.inf), kind="stable")
        highest, order = int(order[0]), order[found[order]]
        if not len(order):
            lost = self._give_up(ends[highest], int(reasons[highest]))
            return lost._replace(n_gradients=int(stats["n_gradients"].sum()))
        modes = weigh_modes(lambda mode: self._approximate(ended, mode), ends[order], lp[order])
        best = modes[0]
        problems = [
            self._describe_indefinite(ended, best.normal),
            _describe_others(modes),
            _describe_unweighed(modes),
            _describe_higher(lp[highest] - best.lp, int(reasons[highest]), bool(found[highest])),
        ]
        return Fitted(
            best.normal.distribution,
            self.choose_family(ends.shape[1]).name,
            best.normal.is_definite,
            problems=tuple(filter(None, problems)),
            n_gradients=int(stats["n_gradients"].sum()) + 2 * sum(m.normal.products for m in modes),
            facts=(f"mode found by {best.searches} of {len(lp)} searches",),
        )

    def _approximate(self, ended: Ended, mode: np.ndarray) -> LocalNormal:
        kind = self._choose_covariance(len(mode))
        if kind == "low_rank":
            return approximate_low_rank(ended.call, ended.target, mode, self.rank)
        approximate = approximate_dense if kind == "dense" else approximate_diagonal
        return approximate(ended.call, ended.target, mode)

    def _give_up(self, end: np.ndarray, reason: int) -> Fitted:
        """Return no distribution, because no search found a mode."""
        family = self.choose_family(len(end))
        nowhere = family.begin(jnp.asarray(end), jnp.full((), jnp.nan, end.dtype))
        is_far = reason == UNBOUNDED
        problem = _describe_unbounded(end) if is_far else _describe_unfinished(reason)
        return Fitted(nowhere, family.name, False, problems=(problem,))

    def _describe_indefinite(self, ended: Ended, normal: LocalNormal) -> Problem | None:
        if normal.is_definite:
            return None
        end = np.asarray(normal.distribution.location)
        if float(ended.call(_measure_rise, ended.target, end)) > HIGHER:
            return _describe_unbounded(end)
        floor = len(end) * np.finfo(end.dtype).eps
        return _describe_saddle(normal) if normal.lowest < -floor else _describe_flat(normal)


def _describe_unbounded(end: np.ndarray) -> Problem:
    return Problem(
        "unbounded_density",
        "the log density seems to grow without bound along {along}, so it has no mode for "
        "Laplace's method.",
        "Give these sites priors that vanish there; infer.sample needs no mode if the density is "
        "proper.",
        list_most_changed(end),
    )


def _describe_unfinished(reason: int) -> Problem:
    return Problem(
        "unfinished_search",
        f"no search for a mode converged (the highest ended for the reason "
        f"{REASONS[reason]!r}), so there is no Laplace approximation.",
        "Allow more steps (max_steps=), give other starts=, or use infer.ADVI.",
    )


def _measure_rise(target: Target, end: Vector) -> Scalar:
    """Return by how much the log density is higher twice as far from zero, in nats."""
    return target.evaluate(2 * end)[0] - target.evaluate(end)[0]


def _describe_saddle(normal: LocalNormal) -> Problem:
    return Problem(
        "saddle_point",
        "the searches ended at a saddle point, from where the log density rises along {along}: "
        f"minus the Hessian has an eigenvalue of {normal.lowest:.2g}, in units of its diagonal, so "
        "there is no Laplace approximation.",
        "Give other starts=, away from symmetries of the model, or use infer.ADVI.",
        list_most_changed(normal.along),
    )


def _describe_flat(normal: LocalNormal) -> Problem:
    return Problem(
        "flat_mode",
        "minus the Hessian at the mode is not positive definite: the log density is flat along "
        "{along}, so there is no Laplace approximation.",
        "Give these sites stronger priors, freeze one of them, or use infer.ADVI.",
        list_most_changed(normal.along),
    )


def _describe_others(modes: list[WeighedMode]) -> Problem | None:
    shares = share_masses(modes)
    others = [
        f"{share:.1%} around one {_compare_heights(mode.lp - modes[0].lp)}"
        for mode, share in list(zip(modes, shares, strict=True))[1:]
        if share >= REPORTED_SHARE
    ]
    if not others:
        return None
    return Problem(
        "other_modes",
        f"the searches found {len(modes)} modes, and the approximation covers one of them, with "
        f"{shares[0]:.1%} of the mass by Laplace's method; there is {', '.join(others)}. The "
        "next one differs most in {along}.",
        "infer.sample visits several modes if chains can cross between them; a prior or an order "
        "(bijectors.Ordered) removes symmetries.",
        _list_farthest(modes[0], modes[1]),
    )


def _describe_unweighed(modes: list[WeighedMode]) -> Problem | None:
    """Describe the highest place that is above the chosen mode and has no mass to compare."""
    best, others = modes[0], [mode for mode in modes[1:] if not mode.normal.is_definite]
    highest = max(others, key=lambda mode: mode.lp, default=best)
    if not best.normal.is_definite or not highest.lp > best.lp:
        return None
    return Problem(
        "other_modes",
        f"another search ended {highest.lp - best.lp:.3g} nats above the mode, where minus the "
        "Hessian is not positive definite, so how much of the mass is there is unknown. It differs "
        "most in {along}.",
        "Give these sites priors under which the log density is not flat there, or use "
        "infer.sample with chains that start at both places.",
        _list_farthest(best, highest),
    )


def _list_farthest(one: WeighedMode, other: WeighedMode) -> tuple[int, ...]:
    """List the coordinates in which another mode is furthest away, in standard deviations."""
    here, there = (np.asarray(mode.normal.distribution.location, float) for mode in (one, other))
    return list_most_changed((there - here) / np.asarray(one.normal.distribution.sd, float))


def _compare_heights(rise: float) -> str:
    if abs(rise) < 0.05:
        return "of the same height"
    return f"{abs(rise):.1f} nats {'higher' if rise > 0 else 'lower'}"


def _describe_higher(rise: float, reason: int, is_found: bool) -> Problem | None:
    if is_found or not rise > HIGHER:
        return None
    kind = "unbounded_density" if reason == UNBOUNDED else "unfinished_search"
    return Problem(
        kind,
        f"another search, which did not converge (its reason: {REASONS[reason]!r}), ended "
        f"{rise:.3g} nats above the mode, so most of the mass may be elsewhere.",
        'Look at infer.maximize(model, infer.MAP("unconstrained")), and allow more steps '
        "(max_steps=).",
    )
