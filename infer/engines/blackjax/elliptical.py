"""Elliptical slice sampling of BlackJAX: a normal reference, and the density relative to it."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...errors import EngineError
from ...target import Components, NormalPrior, Target
from ...types import Scalar, Vector
from ..base import Engine, Examples, Needs, Tick, WarmupPlan, one_window
from .library import library

# Positions that differ by no more than this many rounding errors count as equal.
ROUNDINGS = 8


class EllipticalTuning(eqx.Module):
    """The normal distribution whose ellipses are sliced; traced.

    Attributes:
        mean: Shape (size,).
        factor: Lower Cholesky factor of the covariance, shape (size, size).
        whitening: Its inverse.
    """

    mean: Vector | np.ndarray
    factor: Float[Array | np.ndarray, "size size"]
    whitening: Float[Array | np.ndarray, "size size"]


class EllipticalState(NamedTuple):
    """The position of one chain, with the log density there, in nats."""

    position: Vector
    log_density: Scalar


@dataclass(frozen=True)
class EllipticalSlice(Engine):
    """Elliptical slice sampling: no gradient, no step size, and no rejected draws.

    It needs a normal distribution: the prior, if that is normal in the flat vector, or another
    one that is given. The posterior is invariant for any normal; one that is similar to the
    posterior, and not narrower, mixes best.

    Attributes:
        mean: Mean of the normal, shape (size,); by default that of the prior.
        covariance: Covariance of the normal, shape (size, size), or variances, shape (size,); by
            default those of the prior.

    Source: Murray, Adams & MacKay (2010), arXiv 1001.0175; other normals than the prior as
        Nishihara, Murray & Adams (2014), arXiv 1210.7477, section 2.2.
    """

    examples: ClassVar[Examples] = Examples(invalid={"mean": np.zeros(2), "covariance": -np.eye(2)})
    mean: Any = field(default=None, compare=False, repr=False)
    covariance: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.covariance is None):
            raise EngineError(
                "EllipticalSlice",
                "one of mean and covariance is given without the other",
                "Give both; or give neither, to use those of the prior.",
            )
        if self.covariance is not None:
            _refuse_misfits(np.asarray(self.mean), np.asarray(self.covariance))

    @property
    def needs(self) -> Needs:
        return Needs(gradient=False, normal_prior=self.covariance is None)

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        return one_window(100 if draws is None else draws)

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> EllipticalTuning:
        given = NormalPrior(self.mean, self.covariance)
        normal = target.normal_prior() if self.covariance is None else given
        mean, size, dtype = np.asarray(normal.mean), positions.shape[1], positions.dtype
        if mean.shape != (size,):
            raise EngineError(
                "EllipticalSlice",
                f"mean has shape {mean.shape}, but the flat vector has {size} coordinates",
                f"Give the shapes ({size},) and ({size}, {size}).",
            )
        factor = _factor(np.asarray(normal.covariance))
        return EllipticalTuning(
            mean.astype(dtype), factor.astype(dtype), np.linalg.inv(factor).astype(dtype)
        )

    def reuse(self, learned: EllipticalTuning, fresh: EllipticalTuning) -> EllipticalTuning:
        return fresh

    def init(self, position: Vector, here: Components) -> EllipticalState:
        return EllipticalState(position, here.value)

    def tick(
        self, key: Array, target: Target, tuning: EllipticalTuning, state: EllipticalState
    ) -> tuple[EllipticalState, Tick]:
        mean, factor = jnp.asarray(tuning.mean), jnp.asarray(tuning.factor)

        def reference(position: Vector) -> Scalar:
            return -0.5 * jnp.sum((jnp.asarray(tuning.whitening) @ (position - mean)) ** 2)

        def relative(position: Vector) -> Scalar:
            log_ratio = target.evaluate(position)[0] - reference(position)
            # A NaN lies on no slice.
            log_ratio = jnp.where(jnp.isnan(log_ratio), -jnp.inf, log_ratio)
            # A slice that has shrunk to its start, up to rounding, ends there in any case.
            return jnp.where((jnp.abs(position - state.position) <= near).all(), jnp.inf, log_ratio)

        def drawn(key: Array, like: Vector) -> Vector:
            return mean + factor @ jax.random.normal(key, like.shape, like.dtype)

        spread = jnp.abs(mean) + jnp.sqrt(jnp.sum(factor**2, axis=1))
        near = ROUNDINGS * jnp.finfo(mean.dtype).eps * (jnp.abs(state.position) + spread)
        elliptical = library().mcmc.elliptical_slice
        log_ratio = state.log_density - reference(state.position)
        here = elliptical.EllipSliceState(state.position, log_ratio)
        end, info = elliptical.elliptical_proposal(relative, drawn, mean)(key, here)
        moved = jnp.isfinite(end.logdensity)
        position = jnp.where(moved, end.position, state.position).astype(mean.dtype)
        log_density = jnp.where(moved, end.logdensity + reference(position), state.log_density)
        log_density = log_density.astype(mean.dtype)
        stats = {"lp": log_density, "n_steps": jnp.asarray(info.subiter, jnp.int32)}
        tick = Tick(jnp.asarray(True), position, jnp.zeros((0,), mean.dtype), stats)
        return EllipticalState(position, log_density), tick


def _factor(covariance: np.ndarray) -> np.ndarray:
    whole = np.diag(covariance) if covariance.ndim == 1 else covariance
    return np.linalg.cholesky(whole.astype(np.float64))


def _refuse_misfits(mean: np.ndarray, covariance: np.ndarray) -> None:
    shapes = (mean.shape, 2 * mean.shape)
    positive = covariance.shape in shapes and mean.ndim == 1
    try:
        _factor(covariance) if positive else None
    except np.linalg.LinAlgError:
        positive = False
    if not positive:
        raise EngineError(
            "EllipticalSlice",
            f"a mean of shape {mean.shape} and a covariance of shape {covariance.shape} do not "
            "define a normal distribution",
            "Give a vector, and a positive definite matrix or positive variances, of its size.",
        )
