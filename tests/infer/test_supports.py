"""Maps work where those of other libraries are known to fail, and priors are recovered.

Keys are fixed. Moments are compared within 5 standard errors, a false alarm once in 100,000 runs.
"""

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer


@pytest.fixture
def _single_precision():
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)


@pytest.mark.usefixtures("_single_precision")
@pytest.mark.parametrize("order", [20, 50, 200])
def test_lkj_is_finite_where_chains_start_in_single_precision_at_any_order(order):
    d = infer.log_density(infer.model(lambda site: site("L", dist.LKJCholesky(order, 2.0))))
    evaluate = jax.jit(d.evaluate)
    for seed in range(3):
        position = np.random.default_rng(seed).uniform(-2.0, 2.0, d.size).astype(np.float32)
        value, gradient = evaluate(position)
        assert value.dtype == jnp.float32
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


@pytest.mark.slow
@pytest.mark.usefixtures("_single_precision")
def test_lkj_of_order_fifty_samples_its_prior_without_a_divergence():
    model = infer.model(lambda site: site("L", dist.LKJCholesky(50, 2.0)))
    idata = infer.sample(model, chains=2, draws=200, warmup=200)
    assert not idata["sample_stats"]["diverging"].any()
    # Each correlation is 2 b - 1, where b is beta with both shapes eta + (K - 2) / 2 = 26.
    second = np.asarray(idata["posterior"]["L"])[:, :, 1, 0]
    np.testing.assert_allclose(second.std(), np.sqrt(1 / 53), rtol=0.2)


def z_score(draws, mean):
    return (draws.mean() - mean) / (draws.std() / np.sqrt(az.ess(draws, method="mean")))


# Its density is tested with the maps; this takes 2 s.
@pytest.mark.slow
def test_lkj_sampling_recovers_its_prior():
    def pair(site):
        site("L", dist.LKJCholesky(3, 1.5))
        site("R", dist.LKJ(3, 1.5))

    idata = infer.sample(infer.model(pair), draws=1500, key=1)
    assert not idata["sample_stats"]["diverging"].any()
    factor = np.asarray(idata["posterior"]["L"])
    square = factor @ np.swapaxes(factor, -1, -2)
    # The variance of a correlation under LKJ(eta) of order K is 1 / (2 eta + K - 1).
    for matrix in (square, np.asarray(idata["posterior"]["R"])):
        for i, j in ((1, 0), (2, 0), (2, 1)):
            assert abs(z_score(matrix[..., i, j], 0.0)) < 5
            assert abs(z_score(matrix[..., i, j] ** 2, 1 / 5)) < 5


def test_a_mean_direction_at_pi_is_sampled_across_the_boundary():
    angles = np.random.default_rng(0).vonmises(np.pi, 4.0, size=60)

    def directions(site, angles):
        mean = site("mean", dist.VonMises(0.0, 0.01))
        site.observe("angles", dist.VonMises(mean, 4.0), angles)

    idata = infer.sample(infer.model(directions, angles=angles), draws=1000, key=2)
    mean = np.asarray(idata["posterior"]["mean"])
    exact = np.arctan2(np.sin(angles).sum(), np.cos(angles).sum())
    away = np.angle(np.exp(1j * (mean - exact)))
    assert abs(z_score(away, 0.0)) < 5
    assert (mean > 0).any()
    assert (mean < 0).any()
    assert not idata["sample_stats"]["diverging"].any()


def test_a_uniform_sphere_visits_every_orthant_equally():
    model = infer.declared(lambda v: jnp.zeros(()), {"x": bj.UnitVector(3)})
    x = np.asarray(infer.sample(model, draws=1000, key=3)["posterior"]["x"])
    np.testing.assert_allclose((x**2).sum(-1), 1.0, rtol=1e-12)
    for signs in np.ndindex(2, 2, 2):
        inside = ((x > 0) == np.array(signs, bool)).all(-1)
        assert abs(z_score(inside.astype(float), 1 / 8)) < 5


@pytest.mark.parametrize("space", ["constrained", "unconstrained"])
def test_a_redundant_coordinate_does_not_change_the_mode(space):
    """Without the Jacobian the vector's length is left out, and the mode is that of the angle."""
    model = infer.declared(lambda v: 3 * jnp.cos(v["x"] - 2.0), {"x": bj.Circular()})
    found = infer.maximize(model, infer.MAP(space, tolerance=1e-14), starts=4)
    np.testing.assert_allclose(found.values["x"], 2.0, atol=1e-6)


@pytest.mark.slow
def test_a_uniform_ball_and_a_zero_sum_normal_are_recovered():
    supports = {"ball": bj.Ball(3), "cross": bj.Ball(2, order=1), "zero": bj.ZeroSum(shape=(4,))}
    model = infer.declared(lambda v: -0.5 * (v["zero"] ** 2).sum(), supports)
    posterior = infer.sample(model, draws=1500, key=4)["posterior"]
    # E|x|^2 is n / (n + 2) in a ball; E|x_1| is 1 / (n + 1) in a cross-polytope.
    assert abs(z_score((np.asarray(posterior["ball"]) ** 2).sum(-1), 3 / 5)) < 5
    assert abs(z_score(np.abs(np.asarray(posterior["cross"])[..., 0]), 1 / 3)) < 5
    zero = np.asarray(posterior["zero"])
    np.testing.assert_allclose(zero.sum(-1), 0, atol=1e-12)
    assert abs(z_score(zero[..., 0] ** 2, 3 / 4)) < 5


@pytest.mark.usefixtures("_single_precision")
@pytest.mark.parametrize(
    ("constraint", "scale"),
    [
        (bj.Simplex(200), 30.0),
        (bj.CorrelationCholesky(shape=(50, 50)), 3.0),
    ],
    ids=["simplex", "correlation"],
)
def test_values_stay_in_their_set_far_out_in_single_precision(constraint, scale):
    shape = constraint.declared_shape
    bijector = bj.bijector_for(constraint)
    y = scale * np.random.default_rng(0).standard_normal(
        (200, *bijector.unconstrained_shape(shape))
    )
    images = jax.jit(jax.vmap(bijector.image))(y.astype(np.float32))
    assert np.isfinite(images.log_det).all()
    assert jax.jit(constraint.contains)(images.value).all()
