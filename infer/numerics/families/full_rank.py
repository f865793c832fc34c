"""Full rank: a normal distribution with any covariance, moved by steps of low rank."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from ...types import Scalar, Vector
from ..score_matching import Match, match_scores
from ..small_matrices import add_product, exponential_slope, log_abs_det
from .base import Distribution, Family, Noise, normal_log_density, shorten, shrink_product

# The step of a factor is the learning rate times TEN / (TEN + size / draws): the estimate of a
# factor's gradient has size / draws times the variance of its mean, and steps of twice the
# inverse of that diverge.
TEN = 10.0
# Gradient of the mean, in nats per unit of the scale, below which a step of Adam shrinks with it.
# For a normal this gradient is the distance from the optimum, so a mean at the optimum stays there,
# whatever the rounding of its gradient. At the first rate of ADVI, small steps are Newton's.
SMALL = 0.1
# Steps between records of a factor: STEPS for at most MOST_ROWS rows, RARE for more. To record 100
# rows takes a third of a step. The mean over an epoch hardly gains from more records: at the first
# rate a factor follows the steps of about the last 11 (10 rows), 29 (300) or 72 (1000); see `TEN`.
STEPS, RARE, MOST_ROWS = 10, 50, 500
# Longest step of a factor, by its Frobenius norm.
RADIUS = 0.5
# How much the scores of one step count relative to the present covariance.
MATCHING = 1.0


class Step(NamedTuple):
    """A change of the mean in units of the scale, and of the factor.

    The factor is multiplied by exp(growth * I + left @ right).

    Attributes:
        mean: Shape (size,).
        left: Shape (size, draws).
        right: Shape (draws, size).
        growth: Shape ().
    """

    mean: Vector
    left: Float[Array, "size draws"]
    right: Float[Array, "draws size"]
    growth: Scalar


class DenseStep(NamedTuple):
    """A step whose change of the factor is a matrix, so that any optimizer can make it."""

    mean: Vector
    factor: Float[Array, "size size"]


class Change(NamedTuple):
    """What a step makes of a distribution: its factor becomes exp(growth) (factor + left @ right).

    Attributes:
        mean: The new mean.
        left: Shape (size, rank).
        right: Shape (rank, size).
        growth: Shape ().
        log_scale: The logarithm of the new factor's absolute determinant.
    """

    mean: Vector
    left: Float[Array, "size rank"]
    right: Float[Array, "rank size"]
    growth: Scalar
    log_scale: Scalar

    def widen(self) -> "Change":
        """Return the same change with twice the rank."""
        rank = len(self.right)
        left = jnp.pad(self.left, ((0, 0), (0, rank)))
        return self._replace(left=left, right=jnp.pad(self.right, ((0, rank), (0, 0))))

    def split(self, rank: int) -> tuple[Array, Array]:
        """Return the columns of `left` and the rows of `right` in parts of a rank, stacked."""
        size = len(self.mean)
        return self.left.reshape(size, -1, rank).swapaxes(0, 1), self.right.reshape(-1, rank, size)


class DenseNormal(Distribution):
    """The distribution of mean + factor @ noise.

    A step costs only products with as many columns as there are draws.

    Attributes:
        mean: Shape (size,).
        factor: Any square matrix whose product with its transpose is the covariance.
        log_scale: Logarithm of the factor's absolute determinant.
    """

    mean: Vector
    factor: Float[Array, "size size"]
    log_scale: Scalar

    @property
    def size(self) -> int:
        return self.mean.shape[0]

    @property
    def location(self) -> Vector:
        return self.mean

    @property
    def scale(self) -> Float[Array, "size size"]:
        """The factor."""
        return self.factor

    @property
    def sd(self) -> Vector:
        return jnp.linalg.norm(self.factor, axis=1)

    def forward(self, noise: Vector) -> Vector:
        return self.mean + self.factor @ noise

    def forward_rows(self, noise: Noise) -> Noise:
        # XLA would merge the second transpose into the product, which on a CPU then takes twice as
        # long: 1.05, not 0.52 ms for 1000 rows and 16 draws in single precision.
        columns = jax.lax.optimization_barrier(self.factor @ noise.T)
        return self.mean + columns.T

    def forward_on_host(self, noise: np.ndarray) -> np.ndarray:
        return np.asarray(self.mean) + noise @ np.asarray(self.factor).T

    def inverse(self, position: Vector) -> Vector:
        return jnp.linalg.solve(self.factor, position - self.mean)

    def log_det(self, noise: Vector) -> Scalar:
        return self.log_scale

    def ascent(
        self, noise: Noise, gradients: Noise, estimator: str = "path", weight: Scalar | float = 1.0
    ) -> Step:
        is_path = estimator == "path"
        pulled = gradients @ self.factor
        pulled = pulled + weight * noise if is_path else pulled
        growth = jnp.asarray(0.0 if is_path else weight, noise.dtype)
        return Step(pulled.mean(0), pulled.T / noise.shape[0], noise, growth)

    def find_slope(self, gradients: Noise, uphill: Step, added: Vector) -> Vector:
        # Without another product, which would also have the loop copy the factor.
        return uphill.mean - added

    def densify(self, step: Step) -> DenseStep:
        eye = jnp.eye(self.size, dtype=step.mean.dtype)
        return DenseStep(step.mean, step.left @ step.right + step.growth * eye)

    def limit(self, direction: Step | DenseStep, rate: Scalar | float) -> Step | DenseStep:
        if isinstance(direction, DenseStep):
            return DenseStep(rate * direction.mean, shorten(rate * direction.factor, RADIUS))
        draws, size = direction.right.shape
        rate_of_factor = rate * TEN / (TEN + size / draws)
        left, growth = rate_of_factor * direction.left, rate_of_factor * direction.growth
        shrinkage = shrink_product(left, direction.right, RADIUS)
        return Step(rate * direction.mean, shrinkage * left, direction.right, shrinkage * growth)

    def move(self, step: Step | DenseStep) -> "DenseNormal":
        if isinstance(step, DenseStep):
            mean = self.forward(step.mean)
            return make_normal(mean, self.factor + self.factor @ step.factor)
        return self._apply(self._find_move(step))

    def match_or_move(
        self, is_matching: Bool[Array, ""], step: Step, uphill: Step
    ) -> "DenseNormal":
        # Only changes of low rank go through the branches, because a branch copies what it returns.
        match, move = lambda: self._find_match(step, uphill), lambda: self._find_move(step).widen()
        change = jax.lax.cond(is_matching, match, move)
        lefts, rights = change.split(len(step.right))

        def add(i: Array, factor: Array) -> Array:
            # The growth is that of the first part; a step that matches has none.
            scale = jnp.where(i == 0, jnp.exp(change.growth), 1)
            return scale * add_product(factor, lefts[i], rights[i])

        # The second part is zero if it moves; a loop, unlike a branch, does not copy the factor.
        factor = jax.lax.fori_loop(0, 1 + is_matching.astype(jnp.int32), add, self.factor)
        return DenseNormal(change.mean, factor, change.log_scale)

    def _find_move(self, step: Step) -> Change:
        left, right = step.left, step.right
        # The smaller one of the two products; they have the same trace.
        if self.size < len(right):
            product = left @ right
            left = exponential_slope(product) @ left
        else:
            product = right @ left
            right = exponential_slope(product) @ right
        mean, products = self._multiply(step.mean, left)
        log_scale = self.log_scale + self.size * step.growth + jnp.trace(product)
        return Change(mean, products, right, step.growth, log_scale)

    def _apply(self, change: "Change") -> "DenseNormal":
        factor = jnp.exp(change.growth) * add_product(self.factor, change.left, change.right)
        return DenseNormal(change.mean, factor, change.log_scale)

    def _find_match(self, step: Step, uphill: Step) -> Change:
        """Move the mean by the step, and match the covariance to the scores.

        The new covariance S solves S U S + S = V, with the covariances of the scores U and, added
        to the present one, of the noise V. For a normal target it converges at a rate that does
        not depend on the target, and the covariance stays positive definite at any step. The
        means are not part of it, because one large mean score would hide the covariance.
        Source: Cai et al. (2024), arXiv 2402.14758, equations 8 and 9.
        """
        noise = uphill.right
        # The path estimator adds the noise, and leaves out the growth.
        pulled = noise.shape[0] * uphill.left.T - (1 - uphill.growth) * noise
        share = jnp.sqrt(jnp.asarray(MATCHING / noise.shape[0], noise.dtype))
        centered = (share * (rows - rows.mean(0)) for rows in (noise, pulled))
        return self._find_transform(step.mean, match_scores(*centered))

    def match_with_mean(
        self, noise: Noise, gradients: Noise, rate: Scalar | float
    ) -> "DenseNormal":
        """Match mean and covariance to the scores, as batch and match does.

        Args:
            noise: Standard normal, shape (draws, size).
            gradients: Gradients of the target's log density at these draws, shape (draws, size).
            rate: The learning rate lambda, from 0 to infinity.

        Source: Cai et al. (2024), arXiv 2402.14758, algorithm 1.
        """
        share, draws = rate / (1 + rate), noise.shape[0]

        def stack(rows: Noise) -> Noise:
            """Return rows whose Gram matrix is the spread around the mean, and a share of it."""
            mean = rows.mean(0)
            centered = jnp.sqrt(rate / draws) * (rows - mean)
            return jnp.concatenate([centered, jnp.sqrt(share) * mean[None]])

        pulled = gradients @ self.factor
        found = match_scores(stack(noise), stack(pulled))
        step = share * (found.multiply(pulled.mean(0)) + noise.mean(0))
        return self._apply(self._find_transform(step, found))

    def _find_transform(self, step: Vector, found: Match) -> Change:
        """Move the mean by a step in units of the factor, and multiply the factor."""
        mean, products = self._multiply(step, found.columns)
        left, right = found.change(products)
        return Change(
            mean, left, right, jnp.zeros_like(found.log_det), self.log_scale + found.log_det
        )

    def _multiply(self, step: Vector, columns: Array) -> tuple[Vector, Array]:
        """Return the mean after a step, and the factor times columns.

        The products are not one, because XLA multiplies faster by 16 columns than by 17.
        """
        return self.mean + self.factor @ step, self.factor @ columns

    def refresh(self, is_due: Bool[Array, ""]) -> "DenseNormal":
        keep, compute = lambda: self.log_scale, lambda: log_abs_det(self.factor)
        return DenseNormal(self.mean, self.factor, jax.lax.cond(is_due, compute, keep))

    def log_density_on_host(self, positions: np.ndarray) -> np.ndarray:
        return normal_log_density(positions, self.mean, self.scale)

    def pack(self) -> Float[Array, "width"]:
        # As rows: XLA joins two vectors on a CPU by masked stores, which takes ten times as long.
        return jnp.concatenate([self.mean[None], self.factor]).reshape(-1)


def make_normal(mean: Vector, factor: Float[Array, "size size"]) -> DenseNormal:
    """Make the normal distribution of a square factor of its covariance."""
    return DenseNormal(mean, factor, log_abs_det(factor))


@dataclass(frozen=True)
class FullRank(Family):
    """A normal distribution with any covariance.

    A fit first matches the covariance to the scores of the draws, then maximizes the ELBO.
    """

    has_matching: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return "full_rank"

    def begin(self, location: Vector, scale: Array | float) -> DenseNormal:
        scale = jnp.asarray(scale, location.dtype)
        if scale.ndim == 2:
            return make_normal(location, scale)
        sds = jnp.broadcast_to(scale, location.shape)
        return DenseNormal(location, jnp.diag(sds), jnp.log(sds).sum())

    def unpack(self, packed: Float[Array, "width"], size: int) -> DenseNormal:
        return make_normal(packed[:size], packed[size:].reshape(size, size))

    def moments(self, packed: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        factors = packed[:, size:].reshape(-1, size, size)
        # Without an array of squares.
        squares = np.einsum("kij,kij->ki", factors, factors)
        return packed[:, :size], 0.5 * np.log(squares)

    def count_numbers(self, size: int) -> int:
        return size + size**2

    def count_steps(self, size: int) -> int:
        return STEPS if size <= MOST_ROWS else RARE

    def average(self, packed: np.ndarray, size: int) -> DenseNormal:
        """Average means and covariances; factors differ by rotations. The factor is lower."""
        covariance = np.zeros((size, size))
        for row in packed:
            factor = row[size:].reshape(size, size)
            covariance += factor @ factor.T
        factor = _cholesky(covariance / len(packed))
        means, log_scale = packed[:, :size].mean(0), np.log(np.diagonal(factor)).sum()
        dtype = packed.dtype
        return DenseNormal(*(jnp.asarray(a, dtype) for a in (means, factor, log_scale)))

    def optimizer(self) -> optax.GradientTransformation:
        """Adam for the mean; the factor takes steps of its natural gradient as they are."""
        parts = Step("mean", "factor", "factor", "factor")  # pyright: ignore[reportArgumentType]
        return optax.multi_transform(
            {"mean": optax.scale_by_adam(eps=SMALL), "factor": optax.identity()}, parts
        )  # fmt: skip


def _cholesky(covariance: np.ndarray) -> np.ndarray:
    """Factor a covariance; NaN if it is not positive definite."""
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return np.full_like(covariance, np.nan)
