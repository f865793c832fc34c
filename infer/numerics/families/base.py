"""What a family of distributions must know so that variational inference can fit it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from ...types import Scalar, Vector
from ..small_matrices import sum_squares

Noise = Float[Array, "draws size"]


class Distribution(eqx.Module):
    """A distribution of flat vectors: the image of standard normal noise under a smooth map.

    A step of the ascent is a pytree in the distribution's own coordinates, such as a change of
    the mean in units of the scale. `ascent` estimates the gradient of the ELBO in these
    coordinates, an optimizer of optax makes a direction of it, `limit` a step, and `move` takes
    the step.

    Attributes:
        is_independent: Whether its coordinates are independent and normal.
    """

    is_independent: ClassVar[bool] = False

    @property
    @abstractmethod
    def size(self) -> int:
        """Length of the vectors."""

    @property
    @abstractmethod
    def location(self) -> Vector:
        """The means, shape (size,)."""

    @property
    @abstractmethod
    def sd(self) -> Vector:
        """The marginal standard deviations, shape (size,)."""

    @abstractmethod
    def forward(self, noise: Vector) -> Vector:
        """Map standard normal noise to a draw."""

    def forward_rows(self, noise: Noise) -> Noise:
        """Map rows of noise to draws, shape (draws, size)."""
        return jax.vmap(self.forward)(noise)

    def forward_on_host(self, noise: np.ndarray) -> np.ndarray | None:
        """Do as `forward_rows` with NumPy, which compiles nothing; None if only JAX can."""
        return None

    @abstractmethod
    def inverse(self, position: Vector) -> Vector:
        """Map a position to the noise that makes it."""

    @abstractmethod
    def log_det(self, noise: Vector) -> Scalar:
        """Compute the log-determinant of `forward` at `noise`, in nats."""

    @abstractmethod
    def ascent(
        self, noise: Noise, gradients: Noise, estimator: str = "path", weight: Scalar | float = 1.0
    ) -> Any:
        """Estimate the gradient of the ELBO in the distribution's own coordinates.

        Args:
            noise: Standard normal, shape (draws, size).
            gradients: Gradients of the target's log density at these draws, shape (draws, size).
            estimator: "path" omits the score of the distribution, so that the estimate has no
                variance if the distribution equals the target; "total" is the whole derivative.
            weight: What the entropy is multiplied by, while the divergence from the prior has a
                weight below one.
        """

    def find_slope(self, gradients: Noise, uphill: Any, added: Vector) -> Vector:
        """Return the mean gradient of the log density, in the coordinates of the noise.

        Args:
            gradients: At draws, shape (draws, size).
            uphill: What `ascent` made of them.
            added: What it has added to the mean gradient, shape (size,).
        """
        _, pull = jax.vjp(self.forward, jnp.zeros_like(added))
        return pull(gradients.mean(0))[0]

    @abstractmethod
    def limit(self, direction: Any, rate: Scalar | float) -> Any:
        """Scale a direction by the learning rate, and keep it within the trust region."""

    @abstractmethod
    def move(self, step: Any) -> Self:
        """Return the distribution after a step; one of zeros changes nothing but by rounding."""

    @abstractmethod
    def pack(self) -> Float[Array, "width"]:
        """Write the parameters as one vector."""

    def refresh(self, is_due: Bool[Array, ""]) -> "Distribution":
        """Recompute what steps only update, if it is due, so that rounding does not add up."""
        return self

    def densify(self, step: Any) -> Any:
        """Return an ascent as a pytree on whose entries any optimizer can act."""
        return step

    def match_or_move(self, is_matching: Bool[Array, ""], step: Any, uphill: Any) -> Self:
        """Return the distribution after a step; its scale may match the scores instead.

        Only for families with `has_matching`.

        Args:
            is_matching: Whether only the step's change of the mean is taken, and the scale matches
                the scores.
            step: The step.
            uphill: What `ascent` returned, with a weight of one.
        """
        raise NotImplementedError

    def log_density_of_noise(self, noise: Vector) -> Scalar:
        """Compute the log density, in nats, of the draw made from `noise`."""
        return log_standard_normal(noise) - self.log_det(noise)

    def mean_log_density(self, noise: Noise) -> Scalar:
        """Compute the mean log density, in nats, of the draws made from rows of noise."""
        # Over the rows first, which XLA adds as vectors.
        squares = (noise**2).mean(0).sum()
        normal = -0.5 * squares - 0.5 * noise.shape[1] * math.log(2 * math.pi)
        return normal - jax.vmap(self.log_det)(noise).mean()

    def log_density(self, position: Vector) -> Scalar:
        """Compute the log density, in nats, of a position."""
        return self.log_density_of_noise(self.inverse(position))

    def log_density_on_host(self, positions: np.ndarray) -> np.ndarray:
        """Compute log densities in double precision, in nats, shape (draws,).

        So the difference from another log density keeps its digits.

        Args:
            positions: Shape (draws, size).
        """
        with jax.enable_x64(True):
            wide = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), self)
            return np.asarray(_log_densities(wide, jnp.asarray(positions, jnp.float64)))


class Family(ABC):
    """Settings of a family, which is what users write; its instances are frozen dataclasses.

    Attributes:
        has_matching: Whether its distributions can match scores; see `match_or_move`.
        example: Settings with which the tests of the contract make it.
    """

    has_matching: ClassVar[bool] = False
    example: ClassVar[Mapping[str, Any]] = {}

    @property
    @abstractmethod
    def name(self) -> str:
        """What messages call the family."""

    @property
    def has_absolute_steps(self) -> bool:
        """Whether steps are in the units of the vector, not in those of the distribution."""
        return False

    @abstractmethod
    def begin(self, location: Vector, scale: Array | float) -> Distribution:
        """Make the distribution with which a fit begins; may be traced.

        Args:
            location: Means, shape (size,).
            scale: Standard deviations, shape () or (size,), or a square factor of the covariance,
                shape (size, size), whose part that the family has is used.
        """

    @abstractmethod
    def unpack(self, packed: Float[Array, "width"], size: int) -> Distribution:
        """Read a vector written by `Distribution.pack`, or the mean of several."""

    @abstractmethod
    def moments(self, packed: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return means and logarithms of standard deviations, on the host.

        Args:
            packed: Vectors written by `pack`, shape (rows, width).
            size: Length of the distributions' vectors.

        Returns:
            Two arrays of shape (rows, size).
        """

    @abstractmethod
    def count_numbers(self, size: int) -> int:
        """Return how many numbers describe a distribution of vectors of this length."""

    def count_steps(self, size: int) -> int:
        """Return how many steps are taken before the parameters are recorded.

        More than one if passing over the parameters costs as much as a step.
        """
        return 1

    def average(self, packed: np.ndarray, size: int) -> Distribution:
        """Average distributions, given by vectors of `pack`, shape (rows, width)."""
        return self.unpack(jnp.asarray(packed.mean(0)), size)

    def optimizer(self) -> optax.GradientTransformation:
        """Return the optimizer of its steps, without a learning rate."""
        return optax.scale_by_adam()

    def bind(self, sites: Mapping[str, slice], is_training: bool) -> "Family":
        """Return the family for a model, before anything is compiled.

        Args:
            sites: Where each site is in the flat vector.
            is_training: Whether it is fitted as networks are trained: by minibatches, and by
                gradients of whole draws.

        Raises:
            EngineError: The family does not fit the model.
        """
        return self


@jax.jit
def _log_densities(distribution: Distribution, positions: Array) -> Array:
    return jax.vmap(distribution.log_density)(positions)


def log_standard_normal(noise: Vector) -> Scalar:
    """Compute the log density of the standard normal distribution, in nats."""
    return -0.5 * (noise**2).sum() - 0.5 * noise.shape[0] * math.log(2 * math.pi)


def normal_log_density(positions: np.ndarray, mean: Any, scale: Any) -> np.ndarray:
    """Compute log densities of a normal distribution, in double precision on the host.

    Args:
        positions: Shape (draws, size).
        mean: Shape (size,).
        scale: Standard deviations, shape (size,), or a square factor of the covariance.
    """
    mean, scale = np.asarray(mean, np.float64), np.asarray(scale, np.float64)
    centered = np.asarray(positions, np.float64) - mean
    with np.errstate(all="ignore"):
        is_factor = scale.ndim == 2
        noise = np.linalg.solve(scale, centered.T).T if is_factor else centered / scale
        log_det = np.linalg.slogdet(scale)[1] if is_factor else np.log(scale).sum()
        return -0.5 * (noise**2).sum(-1) - log_det - 0.5 * len(mean) * math.log(2 * math.pi)


def diagonal_of(scale: Array | float, size: int, dtype: Any) -> Vector:
    """Return standard deviations from a number, from themselves, or from a square factor."""
    scale = jnp.asarray(scale, dtype)
    return jnp.linalg.norm(scale, axis=1) if scale.ndim == 2 else jnp.broadcast_to(scale, (size,))


def shorten(step: Array, radius: Scalar | float) -> Array:
    """Scale a step so that its norm does not exceed the radius; the norm itself may overflow."""
    peak, unit = split_peak(step)
    return radius / jnp.maximum(jnp.linalg.norm(unit), radius / peak) * unit


def shrink_product(left: Array, right: Array, radius: float) -> Scalar:
    """Return a factor for left with which the norm of left @ right is at most the radius.

    The norm of the product is at most the product of the norms, which costs less and is often below
    the radius; only otherwise is it computed. Squares of entries of left may overflow.

    Args:
        left: Shape (size, rank).
        right: Shape (rank, size).
        radius: The largest Frobenius norm allowed.

    Returns:
        A positive number; one if the product is short enough.
    """

    def compare() -> Scalar:
        peak, unit = split_peak(left)
        square = ((unit.T @ unit) * (right @ right.T)).sum(0).sum()
        return radius / peak / jnp.maximum(jnp.sqrt(jnp.maximum(square, 0)), radius / peak)

    most = sum_squares(left) * sum_squares(right)
    return jax.lax.cond(most > radius**2, compare, lambda: jnp.ones_like(most))


def split_peak(step: Array) -> tuple[Scalar, Array]:
    """Return the largest absolute entry, and the step divided by it; zeros are left as they are."""
    # Along one axis after the other: XLA's native code compares the numbers of one axis in turn.
    largest = jax.lax.optimization_barrier(jnp.abs(step).max(0))
    peak = jnp.maximum(largest.max(), jnp.finfo(step.dtype).tiny)
    return peak, step / peak
