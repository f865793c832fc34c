"""Formulas that several sets and maps share, each stable over the whole real line."""

import math
from itertools import accumulate

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

# Running sums of up to this many steps are unrolled.
UNROLLED_STEPS = 16


def softplus(y: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute log(1 + exp(y)) without overflow."""
    return jax.nn.softplus(y)


def inverse_softplus(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute log(exp(x) - 1) for x > 0."""
    # x + log(1 - exp(-x)) keeps its digits where log(exp(x) - 1) overflows.
    return x + jnp.log(-jnp.expm1(-x))


def log_softplus(y: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute log(log(1 + exp(y))), which tends to y where softplus(y) underflows."""
    vanishing = y < -15
    # Where the singular branch is not used it is evaluated at 0, so no gradient is NaN.
    return jnp.where(vanishing, y, jnp.log(softplus(jnp.where(vanishing, 0.0, y))))


def sum_to_zero(y: Float[Array, "... n"]) -> Float[Array, "... k"]:
    """Map n numbers isometrically onto the vectors of k = n + 1 numbers that sum to zero.

    z_i = y_i - s / (k + sqrt(k)) and z_k = -s / sqrt(k), with s the sum of y: the reflection of
    (y, 0) that maps the last coordinate axis to the constant vector. Leading axes are batch axes.

    Source: Householder (1958); PyMC's ZeroSumTransform.
    """
    k = y.shape[-1] + 1
    total = y.sum(-1, keepdims=True)
    return jnp.concatenate([y - total / (k + math.sqrt(k)), -total / math.sqrt(k)], -1)


def normalize_exponentials(
    z: Float[Array, "k"],
) -> tuple[Float[Array, "k"], Float[Array, "k"], Float[Array, ""]]:
    """Compute softmax(z), its logarithm and log sum exp(z), with one exponential per number."""
    # The result does not depend on what is subtracted, so no gradient need pass through it.
    largest = jax.lax.stop_gradient(z.max())
    exponentials = jnp.exp(z - largest)
    total = exponentials.sum()
    log_total = largest + jnp.log(total)
    return exponentials / total, z - log_total, log_total


def from_sum_to_zero(z: Float[Array, "... k"]) -> Float[Array, "... n"]:
    """Invert `sum_to_zero`; adding the same number to all z_i does not change the result.

    y_i = d_i - sum(d) / (k + sqrt(k)), with d_i = z_i - z_k.
    """
    k = z.shape[-1]
    differences = z[..., :-1] - z[..., -1:]
    return differences - differences.sum(-1, keepdims=True) / (k + math.sqrt(k))


def running_sums(first: Float[Array, ""], steps: Float[Array, "n"]) -> Float[Array, "k"]:
    """Compute first, first + step_1, first + step_1 + step_2, and so on: n + 1 sums."""
    count = steps.shape[0]
    if count > UNROLLED_STEPS:
        return jnp.cumsum(jnp.concatenate([first[None], steps]))
    # Compilers are slow at cumulative sums, and at the slices that unpacking an array produces.
    return jnp.stack(list(accumulate((steps[i] for i in range(count)), initial=first)))


def log_sech_squared(y: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute log(1 - tanh(y)^2) = 2 (log 2 - |y| - log(1 + exp(-2 |y|)))."""
    # Written with softplus, which is smooth at zero, where |y| is not.
    return math.log(4.0) - softplus(2 * y) - softplus(-2 * y)


def log_tanh_over(r: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute log(tanh(r) / r) for r >= 0, by its series near zero."""
    near = r < 0.02
    # Where the singular branch is not used it is evaluated at 1, so no gradient is NaN.
    away = jnp.where(near, 1.0, r)
    direct = jnp.log(jnp.tanh(away)) - jnp.log(away)
    square = r**2
    return jnp.where(near, -square / 3 + 7 * square**2 / 90, direct)


def direction(y: Float[Array, "n"]) -> tuple[Float[Array, "n"], Float[Array, ""]]:
    """Split y into its direction and the auxiliary log density of its length.

    The length r has the normalized density proportional to r^(2k - 1) exp(-r^2 / 2), with
    k = max(n / 2, 8). In 16 dimensions or more this is the length of a normal vector. In fewer
    it stays away from the origin, where a concentrated direction would make a funnel.

    Returns:
        Unit vector of shape (n,), and log density in nats with respect to r^(n-1) dr.
    """
    n = y.shape[0]
    # Scaled by the largest entry, so that no square overflows or underflows. The result does not
    # depend on the scale, so no gradient need pass through it.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(y)))
    scaled = y / largest
    square = (scaled**2).sum()
    shape = max(n / 2, 8.0)
    log_norm = (shape - 1) * math.log(2) + math.lgamma(shape)
    log_length = jnp.log(largest) + 0.5 * jnp.log(square)
    auxiliary = (2 * shape - n) * log_length - 0.5 * (y**2).sum() - log_norm
    return scaled / jnp.sqrt(square), auxiliary


def sum_tolerance(value: Num[Array, "..."], axis: int = -1) -> float:
    """Bound the relative error of a sum of rounded numbers along one axis.

    A sum of k numbers errs by about sqrt(k) units in the last place.
    """
    return 8 * math.sqrt(value.shape[axis]) * float(jnp.finfo(value.dtype).eps)


def is_positive_definite(matrix: Float[Array, "... k k"]) -> Bool[Array, "..."]:
    """Return whether matrices are symmetric, and positive definite by more than rounding errors.

    A computed Cholesky factor is the exact factor of a matrix whose entries differ by about k
    units in the last place of sqrt(a_ii a_jj). So the matrix is factorized with its diagonal
    lowered by that much: if this succeeds, the matrix itself is positive definite. The result
    does not depend on the scales of the rows.

    Source: Rump (2006), "Verification of positive definiteness"; Higham (2002), Theorem 10.7.
    """
    symmetric = jnp.all(matrix == jnp.swapaxes(matrix, -2, -1), (-2, -1))
    order = matrix.shape[-1]
    lowered = 1 - (order + 1) * jnp.finfo(matrix.dtype).eps * jnp.eye(order, dtype=matrix.dtype)
    return symmetric & jnp.isfinite(jnp.linalg.cholesky(matrix * lowered)).all((-2, -1))


def triangle_order(entries: int) -> int:
    """Return the order of the lower triangle with this many entries, diagonal included."""
    return (math.isqrt(8 * entries + 1) - 1) // 2


def fill_triangle(entries: Float[Array, "n"]) -> Float[Array, "k k"]:
    """Write entries into a lower triangle, diagonal included, by moving whole blocks.

    The layout is that of TFP's `fill_triangular`, which needs no scatter in either direction:
    compilers are slow at scatters.
    """
    order = triangle_order(entries.shape[0])
    square = jnp.concatenate([entries[order:], entries[::-1]]).reshape(order, order)
    return jnp.tril(square)


def triangle_entries(order: int) -> list[tuple[int, int]]:
    """List the row and column of each number in the layout of `fill_triangle`."""
    row, column = np.tril_indices(max(order, 0))
    positions = np.argsort(_triangle_layout(order))
    return list(zip(row[positions].tolist(), column[positions].tolist(), strict=True))


def read_triangle(matrix: Float[Array, "k k"]) -> Float[Array, "n"]:
    """Invert `fill_triangle`."""
    row, column = np.reshape(triangle_entries(matrix.shape[0]), (-1, 2)).astype(int).T
    return matrix[row, column]


def _triangle_layout(order: int) -> np.ndarray:
    """For each entry of a triangle, row by row, return which number `fill_triangle` puts there."""
    labels = np.arange(order * (order + 1) // 2)
    square = np.concatenate([labels[order:], labels[::-1]]).reshape(order, order)
    return square[np.tril_indices(order)]


def fill_below_diagonal(entries: Float[Array, "n"]) -> Float[Array, "k k"]:
    """Write entries below the diagonal; the order is one more than the number of filled rows."""
    if not entries.shape[0]:
        return jnp.zeros((1, 1), entries.dtype)
    return jnp.pad(fill_triangle(entries), ((1, 0), (0, 1)))


def read_below_diagonal(matrix: Float[Array, "k k"]) -> Float[Array, "n"]:
    """Invert `fill_below_diagonal`."""
    return read_triangle(matrix[1:, :-1])


def below_diagonal_entries(order: int) -> list[tuple[int, int]]:
    """List the row and column of each number in the layout of `fill_below_diagonal`."""
    return [(row + 1, column) for row, column in triangle_entries(order - 1)]
