"""A metric is a linear whitening, exact if learned from a normal's draws and scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.numerics.low_rank import LARGE, choose_rank, find_principal_stretches
from infer.numerics.metric import Diagonal, LowRank, guess_metric
from infer.numerics.retune import MAX_NUMBERS, pool_rows
from infer.numerics.stretch import stretch_at_once, stretch_by_blocks

SIZE = 6


def low_rank(rng):
    directions = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))[0][:, :3]
    padded = np.pad(directions, ((0, 0), (0, 2)))
    return LowRank(Diagonal(rng.uniform(0.5, 2, SIZE)), padded, np.array([1.0, -0.6, 3.0, 0, 0]))


def matrix(metric, size=SIZE):
    """Build the whitening as a matrix."""
    return np.asarray(jax.jit(jax.vmap(metric.to_model, out_axes=1))(np.eye(size)))


def normal_rows(rng, covariance, rows):
    """Draw from a normal target, and compute the scores."""
    mean = np.arange(len(covariance))
    # NumPy's own multivariate normal draws different numbers with a different LAPACK.
    draws = mean + rng.normal(size=(rows, len(mean))) @ np.linalg.cholesky(covariance).T
    return draws, -np.linalg.solve(covariance, (draws - mean).T).T


def covariance(rng, size):
    root = rng.normal(size=(size, size))
    scales = np.exp(rng.normal(size=size))
    return (root @ root.T / size + 0.01 * np.eye(size)) * np.outer(scales, scales)


@pytest.mark.parametrize("rank", [1, 5, 8, 20])
def test_stretching_by_blocks_equals_stretching_at_once(rank):
    rng = np.random.default_rng(rank)
    directions = jnp.asarray(np.linalg.qr(rng.normal(size=(30, 30)))[0][:, :rank])
    vector = jnp.asarray(rng.normal(size=30))
    both = jax.jit(lambda *own: (stretch_by_blocks(*own), stretch_at_once(*own)))
    for used in {0, 1, rank // 2, rank}:
        excess = np.where(np.arange(rank) < used, 2.0, 0.0)
        found, expected = both(vector, directions, excess)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_gradients_are_mapped_by_the_transpose():
    metric = low_rank(np.random.default_rng(0))
    transpose = jax.jit(jax.vmap(metric.to_whitened, (0, None)))(np.eye(SIZE), np.zeros(SIZE))
    np.testing.assert_allclose(matrix(metric), transpose, rtol=1e-12, atol=1e-12)


def test_only_the_chosen_directions_are_stretched():
    metric = low_rank(np.random.default_rng(0))
    bare = matrix(metric) / np.asarray(metric.diagonal.scale)[:, None]
    stretches = np.sort(np.linalg.eigvalsh(bare))
    np.testing.assert_allclose(stretches, [0.4, 1, 1, 1, 2, 4], rtol=1e-12)


@pytest.mark.parametrize("rows", [20, 500])
def test_a_normal_target_is_whitened_from_few_rows(rows):
    rng = np.random.default_rng(1)
    target = covariance(rng, SIZE)
    draws, scores = normal_rows(rng, target, rows)
    metric = guess_metric(scores, rank=SIZE).learn(draws, scores)
    inverse = np.linalg.inv(matrix(metric))
    ratios = np.linalg.eigvalsh(inverse @ target @ inverse.T)
    # Variances wrong by less than a factor of two are left unchanged.
    assert ratios.max() < 2 * (1 + 1e-3)
    assert ratios.min() > 0.5 * (1 - 1e-3)


def test_fewer_rows_than_coordinates_still_improve_the_condition_number():
    rng = np.random.default_rng(2)
    size, rows = 60, 25
    factor = np.linalg.qr(rng.normal(size=(size, 2)))[0]
    target = np.eye(size) + factor @ np.diag([99.0, 24.0]) @ factor.T
    draws, scores = normal_rows(rng, target, rows)
    metric = guess_metric(scores, rank=10).learn(draws, scores)
    inverse = np.linalg.inv(matrix(metric, size))
    assert np.linalg.cond(target) > 99
    assert np.linalg.cond(inverse @ target @ inverse.T) < 20


def test_nothing_is_stretched_for_a_standard_normal():
    rng = np.random.default_rng(3)
    draws, scores = normal_rows(rng, np.eye(40), 25)
    directions, stretch = find_principal_stretches(draws, scores, 10)
    np.testing.assert_array_equal(directions, np.zeros((40, 10)))
    np.testing.assert_array_equal(stretch, np.ones(10))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_ignored(bad):
    rng = np.random.default_rng(4)
    draws, scores = normal_rows(rng, covariance(rng, SIZE), 50)
    clean = find_principal_stretches(draws[1:], scores[1:], SIZE)
    scores[0, 0] = bad
    for found, wanted in zip(find_principal_stretches(draws, scores, SIZE), clean, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_nothing_is_stretched_if_squares_of_scores_overflow():
    rng = np.random.default_rng(4)
    draws, scores = normal_rows(rng, covariance(rng, SIZE), 50)
    scores[3] *= 1e200
    assert (find_principal_stretches(draws, scores, SIZE)[1] == 1).all()


def test_nothing_is_stretched_for_few_or_constant_rows():
    rng = np.random.default_rng(5)
    draws, scores = normal_rows(rng, np.eye(3), 5)
    assert (find_principal_stretches(draws, scores, 3)[1] == 1).all()
    still = np.zeros((50, 3))
    assert (find_principal_stretches(still, still, 3)[1] == 1).all()


@pytest.mark.parametrize(
    ("size", "rank"), [(1, 0), (10, 10), (400, 64), (1000, 32), (10**5, 32), (10**6, 0)]
)
def test_default_rank_is_smaller_for_large_targets(size, rank):
    assert choose_rank(size) == rank


def few_directions(rng, rows, standard_deviations):
    """Draw rows of a large normal with a few stretched directions, and their scores."""
    basis = np.linalg.qr(rng.normal(size=(LARGE + 100, len(standard_deviations))))[0]
    draws = rng.normal(size=(rows, LARGE + 100))
    draws += draws @ basis * (standard_deviations - 1) @ basis.T
    return draws, -draws + draws @ basis * (1 - standard_deviations**-2) @ basis.T, basis


def test_a_few_directions_of_a_large_normal_are_found_exactly():
    sds = np.array([20.0, 10.0, 0.1, 5.0])
    draws, scores, basis = few_directions(np.random.default_rng(6), 300, sds)
    directions, stretch = find_principal_stretches(draws, scores, 32)
    agreement = np.abs(directions[:, :4].T @ basis)
    np.testing.assert_allclose(agreement.max(1), 1, atol=1e-5)
    np.testing.assert_allclose(stretch[:4], sds[agreement.argmax(1)], rtol=1e-3)
    assert (stretch[4:] == 1).all()


def test_no_direction_of_a_broad_spectrum_is_stretched_in_a_large_normal():
    rng = np.random.default_rng(7)
    variances = np.geomspace(1 / 16, 16, LARGE + 100)
    draws = rng.normal(size=(300, len(variances))) * np.sqrt(variances)
    assert (find_principal_stretches(draws, -draws / variances, 32)[1] == 1).all()


def test_nothing_is_stretched_if_a_large_target_has_no_variance_or_too_much():
    rows = np.random.default_rng(8).normal(size=(50, LARGE + 1))
    for draws, scores in ((0 * rows, 0 * rows), (rows, 1e200 * rows), (rows, np.nan * rows)):
        assert (find_principal_stretches(draws, scores, 5)[1] == 1).all()


def test_rows_of_a_large_target_are_thinned(monkeypatch):
    monkeypatch.setattr("infer.numerics.retune.FEWEST_ROWS", 1)
    rows = np.broadcast_to(np.arange(9.0)[None, :, None], (2, 9, MAX_NUMBERS // 6))
    np.testing.assert_array_equal(pool_rows([rows])[:, 0], [0, 3, 6, 0, 3, 6])


def test_enough_rows_of_a_huge_target_are_kept(monkeypatch):
    monkeypatch.setattr("infer.numerics.retune.MAX_NUMBERS", LARGE + 1)
    rows = np.broadcast_to(np.arange(150.0)[:, None], (2, 150, LARGE + 1))
    assert len(pool_rows([rows, rows])) == 100
