"""The metric: a linear whitening of the position, learned from draws and scores."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..types import Vector
from .fisher_scale import fisher_scale
from .low_rank import find_principal_stretches
from .stretch import stretch


class Metric(eqx.Module):
    """The linear map position = L whitened, under which the target should look standard normal.

    Momenta are standard normal in the whitened space, so they remain valid under a new metric.
    """

    @abstractmethod
    def to_model(self, whitened: Vector) -> Vector:
        """Map a whitened displacement or momentum to model units: L whitened."""

    @abstractmethod
    def to_whitened(self, gradient: Vector, position: Vector) -> Vector:
        """Map a gradient at a position to the whitened space: L^T gradient."""

    def move(self, position: Vector, displacement: Vector) -> Vector:
        """Move by a displacement in model units; `Hierarchical` moves in other coordinates."""
        return position + displacement

    def log_volume(self, position: Any) -> Any:
        """Return the log-determinant of those coordinates at positions, if there are any."""
        return None

    @abstractmethod
    def learn(self, draws: np.ndarray, scores: np.ndarray) -> "Metric":
        """Learn a metric of the same kind, in float64 on the host.

        Args:
            draws: Shape (rows, size), with the leading axes of the metric.
            scores: Gradients of the log density at the draws, of the same shape.
        """

    @property
    @abstractmethod
    def rank(self) -> int:
        """Maximum number of directions to stretch."""

    @abstractmethod
    def whiten(self, draws: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map draws and scores, as in `learn`, to the whitened space, in float64."""


class Diagonal(Metric):
    """L = diag(scale): one scale for each coordinate.

    On the host, the arrays of a metric may have a leading axis of densities.
    """

    scale: Float[Array | np.ndarray, "*densities size"]

    def to_model(self, whitened: Vector) -> Vector:
        return jnp.asarray(self.scale) * whitened

    def to_whitened(self, gradient: Vector, position: Vector) -> Vector:
        return jnp.asarray(self.scale) * gradient

    def learn(self, draws: np.ndarray, scores: np.ndarray) -> "Diagonal":
        previous = np.asarray(self.scale, np.float64)
        return Diagonal(fisher_scale(draws, scores, previous).astype(self.scale.dtype))

    @property
    def rank(self) -> int:
        return 0

    def whiten(self, draws: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = np.asarray(self.scale, np.float64)[..., None, :]
        return draws / scale, scores * scale


class LowRank(Metric):
    """L = diag(scale) (I + U diag(stretch - 1) U^T): scales and a few stretched directions.

    Attributes:
        diagonal: The scales.
        directions: Orthonormal columns U, padded with zeros, shape (size, rank).
        excess: stretch - 1 for each direction, 0 for the padding, shape (rank,).
    """

    diagonal: Diagonal
    directions: Float[Array | np.ndarray, "*densities size rank"]
    excess: Float[Array | np.ndarray, "*densities rank"]

    def to_model(self, whitened: Vector) -> Vector:
        return self.diagonal.to_model(self._stretch(whitened))

    def to_whitened(self, gradient: Vector, position: Vector) -> Vector:
        return self._stretch(self.diagonal.to_whitened(gradient, position))

    def _stretch(self, vector: Vector) -> Vector:
        return stretch(vector, jnp.asarray(self.directions), jnp.asarray(self.excess))

    def learn(self, draws: np.ndarray, scores: np.ndarray) -> "LowRank":
        diagonal = self.diagonal.learn(draws, scores)
        found, stretch = find_principal_stretches(*diagonal.whiten(draws, scores), self.rank)
        dtype = self.excess.dtype
        return LowRank(diagonal, found.astype(dtype), (stretch - 1).astype(dtype))

    @property
    def rank(self) -> int:
        return self.excess.shape[-1]

    def whiten(self, draws: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        draws, scores = self.diagonal.whiten(draws, scores)
        excess = np.asarray(self.excess, np.float64)[..., None, :]
        directions = np.asarray(self.directions, np.float64)
        back = directions.swapaxes(-1, -2)
        shrunk = (draws @ directions) * (-excess / (1 + excess))
        stretched = (scores @ directions) * excess
        return draws + shrunk @ back, scores + stretched @ back


def guess_metric(gradients: Float[np.ndarray, "*densities chains size"], rank: int) -> Metric:
    """Guess scales from the gradients at the starts: variance 1 / |gradient|, median over chains.

    Args:
        gradients: Gradients of the log density at the starts of all chains.
        rank: Maximum number of directions to stretch later; 0 for a diagonal metric.

    Source: Seyboldt, Carlson & Carpenter (2026), arXiv 2603.18845, as nuts-rs starts.
    """
    # Near a mode the gradient is almost zero and says nothing about the scale.
    magnitude = np.clip(np.abs(gradients.astype(np.float64)), 1e-4, 1e10)
    diagonal = Diagonal(1 / np.sqrt(np.median(magnitude, -2)).astype(gradients.dtype))
    if not rank:
        return diagonal
    (*lead, _, size), dtype = gradients.shape, gradients.dtype
    return LowRank(diagonal, np.zeros((*lead, size, rank), dtype), np.zeros((*lead, rank), dtype))
