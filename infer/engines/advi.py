"""Automatic differentiation variational inference with a normal approximation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from ..errors import EngineError
from ..numerics.normal import Normal
from ..target import Components, Target
from ..types import Scalar, Vector
from .base import Draws, Engine, Examples, Needs, Tick, WarmupPlan, WindowEnd

FAMILIES = ("mean_field", "full_rank")
ESTIMATORS = ("path", "total")
# Steps that are averaged to one draw, and draws after which the host decides.
EPOCH, WINDOW = 50, 10
FIRST_SCALE = 0.1
SLOWEST = 1e-4
# Longest step of a factor, by its Frobenius norm: in units of the learning rate, and absolute. Adam
# moves each of its size^2 / 2 entries by about one learning rate, which together would multiply the
# scale.
RADIUS, LARGEST_RADIUS = 4.0, 0.5


class ADVITuning(eqx.Module):
    """What the host decides between windows.

    Attributes:
        learning_rate: Learning rate of Adam, in units of the approximation's own scale.
        settled: Whether the parameters have stopped moving; not read in the program.
        begun: ELBO of the first step in nats; NaN before the end of the first window, and if the
            target has no value.
    """

    learning_rate: Scalar | np.ndarray
    settled: np.ndarray | Array
    begun: np.ndarray | Array


class Sums(NamedTuple):
    """Running sums over an epoch: parameters, the ELBO and its square, and the number of steps.

    The ELBO is summed as the difference from the first one of the epoch, to avoid cancellation.
    """

    parameters: Float[Array, "width"]
    first: Scalar
    elbo: Scalar
    elbo_square: Scalar
    steps: Int[Array, ""]


class ADVIState(NamedTuple):
    """The approximation between two steps."""

    normal: Normal
    optimizer: optax.OptState
    sums: Sums
    ticks: Int[Array, ""]


@dataclass(frozen=True)
class ADVI(Engine):
    """Fit a normal distribution in the unconstrained space by maximizing the ELBO.

    By default gradients omit the score of the approximation ("sticking the landing"), so
    their variance vanishes if the approximation is exact. Steps are taken in the
    approximation's own coordinates, so they do not depend on the scale of the posterior or, with
    "full_rank", on its correlations; a step of a full-rank factor never exceeds a trust region,
    whatever the dimension. The learning rate is halved when the parameters are stationary; the
    fit ends when they are stationary within `tolerance`. If the target has no value, the ELBO is
    unknown (NaN), but the fit is the same.

    Attributes:
        family: "mean_field" (independent coordinates) or "full_rank" (any covariance).
        batch: Draws of the approximation per step.
        estimator: "path" omits the score of the approximation; "total" is the whole derivative
            of a draw's ELBO, as in Bayes by Backprop. Both have the same mean.
        learning_rate: First rate.
        tolerance: Largest change of a mean, in standard deviations, or of a logarithm of a
            standard deviation, that counts as settled.

    Source: Kucukelbir et al. (2017); Roeder, Wu & Duvenaud (2017), arXiv 1703.09194,
        equation 7; Blundell et al. (2015), arXiv 1505.05424, section 3.2; the stop rule
        follows Welandawe et al. (2022), arXiv 2203.15945.
    """

    result: ClassVar[Literal["draws", "optimum", "approximation"]] = "approximation"
    without_value: ClassVar[str] = "ADVI()"
    examples: ClassVar[Examples] = Examples(invalid={"batch": 0})
    family: Literal["mean_field", "full_rank"] = "mean_field"
    batch: int = 16
    estimator: Literal["path", "total"] = "path"
    learning_rate: float = field(default=0.1, compare=False)
    tolerance: float = field(default=0.005, compare=False)

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise EngineError("ADVI", f"family is {self.family!r}", f"Choose one of {FAMILIES}.")
        if self.estimator not in ESTIMATORS:
            raise EngineError(
                "ADVI", f"estimator is {self.estimator!r}", f"Choose one of {ESTIMATORS}."
            )
        if self.batch < 1 or not self.learning_rate > 0 or not self.tolerance > 0:
            raise EngineError(
                "ADVI",
                f"batch={self.batch}, learning_rate={self.learning_rate}, "
                f"tolerance={self.tolerance}",
                "All three must be positive.",
            )

    @property
    def needs(self) -> Needs:
        return Needs(value=False, exact=False)

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        draws = 2000 if draws is None else draws
        return WarmupPlan(draws, (WINDOW,) * (draws // WINDOW))

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> ADVITuning:
        rate, begun = (np.asarray(x, gradients.dtype) for x in (self.learning_rate, np.nan))
        return ADVITuning(rate, np.asarray(False), begun)

    def init(self, position: Vector, here: Components) -> ADVIState:
        scale = jnp.full_like(position, FIRST_SCALE)
        normal = Normal(position, jnp.diag(scale) if self.family == "full_rank" else scale)
        steps = jax.tree.map(jnp.zeros_like, normal)
        return ADVIState(normal, _ADAM.init(steps), _no_sums(normal), jnp.int32(0))

    def enter(self, tuning: ADVITuning, state: ADVIState, warming: Bool[Array, ""]) -> ADVIState:
        return state._replace(sums=_no_sums(state.normal))

    def tick(
        self, key: Array, target: Target, tuning: ADVITuning, state: ADVIState
    ) -> tuple[ADVIState, Tick]:
        normal = state.normal
        key = jax.random.fold_in(key, state.ticks)
        noise = jax.random.normal(key, (self.batch, normal.size), normal.mean.dtype)
        target = target.at(jax.random.fold_in(key, 1))
        log_density, gradients = jax.vmap(target.evaluate)(jax.vmap(normal.forward)(noise))
        elbo = log_density.mean() - jax.vmap(normal.log_density_of_noise)(noise).mean()
        uphill: Any = ascent(normal, noise, gradients, self.estimator)
        usable = jnp.isfinite(gradients).all()
        # The gradients need only the score of the target; without a value the ELBO is NaN.
        usable = usable & jnp.isfinite(elbo) if target.has_value else usable
        steps, optimizer = _ADAM.update(uphill, state.optimizer)
        moved = normal.move(_limit_steps(steps, tuning.learning_rate))
        # No step is taken if the density is not finite at one of the draws.
        normal, optimizer = jax.tree.map(
            lambda new, old: jnp.where(usable, new, old),
            (moved, optimizer),
            (normal, state.optimizer),
        )
        sums = _add(state.sums, normal, elbo, usable)
        complete = state.ticks + 1 == EPOCH
        tick = Tick(complete, *_report(sums, tuning))
        ticks = jnp.where(complete, 0, state.ticks + 1)
        empty = _no_sums(normal)
        sums = jax.tree.map(lambda a, b: jnp.where(complete, a, b), empty, sums)
        return ADVIState(normal, optimizer, sums, ticks), tick

    def end_window(
        self, tuning: ADVITuning, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        change, noise = zip(*(self._movement(own) for own in recent[-1].positions), strict=True)
        change, noise = max(change), max(noise)
        moving = (recent[-1].stats["skipped"] < EPOCH // 2).all()
        stationary = moving and change <= max(self.tolerance, 3 * noise)
        rate = float(tuning.learning_rate)
        settled = stationary and (max(change, noise) <= self.tolerance or rate <= SLOWEST)
        rate = rate / 2 if stationary and not settled else rate
        dtype = np.asarray(tuning.learning_rate).dtype
        begun = recent[-1].stats["elbo_first"][0, 0] if np.isnan(tuning.begun) else tuning.begun
        learned = ADVITuning(np.asarray(rate, dtype), np.asarray(settled), np.asarray(begun, dtype))
        return WindowEnd(learned, () if settled else windows)

    def _movement(self, epochs: np.ndarray) -> tuple[float, float]:
        """Return the largest change between the halves of a window, and its standard error."""
        # A diverged fit may overflow here; its ELBO reports it.
        with np.errstate(all="ignore"):
            means, log_sds = self._moments(epochs)
            sds = np.exp(log_sds.mean(0))
            series = np.concatenate([means / sds, log_sds], -1)
            first, last = np.split(series[: 2 * (len(series) // 2)], 2)
            # Successive differences separate noise from drift (von Neumann et al. 1941).
            variance = 0.5 * (np.diff(series, axis=0) ** 2).mean(0) * 2 / len(first)
            return float(np.abs(last.mean(0) - first.mean(0)).max()), float(np.sqrt(variance.max()))

    def _moments(self, epochs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = _size(epochs.shape[-1], self.family)
        means, scales = epochs[:, :size], epochs[:, size:]
        if self.family == "full_rank":
            factors = scales.reshape(-1, size, size)
            return means, 0.5 * np.log((factors**2).sum(-1))
        return means, np.log(scales)


_ADAM = optax.scale_by_adam()


def _size(width: int, family: str) -> int:
    """Solve width = size + size for a mean field, size + size^2 at full rank."""
    return width // 2 if family == "mean_field" else (math.isqrt(1 + 4 * width) - 1) // 2


def _limit_steps(steps: Any, rate: Scalar | np.ndarray) -> Normal:
    """Scale the steps of Adam by the learning rate, and limit the length of a factor's step."""
    steps = jax.tree.map(lambda a: rate * a, steps)
    if steps.scale.ndim == 1:
        return steps
    radius = jnp.minimum(RADIUS * rate, LARGEST_RADIUS)
    # Finite even if the norm is zero or overflows.
    share = radius / jnp.maximum(jnp.linalg.norm(steps.scale), radius)
    return Normal(steps.mean, share * steps.scale)


def ascent(normal: Normal, noise: Array, gradients: Array, estimator: str) -> Normal:
    """Estimate the gradient of the ELBO in the approximation's own coordinates.

    Its parts are changes of the mean in units of the scale, and of the logarithm of the scale; see
    `Normal.move`.

    Args:
        normal: The approximation.
        noise: Standard normal, shape (draws, size).
        gradients: Gradients of the log density at these draws, shape (draws, size).
        estimator: "path" or "total".
    """
    is_path = estimator == "path"
    pulled = jax.vmap(normal.pull_back)(gradients) + (noise if is_path else 0.0)
    # The derivative of the entropy; in the path estimator it is the mean of noise^2.
    growth = 0.0 if is_path else 1.0
    if normal.scale.ndim == 1:
        return Normal(pulled.mean(0), (pulled * noise).mean(0) + growth)
    outer = jnp.tril(pulled.T @ noise / noise.shape[0])
    return Normal(pulled.mean(0), outer + growth * jnp.eye(normal.size, dtype=outer.dtype))


def _no_sums(normal: Normal) -> Sums:
    zero = jnp.zeros((), normal.mean.dtype)
    return Sums(jnp.zeros_like(normal.pack()), zero, zero, zero, jnp.int32(0))


def _add(sums: Sums, normal: Normal, elbo: Scalar, usable: Array) -> Sums:
    first = jnp.where(usable & (sums.steps == 0), elbo, sums.first)
    elbo = jnp.where(usable, elbo - first, 0.0)
    return Sums(
        sums.parameters + normal.pack(),
        first,
        sums.elbo + elbo,
        sums.elbo_square + elbo**2,
        sums.steps + usable.astype(jnp.int32),
    )


def _report(sums: Sums, tuning: ADVITuning) -> tuple[Array, Array, dict[str, Array]]:
    steps = sums.steps.astype(sums.elbo.dtype)
    mean = sums.elbo / steps
    variance = jnp.maximum(sums.elbo_square / steps - mean**2, 0.0)
    stats = {
        "elbo": sums.first + mean,
        "elbo_se": jnp.sqrt(variance / steps),
        # NaN if no step was taken, or the target has no value.
        "elbo_first": jnp.where(sums.steps > 0, sums.first, jnp.nan),
        "learning_rate": jnp.asarray(tuning.learning_rate),
        "skipped": EPOCH - sums.steps,
    }
    return sums.parameters / EPOCH, jnp.zeros((0,), mean.dtype), stats
