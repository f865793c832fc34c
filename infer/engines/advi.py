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

from ..errors import EngineError
from ..numerics.epoch import EpochSums, add_step, first_elbo, mean_elbo, no_sums
from ..numerics.families.base import Distribution, Family
from ..numerics.families.memory import refuse_large
from ..numerics.families.named import find_family
from ..numerics.stationarity import has_risen, measure_movement
from ..numerics.trace import make_trace, record
from ..target import Components, Target
from ..types import Scalar, Vector
from .approximating import Approximator, Ended, Fitted, average_epochs
from .base import Draws, Examples, Needs, Tick, WarmupPlan, WindowEnd

ESTIMATORS = ("path", "total")
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
        begun: ELBO in nats of the first step that weighs the divergence from the prior fully; NaN
            before the end of its window, and if the target has no value.
    """

    learning_rate: Scalar | np.ndarray
    scale: Array | np.ndarray
    is_matching: Array | np.ndarray
    size: Array | np.ndarray
    is_noisy: Array | np.ndarray
    epochs: Array | np.ndarray
    settled: Array | np.ndarray
    begun: Scalar | np.ndarray


class ADVIState(NamedTuple):
    """The approximation between two steps.

    Attributes:
        distribution: The approximation.
        optimizer: State of the optimizer.
        sums: Sums over the steps of the epoch.
        ticks: Steps of the epoch.
        epochs: Epochs made.
        trace: Mean ELBO of the epochs and its standard error; see `numerics.trace`.
    """

    distribution: Distribution
    optimizer: optax.OptState
    sums: EpochSums
    ticks: Int[Array, ""]
    epochs: Int[Array, ""]
    trace: Float[Array, "2 epochs"]


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

    Attributes:
        family: "mean_field" (independent coordinates), "full_rank" (any covariance), or the
            settings of a family, such as `infer.MeanField(steps="softplus")`.
        batch: Draws of the approximation per step.
        estimator: "path" omits the score of the approximation; "total" is the whole derivative
            of a draw's ELBO, as in Bayes by Backprop. Both have the same mean.
        optimizer: Any optax optimizer, with its own learning rate. By default Adam, and for the
            covariance of "full_rank" natural gradients. An optax optimizer equals only itself:
            keep one, instead of making a new one for each call.
        kl_warmup: Epochs in which the weight of the divergence from the prior rises to one.
        epoch: Steps per epoch; by default 50, or with minibatches and `estimator="total"` as many
            as see each row once.
        learning_rate: First rate; by default 0.1 in units of the approximation's own scale (of
            0.1 for steps in absolute units), and 1 as a factor of the steps of an `optimizer`.
        initial_scale: Standard deviations of the first distribution.
        tolerance: Largest change of a mean, in standard deviations, or of a logarithm of a
            standard deviation, that counts as settled.

    Source: Kucukelbir et al. (2017); Roeder, Wu & Duvenaud (2017), arXiv 1703.09194,
        equation 7; Blundell et al. (2015), arXiv 1505.05424, section 3.2; the stop rule
        follows Welandawe et al. (2022), arXiv 2203.15945.
    """

    # Epochs averaged after the fit has settled; the error of the mean falls with their square root.
    final_draws: ClassVar[int] = 50
    has_epochs: ClassVar[bool] = True
    without_value: ClassVar[str] = "ADVI()"
    examples: ClassVar[Examples] = Examples(invalid={"batch": 0})
    family: str | Family = "mean_field"
    batch: int = 16
    estimator: Literal["path", "total"] = "path"
    optimizer: optax.GradientTransformation | None = None
    kl_warmup: int = 0
    epoch: int | None = None
    learning_rate: float | None = field(default=None, compare=False)
    initial_scale: float = field(default=0.1, compare=False)
    tolerance: float = field(default=0.005, compare=False)

    def __post_init__(self) -> None:
        find_family("ADVI", self.family)
        if self.estimator not in ESTIMATORS:
            raise EngineError(
                "ADVI", f"estimator is {self.estimator!r}", f"Choose one of {ESTIMATORS}."
            )
        for name in ("batch", "learning_rate", "initial_scale", "tolerance", "epoch"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise EngineError("ADVI", f"{name} is {value}", "Give a positive number.")
        if self.kl_warmup < 0:
            raise EngineError("ADVI", f"kl_warmup is {self.kl_warmup}", "Give 0 or more epochs.")

    @property
    def needs(self) -> Needs:
        return Needs(value=False, exact=False, parts=self.kl_warmup > 0)

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
            and self.batch > 1
            and not self.kl_warmup
        )

    @property
    def _steps(self) -> int:
        return self.epoch or EPOCH

    def choose_family(self, size: int) -> Family:
        return self._family

    def conclude(self, ended: Ended) -> Fitted:
        tuning, state = ended.tuning, ended.states
        settled, begun = bool(tuning.settled), float(tuning.begun)
        return average_epochs(
            self._family, ended, settled, begun, state.trace[0], int(state.epochs[0])
        )

    def bind(self, sites: Mapping[str, slice], steps: int | None = None) -> "ADVI":
        trains = steps is not None and self.estimator == "total"
        family = self._family.bind(sites, trains)
        epoch = steps if trains and self.epoch is None else self.epoch
        family = self.family if family == self._family else family
        return replace(self, family=family, epoch=epoch)

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        draws = 2000 if draws is None else draws
        return WarmupPlan(draws, (WINDOW,) * (draws // WINDOW))

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> ADVITuning:
        refuse_large(self._family, positions.shape[-1], gradients.dtype)
        number = lambda x: np.asarray(x, gradients.dtype)  # noqa: E731
        return ADVITuning(
            number(self._first_rate),
            number(self.initial_scale),
            np.asarray(self._is_matching),
            np.asarray(positions.shape[-1], np.int32),
            np.asarray("minibatch" in target.offers),
            np.asarray(0, np.int32),
            np.asarray(False),
            number(np.nan),
        )

    def init(self, position: Vector, here: Components) -> ADVIState:
        # The first window begins it with the tuning's scale.
        distribution = self._family.begin(position, jnp.ones((), position.dtype))
        return self._begin(distribution, make_trace(position, 2))

    def _begin(self, distribution: Distribution, trace: Array) -> ADVIState:
        optimizer = self._optimizer.init(jax.tree.map(jnp.zeros_like, self._outline(distribution)))
        empty = no_sums(distribution.pack())
        return ADVIState(distribution, optimizer, empty, jnp.int32(0), jnp.int32(0), trace)

    def _outline(self, distribution: Distribution) -> Any:
        """Return an ascent, of which only the shapes matter."""
        noise = jnp.zeros((self.batch, distribution.size), distribution.location.dtype)
        uphill = distribution.ascent(noise, noise, self.estimator)
        return uphill if self.optimizer is None else distribution.densify(uphill)

    def enter(self, tuning: ADVITuning, state: ADVIState, warming: Bool[Array, ""]) -> ADVIState:
        is_first = (state.epochs == 0) & (state.ticks == 0)
        scaled = self._family.begin(state.distribution.location, jnp.asarray(tuning.scale))
        first = self._begin(scaled, state.trace)
        fresh, empty = state.distribution.refresh(), no_sums(state.distribution.pack())
        state = state._replace(distribution=fresh, sums=empty)
        return jax.tree.map(lambda new, old: jnp.where(is_first, new, old), first, state)

    def tick(
        self, key: Array, target: Target, tuning: ADVITuning, state: ADVIState
    ) -> tuple[ADVIState, Tick]:
        q = state.distribution
        key = jax.random.fold_in(key, state.ticks)
        noise = jax.random.normal(key, (self.batch, q.size), q.location.dtype)
        target = target.at(jax.random.fold_in(key, 1))
        weight = self._weight(state.epochs, noise.dtype)
        values, gradients = self._evaluate(target, weight, jax.vmap(q.forward)(noise))
        elbo = values.mean() - weight * jax.vmap(q.log_density_of_noise)(noise).mean()
        usable = jnp.isfinite(gradients).all()
        # The gradients need only the score of the target; without a value the ELBO is NaN.
        usable = usable & jnp.isfinite(elbo) if target.has_value else usable
        uphill = q.ascent(noise, gradients, self.estimator, weight)
        # No step is taken if the density is not finite at one of the draws.
        q, optimizer = self._move(tuning, state, uphill, usable)
        sums = add_step(state.sums, q.pack(), elbo, usable)
        return self._end_step(tuning, state._replace(distribution=q, optimizer=optimizer), sums)

    def _weight(self, epochs: Array, dtype: Any) -> Scalar | float:
        """Return the weight of the divergence from the prior."""
        if not self.kl_warmup:
            return 1.0
        return jnp.minimum((epochs + 1).astype(dtype) / self.kl_warmup, 1.0)

    def _evaluate(
        self, target: Target, weight: Scalar | float, positions: Array
    ) -> tuple[Array, Array]:
        if not self.kl_warmup:
            return jax.vmap(target.evaluate)(positions)

        def weighted(position: Vector) -> Scalar:
            parts = target.parts(position)
            return parts.likelihood + weight * parts.prior

        return jax.vmap(jax.value_and_grad(weighted))(positions)

    def _move(
        self, tuning: ADVITuning, state: ADVIState, uphill: Any, usable: Bool[Array, ""]
    ) -> tuple[Distribution, optax.OptState]:
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
        match, move = lambda: q.match(step, uphill), lambda: q.move(step)
        return jax.lax.cond(tuning.is_matching, match, move), optimizer

    def _end_step(
        self, tuning: ADVITuning, state: ADVIState, sums: EpochSums
    ) -> tuple[ADVIState, Tick]:
        complete = state.ticks + 1 == self._steps
        elbo, error = mean_elbo(sums)
        stats = {
            "elbo": elbo,
            "elbo_se": error,
            "elbo_first": first_elbo(sums),
            "learning_rate": jnp.asarray(tuning.learning_rate),
            "skipped": self._steps - sums.steps,
        }
        tick = Tick(complete, sums.parameters / self._steps, jnp.zeros((0,), elbo.dtype), stats)
        trace = record(state.trace, state.epochs, jnp.stack([elbo, error]))
        done = (no_sums(sums.parameters), jnp.int32(0), state.epochs + 1, trace)
        going = (sums, state.ticks + 1, state.epochs, state.trace)
        rest = jax.tree.map(lambda a, b: jnp.where(complete, a, b), done, going)
        return ADVIState(state.distribution, state.optimizer, *rest), tick

    def end_window(
        self, tuning: ADVITuning, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        number = lambda x: np.asarray(x, np.asarray(tuning.learning_rate).dtype)  # noqa: E731
        firsts, whole = recent[-1].stats["elbo_first"][0], max(self.kl_warmup - 1, 0)
        epochs = tuning.epochs + len(firsts)
        is_known = bool(np.isfinite(tuning.begun)) or epochs <= whole
        begun = tuning.begun if is_known else firsts[max(whole - tuning.epochs, 0)]
        tuning = replace(tuning, epochs=np.asarray(epochs, np.int32), begun=number(begun))
        if epochs < self.kl_warmup + WINDOW:
            return WindowEnd(tuning, windows)
        stationary, settled = self._judge(tuning, recent)
        if stationary and tuning.is_matching:
            return WindowEnd(replace(tuning, is_matching=np.asarray(False)), windows)
        rate = float(tuning.learning_rate)
        rate = rate / 2 if stationary and not settled else rate
        learned = replace(tuning, learning_rate=number(rate), settled=np.asarray(settled))
        return WindowEnd(learned, () if settled else windows)

    def _judge(self, tuning: ADVITuning, recent: Sequence[Draws]) -> tuple[bool, bool]:
        """Return whether the parameters are stationary, and whether that is good enough."""
        moving = bool((2 * recent[-1].stats["skipped"] < self._steps).all())
        slowness = float(tuning.learning_rate) / self._first_rate
        elbos = [own.stats["elbo"].ravel() for own in recent]
        is_valued = bool(np.isfinite(np.concatenate(elbos)).any())
        if tuning.is_noisy and self._family.has_absolute_steps and is_valued:
            rises = len(recent) < 2 or has_risen(*elbos)
            return moving and not rises, moving and not rises and slowness <= SLOWEST_NOISY
        size = int(tuning.size)
        # A diverged fit may overflow here; its ELBO reports it.
        with np.errstate(all="ignore"):
            epochs = [self._family.moments(own, size) for own in recent[-1].positions]
        # Unlike max, np.max passes NaN on.
        change, noise = np.max([measure_movement(*own) for own in epochs], axis=0).tolist()
        stationary = moving and change <= max(self.tolerance, 3 * noise)
        is_known = max(change, noise) <= self.tolerance or slowness <= SLOWEST
        return stationary, stationary and is_known
