"""Functions of small matrices equal those of SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from infer.numerics.families.full_rank import FullRank
from infer.numerics.small_matrices import (
    LARGEST_IN_ONE_PASS,
    add_product,
    exponential_slope,
    invert_positive,
    matrix_root,
    root_of_identity_plus,
)


@pytest.mark.parametrize("rank", [1, LARGEST_IN_ONE_PASS, LARGEST_IN_ONE_PASS + 1])
def test_a_product_added_in_one_pass_is_that_of_numpy(rank):
    rng = np.random.default_rng(5)
    matrix, left, right = (rng.normal(size=shape) for shape in ((6, 4), (6, rank), (rank, 4)))
    found = jax.jit(add_product)(matrix, left, right)
    np.testing.assert_allclose(found, matrix + left @ right, rtol=0, atol=1e-13)


def test_the_slope_of_the_exponential_is_exact_within_the_trust_region():
    matrix = np.random.default_rng(0).normal(size=(5, 5))
    matrix *= 0.5 / np.linalg.norm(matrix)
    slope = jax.jit(exponential_slope)(matrix)
    np.testing.assert_allclose(slope @ matrix, expm(matrix) - np.eye(5), atol=1e-13)


@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_inverses_and_roots_are_exact_for_any_number_of_rows(size):
    """They eliminate two rows at a time."""
    rows = np.random.default_rng(3).normal(size=(size, 7))
    gram = np.eye(size) + rows @ rows.T
    inverse, root = jax.jit(lambda a: (invert_positive(a), root_of_identity_plus(a)))(gram)
    factor = np.eye(7) + rows.T @ root.core @ rows
    np.testing.assert_allclose(inverse.matrix, np.linalg.inv(gram), atol=1e-12)
    np.testing.assert_allclose(factor @ factor.T, np.eye(7) + rows.T @ rows, atol=1e-12)
    log_det = np.linalg.slogdet(gram)[1]
    np.testing.assert_allclose([inverse.log_det, 2 * root.log_det], log_det, rtol=1e-12)


@pytest.mark.parametrize("size", [2, 5, 16])
def test_single_precision_loses_no_more_digits_than_in_lapack(size):
    """At condition 10^4, even if two rows that are eliminated together are almost parallel."""
    basis = np.linalg.qr(np.random.default_rng(4).normal(size=(100, size, size)))[0]
    eye, wide = np.eye(size), (basis * np.geomspace(1, 1e4, size)) @ basis.swapaxes(1, 2)
    grams = jnp.asarray(wide, jnp.float32)
    found = [jax.jit(jax.vmap(own))(grams)[0] for own in (invert_positive, root_of_identity_plus)]
    lapack = [jnp.linalg.inv(a) for a in (grams, jnp.float32(eye) + jnp.linalg.cholesky(grams))]
    wide = np.asarray(grams, float)
    exact = [np.linalg.inv(a) for a in (wide, eye + np.linalg.cholesky(wide))]
    for right, *both in zip(exact, found, lapack, strict=True):
        errors = [np.linalg.norm(np.asarray(a, float) - right, axis=(1, 2)).max() for a in both]
        assert errors[0] < 2.5 * errors[1]


def test_a_root_is_exact_whatever_the_condition_of_its_matrix():
    """Its iteration ends by itself, early if the matrix is well conditioned."""
    rng, find = np.random.default_rng(2), jax.jit(matrix_root)
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    for digits in (0, 1, 8):
        matrix = (basis * 10.0 ** np.linspace(-digits, 1, 5)) @ basis.T
        root = find(jnp.asarray(matrix))
        np.testing.assert_allclose(root @ root, matrix, atol=1e-11)


def test_rows_of_noise_go_where_each_one_does():
    rng = np.random.default_rng(1)
    q = FullRank().begin(jnp.asarray(rng.normal(size=4)), jnp.asarray(rng.normal(size=(4, 4))))
    noise = rng.normal(size=(3, 4))
    expected = np.asarray(q.location) + noise @ np.asarray(q.scale).T
    np.testing.assert_allclose(
        jax.jit(lambda noise: q.forward_rows(noise))(noise), expected, rtol=1e-12
    )
