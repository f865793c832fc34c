"""Mean field: independent normal coordinates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...errors import EngineError
from ...types import Scalar, Vector
from .base import Distribution, Family, Noise, diagonal_of, normal_log_density

COORDINATES = ("scale", "softplus")
# Learning rates are in units of the scale; those of the absolute coordinates are this much lower.
ABSOLUTE = 0.1


class Step(NamedTuple):
    """A change of the means, and one of the parameters of the scales."""

    mean: Vector
    scale: Vector


class IndependentNormal(Distribution):
    """The distribution of mean + sd * noise.

    A step changes the mean in units of the standard deviations, and their logarithms.

    Attributes:
        mean: Shape (size,).
        scale: Standard deviations, shape (size,).
    """

    is_independent: ClassVar[bool] = True
    mean: Vector
    scale: Vector

    @property
    def size(self) -> int:
        return self.mean.shape[0]

    @property
    def location(self) -> Vector:
        return self.mean

    @property
    def sd(self) -> Vector:
        return self.scale

    def forward(self, noise: Vector) -> Vector:
        return self.mean + self.scale * noise

    def forward_on_host(self, noise: np.ndarray) -> np.ndarray:
        return np.asarray(self.mean) + np.asarray(self.scale) * noise

    def inverse(self, position: Vector) -> Vector:
        return (position - self.mean) / self.scale

    def log_det(self, noise: Vector) -> Scalar:
        return jnp.log(self.scale).sum()

    def ascent(
        self, noise: Noise, gradients: Noise, estimator: str = "path", weight: Scalar | float = 1.0
    ) -> Step:
        is_path = estimator == "path"
        pulled = self.scale * gradients + (weight * noise if is_path else 0.0)
        # The derivative of the entropy; in the path estimator it is the mean of noise^2.
        growth = 0.0 if is_path else weight
        return Step(pulled.mean(0), (pulled * noise).mean(0) + growth)

    def limit(self, direction: Step, rate: Scalar | float) -> Step:
        return jax.tree.map(lambda a: rate * a, direction)

    def move(self, step: Step) -> "IndependentNormal":
        return IndependentNormal(self.forward(step.mean), self.scale * jnp.exp(step.scale))

    def log_density_on_host(self, positions: np.ndarray) -> np.ndarray:
        return normal_log_density(positions, self.mean, self.scale)

    def pack(self) -> Float[Array, "width"]:
        return jnp.concatenate([self.mean, self.scale])


class SoftplusNormal(Distribution):
    """The distribution of mean + softplus(rho) * noise.

    A step changes the mean in its own units, so that means move however small the scales are, and
    rho, whose steps change a small scale by a factor and a large one by an amount.

    Attributes:
        mean: Shape (size,).
        rho: Standard deviations before softplus is applied, shape (size,).

    Source: Blundell et al. (2015), arXiv 1505.05424, section 3.2.
    """

    is_independent: ClassVar[bool] = True
    mean: Vector
    rho: Vector

    @property
    def size(self) -> int:
        return self.mean.shape[0]

    @property
    def location(self) -> Vector:
        return self.mean

    @property
    def scale(self) -> Vector:
        """Standard deviations, shape (size,)."""
        return jax.nn.softplus(self.rho)

    @property
    def sd(self) -> Vector:
        return self.scale

    def forward(self, noise: Vector) -> Vector:
        return self.mean + self.scale * noise

    def forward_on_host(self, noise: np.ndarray) -> np.ndarray:
        return np.asarray(self.mean) + np.asarray(self.scale) * noise

    def inverse(self, position: Vector) -> Vector:
        return (position - self.mean) / self.scale

    def log_det(self, noise: Vector) -> Scalar:
        return jnp.log(self.scale).sum()

    def ascent(
        self, noise: Noise, gradients: Noise, estimator: str = "path", weight: Scalar | float = 1.0
    ) -> Step:
        scaled = IndependentNormal(self.mean, self.scale)
        own = scaled.ascent(noise, gradients, estimator, weight)
        return Step(own.mean / self.scale, own.scale / self.scale * jax.nn.sigmoid(self.rho))

    def limit(self, direction: Step, rate: Scalar | float) -> Step:
        return Step(ABSOLUTE * rate * direction.mean, ABSOLUTE * rate * direction.scale)

    def move(self, step: Step) -> "SoftplusNormal":
        return SoftplusNormal(self.mean + step.mean, self.rho + step.scale)

    def log_density_on_host(self, positions: np.ndarray) -> np.ndarray:
        return normal_log_density(positions, self.mean, self.scale)

    def pack(self) -> Float[Array, "width"]:
        return jnp.concatenate([self.mean, self.scale])


Independent = IndependentNormal | SoftplusNormal


@dataclass(frozen=True)
class MeanField(Family):
    """Independent normal coordinates.

    Attributes:
        steps: "scale" takes steps in units of the standard deviations, so that a fit does not
            depend on the scale of the posterior. "softplus" takes steps of the means in their own
            units, as training of networks does, and steps of the standard deviations through
            softplus. By default "softplus" with minibatches and `estimator="total"`, and otherwise
            "scale".
    """

    steps: Literal["scale", "softplus"] | None = None

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps not in COORDINATES:
            raise EngineError(
                "MeanField", f"steps is {self.steps!r}", f"Choose one of {COORDINATES}."
            )

    @property
    def name(self) -> str:
        return "mean_field"

    @property
    def has_absolute_steps(self) -> bool:
        return self.steps == "softplus"

    def begin(self, location: Vector, scale: Array | float) -> Independent:
        return self._make(location, diagonal_of(scale, location.shape[0], location.dtype))

    def unpack(self, packed: Float[Array, "width"], size: int) -> Independent:
        return self._make(packed[:size], packed[size:])

    def _make(self, mean: Vector, scale: Vector) -> Independent:
        if self.steps != "softplus":
            return IndependentNormal(mean, scale)
        # softplus^-1, with the digits of small and of large scales.
        return SoftplusNormal(mean, scale + jnp.log(-jnp.expm1(-scale)))

    def moments(self, packed: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        return packed[:, :size], np.log(packed[:, size:])

    def count_numbers(self, size: int) -> int:
        return 2 * size

    def bind(self, sites: Mapping[str, slice], is_training: bool) -> "MeanField":
        return MeanField("softplus") if is_training and self.steps is None else self
