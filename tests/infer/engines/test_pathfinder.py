"""Pathfinder against the BFGS recursion, a normal posterior and one of two modes."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.numerics.path_normals import Pairs, add_pair, make_local_normal
from infer.output.fitted.mixture import draw_from_mixture

SIZE, PAIRS = 6, 4
PATHS = infer.Pathfinder(steps=40)


def walk(points):
    """A path on a quadratic loss, with its steps, changes and gradients."""
    rng = np.random.default_rng(1)
    root = rng.normal(size=(SIZE, SIZE))
    hessian = root @ root.T + np.eye(SIZE)
    path = rng.normal(size=(points + 1, SIZE))
    return np.diff(path, axis=0), np.diff(path, axis=0) @ hessian, path[-1], hessian @ path[-1]


def test_the_covariance_is_that_of_the_bfgs_recursion():
    steps, changes, position, gradient = walk(PAIRS + 2)
    pairs = Pairs(jnp.zeros((PAIRS, SIZE)), jnp.zeros((PAIRS, SIZE)), jnp.ones(SIZE))
    for count, (step, change) in enumerate(zip(steps, changes, strict=True), 1):
        pairs = add_pair(pairs, jnp.asarray(step), jnp.asarray(change))
        inverse = np.diag(pairs.diagonal)
        # Nocedal & Wright (2006), equation 6.17, over the pairs that are kept.
        kept = slice(max(0, count - PAIRS), count)
        for s, y in zip(steps[kept], changes[kept], strict=True):
            left = np.eye(SIZE) - np.outer(s, y) / (s @ y)
            inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
        normal = make_local_normal(pairs, jnp.asarray(position), jnp.asarray(-gradient))
        scale = np.asarray(normal.scale)
        np.testing.assert_allclose(scale @ scale.T, inverse, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(normal.mean, position - inverse @ gradient, rtol=1e-8)
        assert float(normal.log_det(jnp.zeros(SIZE))) == pytest.approx(
            0.5 * np.linalg.slogdet(inverse)[1], rel=1e-8
        )


def test_a_pair_along_which_the_loss_is_concave_is_left_out():
    rows = jnp.arange(1.0, 7.0).reshape(2, 3)
    pairs = Pairs(rows, rows, jnp.ones(3))
    step = jnp.ones(3)
    for change in (-step, jnp.full(3, jnp.nan)):
        kept = add_pair(pairs, step, change)
        assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), kept, pairs))


def log_density(values, data):
    """A correlated normal, two wells, or a plane, in two coordinates."""
    is_plane = data["kind"][2] > 0
    # So that a product with zero stays finite.
    first, second = jnp.where(is_plane, 0.0, values["x"])
    normal = -0.5 * (first**2 + (second - first) ** 2 / 0.01)
    wells = -0.5 * first**2 - 3.0 * (second**2 - 4.0) ** 2
    return data["kind"] @ jnp.stack([normal, wells, values["x"].sum()])


@pytest.fixture(scope="module")
def fits():
    model = lambda kind: infer.declared(  # noqa: E731
        log_density, {"x": bj.Real(shape=(2,))}, data={"kind": np.eye(3)[kind]}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.FitWarning)
        return infer.fit([model(kind) for kind in range(3)], PATHS, progress=False)


def test_a_normal_posterior_is_found_up_to_the_noise_of_its_elbo(fits):
    fit = fits[0]
    exact = np.array([[1.0, 1.0], [1.0, 1.01]])
    evidence = np.log(2 * np.pi) + 0.5 * np.linalg.slogdet(exact)[1]
    # Points are compared by 50 draws.
    assert evidence - 0.2 < fit.elbo < evidence + 0.05
    scale = np.asarray(fit.distribution.scale)
    np.testing.assert_allclose(scale @ scale.T, exact, rtol=0.4)
    assert fit.khat < 0.7
    assert "best of 4 paths by ELBO" in repr(fit)
    assert fit.n_gradients > 4 * 50


def test_draws_weighed_by_importance_follow_the_posterior(fits):
    drawn = fits[0].sample(4000, resample="psis")["posterior"]["x"]
    # A standard error is 1/63 for independent draws; weights make it somewhat larger.
    np.testing.assert_allclose(drawn.std(("chain", "draw")), [1.0, 1.005], atol=0.1)
    np.testing.assert_allclose(drawn.mean(("chain", "draw")), 0.0, atol=0.1)


def test_paths_to_another_mode_are_named(fits):
    found = [finding for finding in fits[1].findings if finding.kind == "other_modes"]
    assert len(found) == 1
    assert "x[1]" in found[0]
    assert np.abs(fits[1].distribution.mean[1]) == pytest.approx(2.0, abs=0.3)


def test_draws_are_resampled_from_all_paths(fits):
    # The best path ends in one of two wells of equal mass; the standard error is 1/126.
    drawn = np.asarray(fits[1].sample(4000, resample="psis")["posterior"]["x"])[0, :, 1]
    assert np.mean(drawn > 0) == pytest.approx(0.5, abs=0.1)
    assert np.std(np.abs(drawn)) == pytest.approx(0.1, rel=0.2)
    starts = fits[1].starts(chains=20)["x"][:, 1]
    assert 0 < np.sum(starts > 0) < 20


def test_the_density_of_a_mixture_is_the_mean_of_those_of_its_parts(fits):
    parts = fits[1].paths
    positions, logs = draw_from_mixture(parts, 10, 0)
    each = [np.exp(part.log_density_on_host(positions)) for part in parts]
    np.testing.assert_allclose(np.exp(logs), np.mean(each, 0), rtol=1e-12)
    assert positions.shape == (10, 2)
    nearest = np.argmax(each, 0)
    assert len(np.unique(nearest)) > 1


def test_the_number_of_paths_follows_the_starts(fits):
    model = fits[0].density.model
    fit = infer.fit(model, PATHS, starts={"x": np.ones(2)}, progress=False)
    assert "best of 1 path by ELBO" in repr(fit)


def test_a_density_that_grows_without_bound_is_reported(fits):
    assert not fits[2].converged
    assert [finding.kind for finding in fits[2].findings][0] == "unfinished_search"
