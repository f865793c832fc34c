"""How far and in which directions draws spread: a factor of their covariance, pooled over chains.

A factor is a lower triangular matrix of shape (size, size), or for long vectors the standard
deviations, shape (size,).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..types import Vector
from .blas import one_blas_thread
from .retune import pool_rows

# A longer vector gets standard deviations alone: a product with the matrix would cost more than
# many a log density, and the covariance would need thousands of draws.
LARGEST_MATRIX = 300
# Draws that count as one independent draw when the covariance is shrunk toward its diagonal.
DRAWS_PER_INDEPENDENT = 3


def first_factor(size: int, dtype: np.dtype) -> np.ndarray:
    """Return the factor before any draws: unit scales without correlation."""
    return np.eye(size, dtype=dtype) if size <= LARGEST_MATRIX else np.ones(size, dtype)


def scale_noise(factor: Array, noise: Vector) -> Vector:
    """Return noise with the covariance of the factor, if that of `noise` is the identity."""
    return factor @ noise if factor.ndim == 2 else factor * noise


def take_direction(factor: Array, index: Array) -> Vector:
    """Return one column of the factor."""
    if factor.ndim == 2:
        return jax.lax.dynamic_index_in_dim(factor, index, axis=1, keepdims=False)
    return jnp.where(jnp.arange(len(factor)) == index, factor, 0)


def learn_factor(windows: Sequence[np.ndarray], before: np.ndarray) -> np.ndarray:
    """Learn the factor from the draws of all chains around their common mean.

    The correlations are shrunk toward zero by the share of the size in size plus independent draws.

    Args:
        windows: Draws, each of shape (chains, draws, size).
        before: The present factor, which gives the scale of a coordinate that has not moved.
    """
    rows = pool_rows(windows).astype(np.float64)
    known = np.sqrt((before.astype(np.float64) ** 2).sum(-1)) if before.ndim == 2 else before
    sd = rows.std(axis=0)
    sd = np.where(np.isfinite(sd) & (sd > 0), sd, known)
    if before.ndim == 1:
        return sd.astype(before.dtype)
    unit = (rows - rows.mean(axis=0)) / sd
    independent = len(rows) / DRAWS_PER_INDEPENDENT
    with one_blas_thread():
        correlation = independent / (independent + rows.shape[1]) * (unit.T @ unit / len(rows))
        np.fill_diagonal(correlation, 1.0)
        return (sd[:, None] * np.linalg.cholesky(correlation)).astype(before.dtype)
