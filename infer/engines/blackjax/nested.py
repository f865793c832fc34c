"""Nested slice sampling of BlackJAX: the chains are live points that climb from the prior."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, Int

from ...errors import EngineError
from ...target import Components, Target
from ...types import Scalar, Vector
from ..base import CHAINS, Engine, Examples, Needs, Tick, WarmupPlan, one_window
from .library import library
from .population import gather, merge_copies, shared_key

# With fewer live points neither evidence nor covariance mean anything.
FEWEST = 16


class NestedTuning(eqx.Module):
    """The tuning of nested sampling; traced, and not learned between windows.

    Attributes:
        remaining: Share of the evidence that the live points may still hold at the end.
    """

    remaining: Scalar | np.ndarray


class Climb(NamedTuple):
    """What all live points share; each has a copy.

    Attributes:
        log_volume: Logarithm of the share of the prior above the contour.
        log_evidence: Log evidence of the points that died, in nats.
        sums: Sums over those points of `1 / n^2` times the powers 0, 1 and 2 of a share of the
            evidence, shape (3,). `n` are the points that lived then; the share is that which had
            died, and what the volume left would hold at the likelihood of the point.
        contour: Log likelihood of the last point that died.
        uncounted: Replacements that do not count yet, since points at the contour are left.
        factor: Cholesky factor of the covariance of the posterior draws, shape (size, size).
        stages: Number of contours so far.
        evaluations: Evaluations of the likelihood since the last draw, by all points.
        arrived: Whether the posterior is reached.
    """

    log_volume: Scalar
    log_evidence: Scalar
    sums: Float[Array, "3"]
    contour: Scalar
    uncounted: Scalar
    factor: Float[Array, "size size"]
    stages: Int[Array, ""]
    evaluations: Int[Array, ""]
    arrived: Bool[Array, ""]


class NestedState(NamedTuple):
    """One live point, and the posterior draw of its chain.

    Attributes:
        position: The live point.
        draw: A point of those that died so far, drawn by their share of the evidence; at the
            posterior, the position of the chain.
        climb: What it shares with the others.
    """

    position: Vector
    draw: Vector
    climb: Climb


class Shells(NamedTuple):
    """Shares of the prior between the contours of points, and what they add to the evidence.

    Attributes:
        log_weights: Log evidence of each shell, in nats, shape (points,).
        log_rests: Log evidence if the likelihood did not rise from there, in nats, shape (points,).
        log_volume: Logarithm of the volume that is left.
        lived: How many points lived when each died, shape (points,).
    """

    log_weights: Vector
    log_rests: Vector
    log_volume: Scalar
    lived: Vector


@dataclass(frozen=True)
class NestedSlice(Engine):
    """Nested sampling from the prior to the posterior, with moves by slice sampling.

    Chains are live points. A tick is a stage: the points of lowest likelihood die and are replaced
    by others that walk from survivors, by slices along directions of the covariance of the live
    points. The evidence is the sum of the likelihoods of the points that died, each times its share
    of the prior. When the live points hold less than `remaining` of it, every chain draws one of
    all points by its share, independently; further draws of a chain walk from there, by slices. No
    gradient is used. The statistic `log_marginal_likelihood` is the evidence, in nats, if priors
    and likelihood are normalized, and `log_marginal_likelihood_error` its standard error.

    Attributes:
        moves: Slice moves of a new point; by default twice the number of coordinates, at least 5.
        dying: Share of the live points that die in a stage.
        remaining: Share of the evidence that the live points may still hold at the end.

    Source: Skilling (2006), Nested sampling for general Bayesian computation; Yallup, Kroupa &
        Handley (2026), Nested slice sampling, arXiv 2601.23252; points of equal likelihood as
        Fowlie, Handley & Su (2020), Nested sampling with plateaus, section 3.
    """

    scope: ClassVar[Literal["chain", "population"]] = "population"
    examples: ClassVar[Examples] = Examples(invalid={"dying": 1.0})
    moves: int | None = None
    dying: float = 0.1
    remaining: float = field(default=1e-3, compare=False)

    def __post_init__(self) -> None:
        if self.moves is not None and self.moves < 1:
            raise EngineError("NestedSlice", f"moves is {self.moves}", "Give one move or more.")
        if not (0 < self.dying <= 0.5 and 0 < self.remaining < 1):
            raise EngineError(
                "NestedSlice",
                f"dying is {self.dying} and remaining {self.remaining}",
                "Give shares between 0 and 1, for dying at most 0.5.",
            )

    @property
    def needs(self) -> Needs:
        return Needs(gradient=False, parts=True, prior_starts=True)

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        return one_window(0 if draws is None else draws)

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> NestedTuning:
        count, size = positions.shape
        if count < max(FEWEST, 2 * size):
            raise EngineError(
                "NestedSlice",
                f"its live points are the chains, only {count} for {size} coordinates",
                f"Run at least {max(FEWEST, 2 * size)} chains, better chains=1000.",
            )
        return NestedTuning(np.asarray(self.remaining, positions.dtype))

    def reuse(self, learned: NestedTuning, fresh: NestedTuning) -> NestedTuning:
        return fresh

    def init(self, position: Vector, here: Components) -> NestedState:
        zero, none = jnp.zeros_like(here.value), jnp.int32(0)
        factor = jnp.eye(position.size, dtype=position.dtype)
        lowest, start = jnp.full_like(zero, -jnp.inf), jnp.asarray(False)
        sums = jnp.zeros(3, here.value.dtype)
        climb = Climb(zero, lowest, sums, lowest, zero, factor, none, none, start)
        return NestedState(position, position, climb)

    def tick(
        self, key: Array, target: Target, tuning: NestedTuning, state: NestedState
    ) -> tuple[NestedState, Tick]:
        now = merge_copies(state.climb)
        state = state._replace(climb=now)
        # The stages before the first draw are ticks of that draw, and share its key.
        own, shared = (jax.random.fold_in(k, now.stages) for k in (key, shared_key(key)))
        moves = self.moves or max(5, 2 * state.position.size)
        after = jax.lax.cond(
            now.arrived,
            lambda: _walk(own, target, state, moves),
            lambda: self._climb(own, shared, merge_copies(target), tuning, state, moves),
        )
        climb = merge_copies(after.climb)
        stats = {
            "lp": target(after.draw),
            "log_marginal_likelihood": climb.log_evidence,
            "log_marginal_likelihood_error": _find_error(climb.sums),
            "n_steps": climb.evaluations // jax.lax.axis_size(CHAINS),
            "stages": climb.stages,
        }
        tick = Tick(climb.arrived, after.draw, jnp.zeros((0,), after.draw.dtype), stats)
        evaluations = jnp.where(climb.arrived, 0, climb.evaluations)
        return after._replace(climb=climb._replace(evaluations=evaluations)), tick

    def _climb(
        self,
        own_key: Array,
        key: Array,
        target: Target,
        tuning: NestedTuning,
        state: NestedState,
        moves: int,
    ) -> NestedState:
        """Replace the points of lowest likelihood by BlackJAX, and count what they were worth."""
        nested, now = library().ns, state.climb
        evaluate = _evaluate_parts(target)
        live = jax.vmap(evaluate)(gather(state.position))
        count = live.loglikelihood.size
        kernel = nested.nss.build_kernel(evaluate, moves, max(1, round(self.dying * count)))
        factor = nested.nss.live_covariance_factor(key, nested.base.NSState(live), None)
        moved, info = kernel(
            key,
            nested.adaptive.AdaptiveNSState(live, nested.integrator.init_integrator(live), factor),
        )
        live, dead = moved.particles, info.particles
        shells = weigh_shells(dead.loglikelihood, count, now)
        spread = logsumexp(live.loglikelihood) - jnp.log(count) + shells.log_volume
        gained = jnp.logaddexp(now.log_evidence, logsumexp(shells.log_weights))
        arrived = spread < gained + jnp.log(tuning.remaining)
        last = live.loglikelihood - jnp.log(count) + shells.log_volume
        logs = [now.log_evidence[None], shells.log_weights, jnp.where(arrived, last, -jnp.inf)]
        chosen = jax.random.categorical(own_key, jnp.concatenate(logs))
        draw = jnp.concatenate([state.draw[None], dead.position, live.position])[chosen]
        contour, evidence = dead.loglikelihood[-1], logsumexp(jnp.concatenate(logs))
        is_tied = (live.loglikelihood <= contour).any()
        climb = Climb(
            log_volume=shells.log_volume,
            log_evidence=evidence,
            sums=_add_sums(now, shells, evidence),
            contour=contour,
            uncounted=jnp.where(is_tied, now.uncounted + dead.loglikelihood.size, 0.0),
            factor=_factor(gather(draw)),
            stages=now.stages + 1,
            evaluations=now.evaluations + count + _evaluations(info.update_info),
            arrived=arrived,
        )
        position = live.position[jax.lax.axis_index(CHAINS)]
        return _as(state, NestedState(position, draw, climb))


def weigh_shells(dead: Vector, count: int, now: Climb) -> Shells:
    """Weigh the shells of the prior between the contours of points that died together.

    Args:
        dead: Their log likelihoods, in ascending order, shape (points,).
        count: Number of live points before.
        now: The climb before. Points at its contour die from the points that are left of those that
            lived when the first of them died.

    Source: Skilling (2006), section 4: the log volume falls by 1 / n on average, with that
        standard deviation, when the lowest of n points dies; Fowlie, Handley & Su (2020).
    """
    left = count - jnp.arange(dead.size, dtype=dead.dtype)
    left = jnp.maximum(left - jnp.where(dead <= now.contour, now.uncounted, 0.0), 1.0)
    volumes = now.log_volume - jnp.cumsum(1 / left)
    before = jnp.concatenate([now.log_volume[None], volumes[:-1]])
    log_weights = dead + before + jnp.log(-jnp.expm1(-1 / left))
    return Shells(log_weights, dead + volumes, volumes[-1], left)


def _add_sums(now: Climb, shells: Shells, log_evidence: Scalar) -> Float[Array, "3"]:
    """Add points that died to `Climb.sums`; shares are those of the evidence after them."""
    died = jax.lax.cumlogsumexp(jnp.concatenate([now.log_evidence[None], shells.log_weights]))
    # No evidence has been found yet if all likelihoods so far are zero.
    total = jnp.where(log_evidence > -jnp.inf, log_evidence, 0.0)
    shares = jnp.exp(jnp.logaddexp(died[1:], shells.log_rests) - total)
    powers = jnp.arange(3)
    gained = jnp.sum(shares[:, None] ** powers / shells.lived[:, None] ** 2, 0)
    return now.sums * jnp.exp(died[0] - total) ** powers + gained


def _find_error(sums: Float[Array, "3"]) -> Scalar:
    """Return the standard error of the log evidence, in nats.

    When the lowest of n points dies, the log volume falls by `1 / n`, with that standard deviation.
    An error of it moves evidence between the shell of that point and all that is above; so the
    variance is the sum over points of the squares of `1 - share` over `n^2`. For a posterior far
    from the prior it is Skilling's: the information over the number of points.
    """
    return jnp.sqrt(jnp.maximum(sums[0] - 2 * sums[1] + sums[2], 0.0))


def _walk(key: Array, target: Target, state: NestedState, moves: int) -> NestedState:
    """Move the draw of a chain by slices of the posterior."""
    blackjax = library()
    nested = blackjax.ns.nss
    evaluate = _evaluate_sum(target)
    kernel = blackjax.mcmc.slice.build_kernel(interval=blackjax.mcmc.slice.stepping_out)
    step = nested.slice_constrained_step(evaluate, kernel, nested.covariance_proposal)

    def move(point: Any, key: Array) -> tuple[Any, Any]:
        return step(key, point, -jnp.inf, covariance_factor=state.climb.factor)

    point, info = jax.lax.scan(move, evaluate(state.draw), jax.random.split(key, moves))
    taken = gather(_evaluations(info)).sum()
    climb = state.climb._replace(evaluations=state.climb.evaluations + taken)
    return _as(state, NestedState(state.position, point.position, climb))


def _evaluate_parts(target: Target) -> Any:
    """Return a function that makes a point of BlackJAX: one on the prior, above a contour."""

    def evaluate(position: Vector, loglikelihood_birth: Any = jnp.nan) -> Any:
        parts = target.parts(position)
        return _point(position, parts.prior, parts.likelihood, loglikelihood_birth)

    return evaluate


def _evaluate_sum(target: Target) -> Any:
    """Return a function that makes a point of BlackJAX: one on the posterior, without a contour."""

    def evaluate(position: Vector, loglikelihood_birth: Any = jnp.nan) -> Any:
        log_density = target(position)
        return _point(position, log_density, log_density, loglikelihood_birth)

    return evaluate


def _point(position: Vector, density: Scalar, likelihood: Scalar, birth: Any) -> Any:
    # NaN lies above no contour.
    likelihood = jnp.where(jnp.isnan(likelihood), -jnp.inf, likelihood)
    made = library().ns.base.StateWithLogLikelihood
    return made(position, density, likelihood, birth * jnp.ones_like(likelihood))


def _evaluations(info: Any) -> Array:
    """Count the evaluations of slices: two ends, what widens the interval, and what shrinks it."""
    return jnp.sum(info.num_expansions + info.num_shrink + 2)


def _factor(draws: Float[Array, "points size"]) -> Float[Array, "size size"]:
    """Factor the covariance of draws, whose points may repeat."""
    offsets = draws - draws.mean(0)
    covariance = offsets.T @ offsets / len(draws)
    return jnp.linalg.cholesky(covariance + 1e-6 * jnp.diag(jnp.diag(covariance)))


def _as(old: NestedState, new: NestedState) -> NestedState:
    return jax.tree.map(lambda own, kept: own.astype(kept.dtype), new, old)
