"""Automatic differentiation variational inference: stochastic ascent of the ELBO, in any family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from ..numerics.elbo import estimate_elbo, has_parts, weigh_divergence
from ..numerics.epoch import EpochSums, add_parameters, add_step, is_due, no_sums, summarize
from ..numerics.families.base import Distribution, Family
from ..numerics.families.memory import refuse_large
from ..numerics.families.named import find_family
from ..numerics.normals import draw_normals
from ..numerics.stationarity import LEVEL_WINDOWS, has_risen, is_level, is_noise, measure_slowness
from ..numerics.trace import make_trace, record
from ..numerics.training import Batches, choose_noise, choose_settings, is_training, refuse_settings
from ..target import Components, Target
from ..types import Scalar, Vector
from .approximating import Approximator, Ended, Fitted, Unit, average_epochs, find_problems
from .base import Draws, Examples, Needs, Tick, WarmupPlan, WindowEnd

# Statistics that the trace keeps.
TRACED = ("elbo", "elbo_se", "divergence")
# Draws per step, and the first standard deviations; see `numerics.training` for those of networks.
BATCH, SCALE = 16, 0.1
# Steps that are averaged to one draw, and draws after which the host decides.
EPOCH, WINDOW = 50, 10
RATE = 0.1
# The learning rate, relative to the first one, at which a fit ends even if its parameters are not
# known to the tolerance; with minibatches their noise sets the limit.
SLOWEST, SLOWEST_NOISY = 1e-3, 1 / 16


class ADVITuning(eqx.Module):
    """What the host decides between windows.

    Attributes:
        learning_rate: Multiplies the steps of the optimizer.
        scale: Scale of the first distribution.
        is_matching: Whether scales match the scores, which comes before the ascent.
        size: Length of the flat vector; like all that follows, not read in the program.
        is_noisy: Whether gradients are estimates from minibatches.
        epochs: Epochs made.
        settled: Whether the parameters have stopped moving.
        begun: ELBO in nats of the first step, or with minibatches of the first epoch; or NaN.
        elbos: Mean ELBO of each of the last windows at this rate, in nats; NaN before them.
        spent: Gradients that the searches took from whose ends the fit began.
    """

    learning_rate: Scalar | np.ndarray
    scale: Array | np.ndarray
    is_matching: Array | np.ndarray
    size: Array | np.ndarray
    is_noisy: Array | np.ndarray
    epochs: Array | np.ndarray
    settled: Array | np.ndarray
    begun: Scalar | np.ndarray
    elbos: Array | np.ndarray
    spent: Array | np.ndarray


class ADVIState(NamedTuple):
    """The approximation between two steps.

    Attributes:
        distribution: The approximation.
        optimizer: State of the optimizer.
        sums: Sums over the steps of the epoch.
        ticks: Steps of the epoch.
        epochs: Epochs made.
        trace: Mean ELBO of the epochs, its standard error and the divergence; see `numerics.trace`.
    """

    distribution: Distribution
    optimizer: optax.OptState
    sums: EpochSums
    ticks: Int[Array, ""]
    epochs: Int[Array, ""]
    trace: Float[Array, "3 epochs"]


@dataclass(frozen=True)
class ADVI(Approximator):
    """Fit a distribution in the unconstrained space by maximizing the ELBO.

    By default gradients omit the score of the approximation ("sticking the landing"), so
    their variance vanishes if the approximation is exact. Steps are taken in the
    approximation's own coordinates, so they do not depend on the scale of the posterior or, with
    "full_rank", on its correlations; a step of a full-rank factor never exceeds a trust region,
    whatever the dimension. The learning rate is halved when the parameters are stationary; the
    fit ends when they are stationary within `tolerance`. With minibatches and steps in absolute
    units, the rate is halved, and the fit ends, when the ELBO rises by no more than its noise. If
    the target has no value, the ELBO is unknown (NaN), but the fit is the same.

    A mean-field fit of more coordinates than a minibatch has rows is trained as networks are: by
    whole gradients with the divergence from normal priors in closed form, with steps of the means
    in their own units, from small standard deviations, with the weight of the divergence rising
    over 2000 steps, or all `epochs` if those are fewer, and with epochs that see each row once.

    Attributes:
        family: "mean_field" (independent coordinates), "full_rank" (any covariance), or the
            settings of a family, such as `infer.MeanField(steps="softplus")`.
        batch: Draws of the approximation per step; by default 16, and 2 if it is trained.
        noise: "local" draws the weights of layers for each row, which leaves less noise in the
            gradients; "shared" draws them once for all rows. By default "local" if the fit is
            trained and rows are independent given the weights. See `programs.row_noise`.
        estimator: "path" omits the score of the approximation; "total" is the whole derivative
            of a draw's ELBO, as in Bayes by Backprop. Both have the same mean. By default "path",
            or "total" if it is trained.
        optimizer: Any optax optimizer, with its own learning rate. By default Adam, and for the
            covariance of "full_rank" natural gradients. An optax optimizer equals only itself:
            keep one, instead of making a new one for each call.
        kl_warmup: Epochs in which the weight of the prior's divergence rises to one; 0 for none.
        epoch: Steps per epoch; by default 50, or as many as see each row once.
        learning_rate: First rate; by default 0.1 in units of the approximation's own scale (of
            0.1 for steps in absolute units), and 1 as a factor of the steps of an `optimizer`.
        initial_scale: Standard deviations of the first distribution; by default 0.1, and 0.01 if
            it is trained.
        tolerance: Largest change of a mean, in sds, or of a log sd, that counts as settled.

    Source: Kucukelbir et al. (2017); Roeder, Wu & Duvenaud (2017), arXiv 1703.09194,
        equation 7; Blundell et al. (2015), arXiv 1505.05424, section 3.2; the stop rule
        follows Welandawe et al. (2022), arXiv 2203.15945.
    """

    # Epochs averaged after the fit has settled; the error of the mean falls with their square root.
    final_draws: ClassVar[int] = 50
    unit: ClassVar[Unit] = "epochs"
    without_value: ClassVar[str] = "ADVI()"
    examples: ClassVar[Examples] = Examples(invalid={"batch": 0})
    family: str | Family = "mean_field"
    batch: int | None = None
    estimator: Literal["path", "total"] | None = None
    noise: Literal["local", "shared"] | None = None
    optimizer: optax.GradientTransformation | None = None
    kl_warmup: int | None = None
    epoch: int | None = None
    learning_rate: float | None = field(default=None, compare=False)
    initial_scale: float | None = field(default=None, compare=False)
    tolerance: float = field(default=0.005, compare=False)

    def __post_init__(self) -> None:
        find_family("ADVI", self.family)
        refuse_settings(self)

    @property
    def needs(self) -> Needs:
        return Needs(value=False, exact=False, parts=bool(self.kl_warmup))

    @cached_property
    def _family(self) -> Family:
        return find_family("ADVI", self.family)

    @cached_property
    def _optimizer(self) -> optax.GradientTransformation:
        return self.optimizer or self._family.optimizer()

    @property
    def _first_rate(self) -> float:
        own = RATE if self.optimizer is None else 1.0
        return own if self.learning_rate is None else self.learning_rate

    @property
    def _is_matching(self) -> bool:
        """Whether a fit begins by matching scores."""
        return (
            self._family.has_matching
            and self.optimizer is None
            and self._draws > 1
            and not self.kl_warmup
        )

    @property
    def _draws(self) -> int:
        return self.batch or BATCH

    @property
    def _steps(self) -> int:
        return self.epoch or EPOCH

    def choose_family(self, size: int) -> Family:
        return self._family

    def conclude(self, ended: Ended) -> Fitted:
        tuning, epochs = ended.tuning, int(ended.states.epochs[0])
        known = bool(tuning.settled), float(tuning.begun), ended.states.trace[0]
        gradients = epochs * self._steps * self._draws + int(tuning.spent)
        fitted = average_epochs(self._family, ended, *known, epochs, gradients)
        trained = self.estimator == "total" and has_parts(ended.target, fitted.distribution)
        slowness = measure_slowness(tuning.learning_rate, self._first_rate)
        is_lost = slowness <= SLOWEST and not tuning.settled
        return fitted._replace(problems=find_problems(ended, fitted, trained, is_lost))

    def bind(self, sites: Mapping[str, slice], batches: Batches | None = None) -> "ADVI":
        size = max((own.stop for own in sites.values()), default=0)
        trains = is_training(self.estimator, self._family, size, batches)
        family = self._family.bind(sites, trains)
        bound = self if family == self._family else replace(self, family=family)
        noise = choose_noise(self.noise, family, batches if trains else None)
        if batches is None or not trains:
            return bound
        settings = choose_settings(batches, self.epoch, self.plan_warmup(1, batches.epochs).draws)
        settings["noise"] = noise
        own = {name: a for name, a in settings.items() if getattr(self, name) is None}
        return replace(bound, **own)

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        draws, is_brief = 2000 if draws is None else draws, self.epoch == 1 and not self.kl_warmup
        return WarmupPlan(draws, (WINDOW,) * (draws // WINDOW), is_brief=is_brief)

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> ADVITuning:
        refuse_large(self._family, positions.shape[-1], gradients.dtype)
        number = lambda x: np.asarray(x, gradients.dtype)  # noqa: E731
        return ADVITuning(
            number(self._first_rate),
            number(self.initial_scale or SCALE),
            np.asarray(self._is_matching),
            np.asarray(positions.shape[-1], np.int32),
            np.asarray("minibatch" in target.offers),
            np.asarray(0, np.int32),
            np.asarray(False),
            number(np.nan),
            number(np.full(LEVEL_WINDOWS, np.nan)),
            np.asarray(0, np.int32),
        )

    def init(self, position: Vector, here: Components) -> ADVIState:
        # The first window begins it with the tuning's scale.
        distribution = self._family.begin(position, jnp.ones((), position.dtype))
        return self._begin(distribution, make_trace(position, 3))

    def _begin(self, distribution: Distribution, trace: Array) -> ADVIState:
        optimizer = self._optimizer.init(jax.tree.map(jnp.zeros_like, self._outline(distribution)))
        empty = no_sums(distribution.pack(), distribution.size)
        return ADVIState(distribution, optimizer, empty, jnp.int32(0), jnp.int32(0), trace)

    def _outline(self, distribution: Distribution) -> Any:
        """Return an ascent, of which only the shapes matter."""
        noise = jnp.zeros((self._draws, distribution.size), distribution.location.dtype)
        uphill = distribution.ascent(noise, noise, self.estimator or "path")
        return uphill if self.optimizer is None else distribution.densify(uphill)

    def enter(self, tuning: ADVITuning, state: ADVIState, warming: Bool[Array, ""]) -> ADVIState:
        is_first = (state.epochs == 0) & (state.ticks == 0)
        scaled = self._family.begin(state.distribution.location, jnp.asarray(tuning.scale))
        first = self._begin(scaled, state.trace)
        # Every block is entered, and a window begins after whole windows.
        fresh = state.distribution.refresh(is_due(state.epochs, state.ticks, WINDOW, warming))
        state = state._replace(distribution=fresh, sums=first.sums)
        return jax.tree.map(lambda new, old: jnp.where(is_first, new, old), first, state)

    def tick(
        self, key: Array, target: Target, tuning: ADVITuning, state: ADVIState
    ) -> tuple[ADVIState, Tick]:
        # The steps of a tick divide an epoch.
        every = int(np.gcd(self._steps, self._family.count_steps(state.distribution.size)))
        step = lambda _, state: self._step(key, target, tuning, state)  # noqa: E731
        state = step(0, state) if every == 1 else jax.lax.fori_loop(0, every, step, state)
        return self._end_tick(tuning, state, every)

    def _step(self, key: Array, target: Target, tuning: ADVITuning, state: ADVIState) -> ADVIState:
        q = state.distribution
        rows, key = jax.random.fold_in(key, self._steps), jax.random.fold_in(key, state.ticks)
        local = jax.random.fold_in(key, 1) if self.noise == "local" else None
        target = target.at(rows, state.ticks)
        noise = draw_normals(key, (self._draws, q.size), q.location.dtype)
        weight = weigh_divergence(state.epochs, self.kl_warmup, noise.dtype)
        estimate = estimate_elbo(target, q, noise, self.estimator or "path", weight, local)
        # No step is taken if the density is not finite at one of the draws.
        q, optimizer = self._move(tuning, state, estimate.uphill, estimate.usable)
        own = estimate.elbo, estimate.usable, estimate.divergence, estimate.slope
        return ADVIState(q, optimizer, add_step(state.sums, *own), state.ticks + 1, *state[4:])

    def _move(
        self, tuning: ADVITuning, state: ADVIState, uphill: Any, usable: Bool[Array, ""]
    ) -> tuple[Distribution, Any]:
        q = state.distribution
        # Optimizers of optax descend; the families' own leave the sign alone.
        own = self.optimizer is None
        steep = uphill if own else jax.tree.map(jnp.negative, q.densify(uphill))
        direction, optimizer = self._optimizer.update(steep, state.optimizer)
        step = q.limit(direction, jnp.asarray(tuning.learning_rate))
        step, uphill = jax.tree.map(lambda a: jnp.where(usable, a, 0), (step, uphill))
        optimizer = jax.tree.map(lambda a, b: jnp.where(usable, a, b), optimizer, state.optimizer)
        if not self._is_matching:
            return q.move(step), optimizer
        return q.match_or_move(jnp.asarray(tuning.is_matching), step, uphill), optimizer

    def _end_tick(self, tuning: ADVITuning, state: ADVIState, every: int) -> tuple[ADVIState, Tick]:
        sums, mean = add_parameters(state.sums, state.distribution.pack(), state.ticks, every)
        # A stored epoch may be between two records; see `add_parameters`.
        complete = state.ticks >= self._steps
        stats = summarize(sums) | {
            "learning_rate": jnp.asarray(tuning.learning_rate),
            "skipped": state.ticks - sums.steps,
        }
        tick = Tick(complete, mean, jnp.zeros((0,), sums.elbo.dtype), stats)
        trace = record(state.trace, state.epochs, jnp.stack([stats[name] for name in TRACED]))
        empty = no_sums(sums.parameters, sums.slope.shape[0])
        done = (empty, jnp.int32(0), state.epochs + 1, trace)
        going = (sums, state.ticks, state.epochs, state.trace)
        rest = jax.tree.map(lambda a, b: jnp.where(complete, a, b), done, going)
        return ADVIState(state.distribution, state.optimizer, *rest), tick

    def end_window(
        self, tuning: ADVITuning, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        number = lambda x: np.asarray(x, np.asarray(tuning.learning_rate).dtype)  # noqa: E731
        # Minibatches make that of one step noisy.
        firsts = recent[-1].stats["elbo" if tuning.is_noisy else "elbo_first"][0]
        begun = firsts[0] if np.isnan(tuning.begun) else tuning.begun
        epochs = np.asarray(tuning.epochs + len(firsts), np.int32)
        tuning = replace(tuning, epochs=epochs, begun=number(begun))
        if epochs < (self.kl_warmup or 0) + WINDOW:
            return WindowEnd(tuning, windows)
        elbos = number(np.append(tuning.elbos[1:], recent[-1].stats["elbo"].mean()))
        stationary, settled = self._judge(replace(tuning, elbos=elbos), recent)
        tuning = replace(tuning, elbos=np.where(stationary, np.nan, elbos))
        if stationary and tuning.is_matching:
            return WindowEnd(replace(tuning, is_matching=np.asarray(False)), windows)
        # Steps that are lost to rounding get no better at smaller rates.
        slowness = measure_slowness(tuning.learning_rate, self._first_rate)
        is_over = settled or (stationary and slowness <= SLOWEST)
        rate = tuning.learning_rate / (2 if stationary and not is_over else 1)
        learned = replace(tuning, learning_rate=number(rate), settled=np.asarray(settled))
        return WindowEnd(learned, () if is_over else windows)

    def _judge(self, tuning: ADVITuning, recent: Sequence[Draws]) -> tuple[bool, bool]:
        """Return whether the parameters are stationary, and whether that is good enough."""
        moving = bool((2 * recent[-1].stats["skipped"] < self._steps).all())
        slowness = measure_slowness(tuning.learning_rate, self._first_rate)
        elbos = [own.stats["elbo"].ravel() for own in recent]
        is_valued = bool(np.isfinite(np.concatenate(elbos)).any())
        if tuning.is_noisy and self._family.has_absolute_steps and is_valued:
            rises = len(recent) < 2 or has_risen(*elbos)
            return moving and not rises, moving and not rises and slowness <= SLOWEST_NOISY
        read = lambda own: self._family.moments(own, int(tuning.size))  # noqa: E731
        level = bool(tuning.is_noisy) or is_level(recent[-1].stats["slope"])
        is_still, largest = is_noise(read, recent[-1].positions, tuning.elbos, self.tolerance)
        is_known = largest <= self.tolerance or slowness <= SLOWEST
        return moving and is_still, moving and is_still and is_known and level
