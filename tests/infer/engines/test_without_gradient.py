"""Engines that need no gradient reach known moments, on densities that have none.

Keys are fixed. Each moment is compared within 5 Monte Carlo standard errors: for two dozen
moments a false alarm would, with random keys, come once in 70,000 runs.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.engines.differential_evolution import _step_snooker
from infer.numerics.spread import learn_factor

from .. import targets
from .test_samplers import z_score

ENGINES = [infer.Slice(), infer.DEMetropolis(), infer.RandomWalk()]
# `DEMetropolis` shares all but its proposals with `RandomWalk`.
IN_TIME = [*ENGINES[:2], pytest.param(ENGINES[2], marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=IN_TIME, ids=lambda engine: type(engine).__name__)
def drawn(request):
    return infer.sample(targets.constrained().with_gradient(None), request.param, draws=1500, key=4)


def test_engines_without_gradients_reach_moments_on_constrained_sets(drawn):
    for name, means in targets.CONSTRAINED_MEANS.items():
        draws = np.asarray(drawn["posterior"][name])
        draws = draws.reshape(*draws.shape[:2], -1)
        for i, mean in enumerate(means.reshape(-1)):
            assert abs(z_score(draws[..., i], mean)) < 5
    # The variance of a gamma distribution of shape 3 and rate 3.
    rate = np.asarray(drawn["posterior"]["rate"])
    assert abs(z_score((rate - 1) ** 2, 1 / 3)) < 5


def test_engines_without_gradients_find_no_problem_in_an_easy_posterior(drawn):
    assert not infer.verdict(drawn).findings
    assert (drawn["sample_stats"]["n_steps"] >= 6).all()


def test_why_a_run_without_gradients_is_slow_speaks_of_log_densities(drawn):
    text = str(infer.why_slow(drawn))
    assert "log densities: " in text
    assert "evaluations per draw: " in text
    assert "gradient" not in text
    assert "leapfrog" not in text


@pytest.mark.parametrize("engine", [infer.Gibbs({"x": infer.Slice()}), infer.RandomWalk()])
def test_proposals_with_a_log_density_of_nan_are_counted_and_reported(engine):
    """Minus infinity is a rejection, and NaN a mistake."""

    def log_density(values, outside):
        return jnp.where(values["x"] > 0, -0.5 * values["x"] ** 2, jnp.log(outside))

    for outside in (-1.0, 0.0):
        model = infer.declared(log_density, {"x": bj.Real()}, data=outside, gradient=None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", infer.SamplingWarning)
            run = infer.sample(model, engine, draws=50, starts={"x": 1.0}, progress=False)
        kinds = [finding.kind for finding in infer.verdict(run).findings]
        (name,) = (n for n in run["sample_stats"] if n.startswith("n_nan"))
        is_nan = outside < 0
        assert ("undefined_log_density" in kinds) is is_nan
        assert bool((run["sample_stats"][name] > 0).any()) is is_nan


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: type(engine).__name__)
def test_engines_without_gradients_reach_the_moments_of_a_correlated_normal(engine):
    drawn = infer.sample(targets.normal(), engine, draws=4000, key=3)
    x = np.asarray(drawn["posterior"]["x"]) - targets.MEAN
    for i in range(3):
        assert abs(z_score(x[..., i], 0)) < 5
        for j in range(i + 1):
            assert abs(z_score(x[..., i] * x[..., j], targets.COVARIANCE[i, j])) < 5


def two_modes(values):
    near = lambda center: -0.5 * ((values["x"] - center) ** 2).sum()  # noqa: E731
    return jnp.logaddexp(near(4.0) + jnp.log(0.3), near(-4.0) + jnp.log(0.7))


@pytest.mark.slow
@pytest.mark.parametrize("engine", [infer.Slice(), infer.DEMetropolis()], ids=["Slice", "DE"])
def test_slices_and_differences_lead_from_mode_to_mode(engine):
    model = infer.declared(two_modes, {"x": bj.Real(shape=(2,))})
    x = np.asarray(infer.sample(model, engine, draws=4000, key=1)["posterior"]["x"])
    assert abs(z_score(1.0 * (x[..., 0] > 0), 0.3)) < 5


def on_the_host(x):
    return np.asarray(-0.5 * ((np.asarray(x) - 3.0) ** 2).sum(), x.dtype)


def test_a_function_of_the_host_is_sampled_without_its_derivative():
    def log_density(values):
        x = values["x"]
        like = jax.ShapeDtypeStruct((), x.dtype)
        return jax.pure_callback(on_the_host, like, x, vmap_method="sequential")

    model = infer.declared(log_density, {"x": bj.Real()})
    engine = infer.RandomWalk(steps=1)
    # The model does not say that it has no gradient, and the engine does not ask.
    run = infer.start(model, engine, chains=1, warmup=0, progress=False).advance(5)
    draws = run.draws()
    expected = -0.5 * (draws.positions[..., 0] - 3.0) ** 2
    np.testing.assert_allclose(draws.stats["lp"], expected, rtol=1e-12)


def root_by_newton(x):
    def body(carry):
        count, guess = carry
        return count + 1, 0.5 * (guess + x / guess)

    return jax.lax.while_loop(lambda carry: carry[0] < 8, body, (0, x))[1]


LOOPING = infer.declared(lambda v: -root_by_newton(v["x"]).sum(), {"x": bj.Positive(shape=(2,))})


def test_forward_mode_goes_through_a_while_loop():
    density = infer.log_density(LOOPING.with_gradient("forward"), jacobian=False)
    position = jnp.log(jnp.array([4.0, 9.0]))
    value, gradient = density.evaluate(position)
    np.testing.assert_allclose(value, -5.0, rtol=1e-9)
    # The derivative of sqrt(exp(q)) is half of it.
    np.testing.assert_allclose(gradient, [-1.0, -1.5], rtol=1e-9)


def test_reverse_mode_offers_forward_mode_where_it_cannot_go():
    with pytest.raises(infer.ModelError, match=r'with_gradient\("forward"\).*infer.Slice\(\)'):
        infer.log_density(LOOPING).evaluate(jnp.zeros(2))


def test_a_gradient_that_the_model_does_not_have_is_nan():
    density = infer.log_density(LOOPING.with_gradient(None))
    assert "gradient" not in density.offers
    value, gradient = density.evaluate(jnp.zeros(2))
    assert np.isfinite(value)
    assert np.isnan(gradient).all()


def test_forward_mode_is_kept_when_the_centering_is_learned():
    from infer.density.family import singleton
    from infer.density.recentered import Centering, recenter

    density = infer.log_density(LOOPING.with_gradient("forward"))
    assert recenter(singleton(density), Centering((), np.zeros(0))).shared.gradient == "forward"


def test_the_choice_without_a_gradient_is_slice_sampling():
    choice = infer.choose(LOOPING.with_gradient(None))
    assert choice.engine == infer.Slice()
    assert "no gradient" in str(choice)


def test_a_snooker_step_has_the_ratio_of_its_distances():
    rng = np.random.default_rng(0)
    position, pivot, difference = rng.normal(size=(3, 4))
    end, log_ratio = _step_snooker(
        jax.random.key(1), *map(jnp.asarray, (position, pivot, difference))
    )
    far, near = (np.linalg.norm(q - pivot) for q in (np.asarray(end), position))
    np.testing.assert_allclose(log_ratio, 3 * np.log(far / near), rtol=1e-10)
    # The step is on the line, by 1.2 to 2.2 times the projection of the difference.
    line = (position - pivot) / near
    moved = (np.asarray(end) - position) @ line
    np.testing.assert_allclose(np.asarray(end) - position, moved * line, atol=1e-12)
    assert 1.2 <= moved / (difference @ line) <= 2.2


def test_a_factor_is_learned_from_draws_and_keeps_the_scale_of_what_did_not_move():
    rng = np.random.default_rng(1)
    draws = rng.multivariate_normal([0.0, 1.0], [[4.0, 1.8], [1.8, 1.0]], size=(4, 5000))
    factor = learn_factor([draws], np.eye(2))
    np.testing.assert_allclose(factor @ factor.T, np.cov(draws.reshape(-1, 2).T), rtol=2e-3)
    stuck = learn_factor([0 * draws], 3 * np.eye(2))
    np.testing.assert_allclose(stuck, 3 * np.eye(2))
