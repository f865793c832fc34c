"""Inverses and square roots of small matrices, and of the identity plus a matrix of low rank."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import block_diag
from jaxtyping import Array, Bool, Float

from ..types import Scalar

# At most, which is enough for a condition number of 10^14: scaling halves its logarithm every
# iteration or better, and the last four are Newton's quadratic convergence. Scores of a fit take
# four or five.
ITERATIONS = 9
# Larger matrices are left to LAPACK, whose threads then spin: at 300 rows that is most of the work.
LARGEST_ELIMINATED = 400
# Rank up to which a product is added term by term, which spares writing and reading it. For 16
# columns and 1000 rows in single precision this takes 0.66 of the time, for 300 rows 0.6.
LARGEST_IN_ONE_PASS = 16

Square = Float[Array, "n n"]


def sum_squares(matrix: Float[Array, "rows columns"]) -> Scalar:
    """Sum the squares of a matrix, rows first, which XLA adds as vectors."""
    return (matrix**2).sum(0).sum()


def add_product(
    matrix: Float[Array, "rows columns"],
    left: Float[Array, "rows rank"],
    right: Float[Array, "rank columns"],
) -> Float[Array, "rows columns"]:
    """Compute matrix + left @ right, in one pass over the matrix if the rank is low."""
    rank = len(right)
    # In half precision each term would be rounded, and XLA adds the terms of a product in single.
    if rank > LARGEST_IN_ONE_PASS or matrix.dtype.itemsize < 4:
        return matrix + left @ right
    for k in range(rank):
        matrix = matrix + left[:, k : k + 1] * right[k]
    return matrix


class Inverse(NamedTuple):
    """The inverse of a matrix, and the logarithm of the determinant of the matrix."""

    matrix: Square
    log_det: Scalar


def invert_positive(matrix: Square) -> Inverse:
    """Invert a positive definite matrix by sweeps of two rows at a time.

    A sweep of one row takes as long, and Cholesky's loops take longer to compile.

    Source: Goodnight (1979), A tutorial on the SWEEP operator, section 3.
    """
    size, matrix = len(matrix), _pad_to_even(matrix)
    columns = jnp.arange(len(matrix))

    def sweep(turn: Array, swept: Inverse) -> Inverse:
        a, log_det = swept
        k = 2 * turn
        pair = jax.lax.dynamic_slice_in_dim(a, k, 2)
        (p, q), (_, r) = jax.lax.dynamic_slice_in_dim(pair, k, 2, axis=1)
        # Not by the determinant p r - q^2 and its adjugate, whose terms would cancel twice.
        ratio = q / p
        left = r - ratio * q
        # With minus the identity in place of the pivots, one formula holds for all entries.
        is_first, is_second = columns == k, columns == k + 1
        one = jnp.where(is_first, -1, jnp.where(is_second, 0, pair[0]))
        two = jnp.where(is_second, -1, jnp.where(is_first, 0, pair[1]))
        is_swept = is_first | is_second
        rest = jnp.where(is_swept[:, None] | is_swept, 0, a)
        second = (two - ratio * one) / left
        first = one / p - ratio * second
        rest = rest - jnp.outer(first, one) - jnp.outer(second, two)
        return Inverse(rest, log_det + jnp.log(p * left))

    begun = Inverse(matrix, jnp.zeros((), matrix.dtype))
    inverse, log_det = jax.lax.fori_loop(0, len(matrix) // 2, sweep, begun)
    return Inverse(-inverse[:size, :size], log_det)


def _pad_to_even(matrix: Square) -> Square:
    """Append a row and a column of the identity to a matrix with an odd number of rows."""
    return block_diag(matrix, jnp.eye(len(matrix) % 2, dtype=matrix.dtype))


def log_abs_det(matrix: Square) -> Scalar:
    """Compute the logarithm of the absolute determinant.

    Up to 400 rows this is a loop of Gaussian elimination, which has a native form; larger matrices
    are left to LAPACK.
    """
    size = matrix.shape[0]
    if size > LARGEST_ELIMINATED:
        return jnp.linalg.slogdet(matrix)[1].astype(matrix.dtype)
    rows = jnp.arange(size)

    def eliminate(k: Array, state: tuple[Square, Array, Scalar]) -> tuple[Square, Array, Scalar]:
        rest, is_left, log_det = state
        column = jnp.where(is_left, rest[:, k], 0)
        pivot = jnp.argmax(jnp.abs(column))
        is_left = is_left & (rows != pivot)
        factors = jnp.where(is_left, column / column[pivot], 0)
        log_det = log_det + jnp.log(jnp.abs(column[pivot]))
        return rest - jnp.outer(factors, rest[pivot]), is_left, log_det

    begun = matrix, jnp.full(size, True), jnp.zeros((), matrix.dtype)
    return jax.lax.fori_loop(0, size, eliminate, begun)[2]


def matrix_root(matrix: Square) -> Square:
    """Compute the square root of a positive definite matrix.

    The product form of Newton's iteration, scaled by determinants.
    Source: Higham (2008), Functions of Matrices, equation 6.29.
    """
    size, dtype = matrix.shape[0], matrix.dtype
    eye = jnp.eye(size, dtype=dtype)
    # An iteration divides the square of the distance of the product from the identity by four.
    near = jnp.sqrt(jnp.finfo(dtype).eps)

    def must_improve(state: tuple[Array, Square, Square, Array]) -> Bool[Array, ""]:
        turn, _, _, distance = state
        return (turn < ITERATIONS) & (distance > near)

    def improve(
        state: tuple[Array, Square, Square, Array],
    ) -> tuple[Array, Square, Square, Array]:
        turn, root, product, _ = state
        distance = jnp.abs(product - eye).max(0).max()
        inverse, log_det = invert_positive(product)
        square = jnp.exp(-log_det / size)
        halves = 0.5 * (square * product + inverse / square)
        scaled = 0.5 * jnp.sqrt(square) * (root + root @ inverse / square)
        return turn + 1, scaled, 0.5 * (eye + 0.5 * (halves + halves.T)), distance

    begun = jnp.int32(0), matrix, matrix, jnp.asarray(jnp.inf, dtype)
    _, root, _, _ = jax.lax.while_loop(must_improve, improve, begun)
    return 0.5 * (root + root.T)


class Root(NamedTuple):
    """F = I + sign * rows^T core rows, with F F^T = I + sign * rows^T rows.

    Attributes:
        core: Shape (rows, rows).
        log_det: Logarithm of the determinant of F.
    """

    core: Square
    log_det: Scalar


def root_of_identity_plus(gram: Square) -> Root:
    """Find the root of the identity plus or minus rows^T rows.

    With the Cholesky factor C of the Gram matrix, the core is X = (I + C)^-1, because then
    I - X = X C and (I - X) (I - X)^T = X C C^T X^T. One loop eliminates two columns at a time of
    the Gram matrix beside the identity, which becomes X.

    Args:
        gram: I + rows rows^T, or I - rows rows^T, which must be positive definite.
    """
    size, gram = len(gram), _pad_to_even(gram)
    even = len(gram)
    columns = jnp.arange(2 * even)
    is_gram = columns < even

    def eliminate(turn: Array, state: tuple[Array, Scalar]) -> tuple[Array, Scalar]:
        both, log_det = state
        k = 2 * turn
        pair = jax.lax.dynamic_slice_in_dim(both, k, 2)
        (p, q), (_, r) = jax.lax.dynamic_slice_in_dim(pair, k, 2, axis=1)
        first = jnp.sqrt(p)
        below = q / first
        second = jnp.sqrt(r - below * below)
        # Columns of C, then rows of X.
        one = jnp.where(columns >= k, pair[0], 0) / jnp.where(is_gram, first, 1 + first)
        rest = jnp.where(columns > k, pair[1] - below * one, 0)
        two = rest / jnp.where(is_gram, second, 1 + second)
        both = both - jnp.outer(one[:even], one) - jnp.outer(two[:even], two)
        return both, log_det + jnp.log(first * second)

    begun = jnp.concatenate([gram, jnp.eye(even, dtype=gram.dtype)], 1), jnp.zeros((), gram.dtype)
    both, log_det = jax.lax.fori_loop(0, even // 2, eliminate, begun)
    return Root(both[:size, even : even + size], log_det)


def exponential_slope(matrix: Square) -> Square:
    """Compute (e^M - I) M^-1 by its series, for a matrix of norm at most one half.

    With it, exp(U V) = I + U phi(V U) V for a matrix U V of low rank. Twelve terms take five
    products, and leave a remainder below 0.5^12 / 13! = 4e-14; in single precision nine terms take
    four, and leave 0.5^9 / 10! = 5e-10.

    Source: Paterson & Stockmeyer (1973), as Higham (2008), Functions of Matrices, section 4.2.
    """
    eye = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    square = matrix @ matrix
    cube = square @ matrix

    def add_terms(first: int) -> Square:
        one, two, three = (1 / math.factorial(k + 1) for k in range(first, first + 3))
        return one * eye + two * matrix + three * square

    last = 6 if matrix.dtype == jnp.float32 else 9
    found = add_terms(last)
    for first in reversed(range(0, last, 3)):
        found = add_terms(first) + cube @ found
    return found
