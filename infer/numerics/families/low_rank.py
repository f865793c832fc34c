"""Low rank plus diagonal: independent coordinates, stretched along a few directions."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from ...counts import is_whole
from ...errors import EngineError
from ...types import Scalar, Vector
from .base import Distribution, Family, Noise, diagonal_of, shorten

# The first stretch; at one, a direction would not matter.
FIRST_STRETCH = 1.1
# Longest step of the directions, by its Frobenius norm: per unit of the learning rate, and at most.
RADIUS, LARGEST_RADIUS = 4.0, 0.5


class Step(NamedTuple):
    """A change of the mean in units of the scale, of logarithms of scales, and of directions.

    Attributes:
        mean: Shape (size,).
        scale: Step of the logarithms of the diagonal, shape (size,).
        stretch: Step of the logarithms of the stretches, shape (rank,).
        directions: Shape (size, rank).
    """

    mean: Vector
    scale: Vector
    stretch: Float[Array, "rank"]
    directions: Float[Array, "size rank"]


class LowRankNormal(Distribution):
    """The distribution of mean + scale * (I + V (s - 1) V^T) noise, with orthonormal V.

    The covariance is a diagonal matrix plus one of low rank, up to a scaling of the coordinates;
    stretches s below one make directions narrow. A step costs a few products with V.

    Attributes:
        mean: Shape (size,).
        diagonal: Shape (size,).
        stretch: The stretches s, shape (rank,).
        directions: The columns of V, shape (size, rank).
    """

    mean: Vector
    diagonal: Vector
    stretch: Float[Array, "rank"]
    directions: Float[Array, "size rank"]

    @property
    def size(self) -> int:
        return self.mean.shape[0]

    @property
    def location(self) -> Vector:
        return self.mean

    @property
    def sd(self) -> Vector:
        excess = (self.directions**2 * (self.stretch**2 - 1)).sum(1)
        return self.diagonal * jnp.sqrt(1 + excess)

    @property
    def scale(self) -> Float[Array, "size size"]:
        """A square factor of the covariance, which takes size^2 numbers."""
        return self.diagonal[:, None] * self._stretch(jnp.eye(self.size, dtype=self.mean.dtype))

    def forward(self, noise: Vector) -> Vector:
        return self.mean + self.diagonal * self._stretch(noise)

    def forward_on_host(self, noise: np.ndarray) -> np.ndarray:
        own = jax.tree.map(np.asarray, self)
        return own.mean + own.diagonal * own._stretch(noise)

    def inverse(self, position: Vector) -> Vector:
        return self._unstretch((position - self.mean) / self.diagonal)

    def log_det(self, noise: Vector) -> Scalar:
        return jnp.log(self.diagonal).sum() + jnp.log(self.stretch).sum()

    def _stretch(self, rows: Array) -> Array:
        """Multiply by the symmetric matrix I + V (s - 1) V^T; for rows too."""
        return rows + ((rows @ self.directions) * (self.stretch - 1)) @ self.directions.T

    def _unstretch(self, rows: Array) -> Array:
        return rows + ((rows @ self.directions) * (1 / self.stretch - 1)) @ self.directions.T

    def ascent(
        self, noise: Noise, gradients: Noise, estimator: str = "path", weight: Scalar | float = 1.0
    ) -> Step:
        is_path, draws = estimator == "path", noise.shape[0]
        growth = 0.0 if is_path else weight
        # With respect to the coordinates before the diagonal, and to the noise.
        outer = self.diagonal * gradients
        outer = outer + weight * self._unstretch(noise) if is_path else outer
        pulled = self._stretch(outer)
        along, noise_along = pulled @ self.directions, noise @ self.directions
        turn = 0.5 * (pulled.T @ noise_along + noise.T @ along) / draws
        within = self.directions.T @ turn
        others = 1 - jnp.eye(within.shape[0], dtype=within.dtype)
        turn = (turn - self.directions @ within) * _turning_rate(self.stretch - 1 / self.stretch)
        ratio = self.stretch / self.stretch[:, None]
        turn = turn + self.directions @ (others * within * _turning_rate(ratio - ratio.T))
        return Step(
            pulled.mean(0),
            (outer * self._stretch(noise)).mean(0) + growth,
            (along * noise_along).mean(0) + growth,
            turn,
        )

    def limit(self, direction: Step, rate: Scalar | float) -> Step:
        step = jax.tree.map(lambda a: rate * a, direction)
        radius = jnp.minimum(RADIUS * rate, LARGEST_RADIUS)
        return step._replace(directions=shorten(step.directions, radius))

    def move(self, step: Step) -> "LowRankNormal":
        return LowRankNormal(
            self.forward(step.mean),
            self.diagonal * jnp.exp(step.scale),
            self.stretch * jnp.exp(step.stretch),
            orthonormalize(self.directions + step.directions),
        )

    def pack(self) -> Float[Array, "width"]:
        return jnp.concatenate(
            [self.mean, self.diagonal, self.stretch, self.directions.reshape(-1)]
        )  # fmt: skip


def _turning_rate(force: Array) -> Array:
    """Return what a gradient is multiplied by to turn directions at a rate of their own.

    The log density changes with an angle by a force times the gradient, and its curvature is the
    square of that force: s - 1/s for a stretch s against the rest, s/t - t/s for one against
    another. Where it vanishes an angle has no effect, and the sign is that of a small force.
    """
    is_pair = force.ndim == 2
    first = jnp.triu(jnp.ones_like(force)) if is_pair else jnp.ones_like(force)
    sign = jnp.where(force == 0, 2 * first - 1, jnp.sign(force))
    return sign / jnp.maximum(jnp.abs(force), 1.0)


def orthonormalize(directions: Float[Array, "size rank"]) -> Float[Array, "size rank"]:
    """Return orthonormal columns that span the same space, by a Cholesky factor."""
    factor = jnp.linalg.cholesky(directions.T @ directions)
    return solve_triangular(factor, directions.T, lower=True).T


@dataclass(frozen=True)
class LowRank(Family):
    """A normal distribution with a diagonal scale, stretched along a few directions.

    Its cost grows with the number of coordinates times the rank. For more coordinates than
    "full_rank" can take, and posteriors with a few strong correlations.

    Attributes:
        rank: Number of directions; at most the number of coordinates is used.

    Source: Ong et al. (2018), arXiv 1701.03208, with orthonormal directions.
    """

    rank: int = 10

    def __post_init__(self) -> None:
        if not is_whole(self.rank) or self.rank < 1:
            raise EngineError(
                "LowRank",
                f"rank is {self.rank!r}",
                'Give a whole number of at least 1, or choose "mean_field".',
            )

    @property
    def name(self) -> str:
        return "low_rank"

    def begin(self, location: Vector, scale: Array | float) -> LowRankNormal:
        size, dtype = location.shape[0], location.dtype
        rank = min(self.rank, size)
        first = np.random.default_rng(0).normal(size=(size, rank))
        directions = jnp.asarray(np.linalg.qr(first)[0], dtype)
        scale = jnp.asarray(scale, dtype)
        stretch = jnp.full(rank, FIRST_STRETCH, dtype)
        return LowRankNormal(location, diagonal_of(scale, size, dtype), stretch, directions)

    def unpack(self, packed: Float[Array, "width"], size: int) -> LowRankNormal:
        rank = min(self.rank, size)
        mean, diagonal, stretch, rest = jnp.split(
            packed, np.cumsum([size, size, rank]).tolist()
        )  # fmt: skip
        return LowRankNormal(mean, diagonal, stretch, orthonormalize(rest.reshape(size, rank)))

    def moments(self, packed: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        rank = min(self.rank, size)
        mean, diagonal, stretch, rest = np.split(
            packed, np.cumsum([size, size, rank]), axis=1
        )  # fmt: skip
        directions = rest.reshape(-1, size, rank)
        norms = (directions**2).sum(1, keepdims=True)
        excess = (directions**2 / norms * (stretch[:, None] ** 2 - 1)).sum(-1)
        return mean, np.log(diagonal) + 0.5 * np.log1p(excess)

    def optimizer(self) -> optax.GradientTransformation:
        """Adam that does not enlarge small gradients: in own coordinates, curvatures are near one.

        So steps shrink with the gradient, and a direction that began steep is not slow for long.
        """
        return optax.scale_by_adam(b2=0.99, eps=1.0)

    def count_numbers(self, size: int) -> int:
        return size * (2 + min(self.rank, size)) + min(self.rank, size)
