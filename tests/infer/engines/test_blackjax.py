"""Engines of BlackJAX reproduce known moments, and refuse models on which they cannot work.

Keys are fixed. A moment is compared within 5 Monte Carlo standard errors: for a dozen moments a
false alarm would, with random keys, come once in 100,000 runs. Samplers without a correction are
biased: they are compared with the moments of their discrete steps in closed form, or, for MCLMC,
within an additional 2 % of a standard deviation.
"""

import sys
from itertools import combinations

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.engines.base import CHAINS
from infer.engines.blackjax import ALGORITHMS
from infer.engines.blackjax.library import as_log_density
from infer.engines.blackjax.tempered import resample
from infer.target import Components

from .. import targets
from .found import chains_of, every_engine, is_wrapped
from .test_contract import Counted, prepare

# Settings for `targets.normal`, for every algorithm.
SETTINGS = {
    "adjusted_mclmc": {},
    "barker": {},
    "chees": {},
    "elliptical_slice": {},
    "mala": {},
    "mclmc": {"energy_variance": 1e-5},
    "nested_slice": {},
    "sghmc": {"step_size": 0.2, "friction": 0.5},
    "sgld": {"step_size": 0.1},
    "smc": {},
}
DRAWS = {"barker": 20_000, "elliptical_slice": 10_000, "mala": 10_000, "sgld": 10_000}
PRIOR_TO_POSTERIOR = {"smc", "nested_slice"}
EXACT = sorted(SETTINGS.keys() - {"mclmc", "sghmc", "sgld"})
PRECISION = np.linalg.inv(targets.COVARIANCE)


def drawn(name, model=None, draws=None, key=2, **options):
    engine = infer.BlackJAX(name, **SETTINGS[name])
    chains = {"chees": 16, "smc": 500, "nested_slice": 500}.get(name, 4)
    options = {"chains": chains, "key": key, "progress": False} | options
    model = targets.fitting(engine) if model is None else model
    return infer.start(model, engine, **options).advance(draws or DRAWS.get(name, 2000))


def z_scores(positions, mean, covariance, slack=0.0):
    """Return deviations of first and second moments, beyond `slack` sds, in standard errors."""
    x = positions - mean
    pairs = list(combinations(range(x.shape[-1]), 2)) + [(i, i) for i in range(x.shape[-1])]
    sds = np.sqrt(np.diag(covariance))
    series = [(x[..., i], 0.0, sds[i]) for i in range(x.shape[-1])]
    series += [(x[..., i] * x[..., j], covariance[i, j], sds[i] * sds[j]) for i, j in pairs]
    return np.array([_z_score(*one, slack) for one in series])


def _z_score(draws, mean, sd, slack):
    error = draws.std() / np.sqrt(az.ess(draws, method="mean"))
    return max(abs(draws.mean() - mean) - slack * sd, 0.0) / error


def test_every_algorithm_of_the_table_is_found_and_tested():
    found = {type(engine) for engine in every_engine() if is_wrapped(engine)}
    assert found == set(ALGORITHMS.values())
    assert ALGORITHMS.keys() == SETTINGS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*EXACT, "mclmc"])
def test_moments_of_a_normal(name):
    run = drawn(name, draws=50 if name in PRIOR_TO_POSTERIOR else None)
    positions = run.draws().positions
    slack = 0.02 if name == "mclmc" else 0.0
    assert z_scores(positions, targets.MEAN, targets.COVARIANCE, slack).max() < 5


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(EXACT) - {"elliptical_slice"} - PRIOR_TO_POSTERIOR))
def test_moments_on_constrained_sets(name):
    run = drawn(name, targets.constrained(), draws=8000 if name in DRAWS else 3000)
    values = infer.to_arviz(run)["posterior"]
    for site, means in targets.CONSTRAINED_MEANS.items():
        draws = np.asarray(values[site]).reshape(*values[site].shape[:2], -1)
        for i, mean in enumerate(means.reshape(-1)):
            assert _z_score(draws[..., i], mean, 0.0, 0.0) < 5


def test_sgld_has_the_covariance_of_its_own_steps():
    """For x - e A x + sqrt(2 e) noise it is the inverse of A - e A A / 2."""
    step = SETTINGS["sgld"]["step_size"]
    covariance = np.linalg.inv(PRECISION - 0.5 * step * PRECISION @ PRECISION)
    positions = drawn("sgld", draws=4000).draws().positions
    assert z_scores(positions, targets.MEAN, covariance).max() < 5
    assert z_scores(positions, targets.MEAN, targets.COVARIANCE).max() > 5


@pytest.mark.parametrize(("step", "friction"), [(0.2, 0.5), (0.15, 0.0)])
def test_sghmc_has_the_covariance_of_its_own_steps(step, friction):
    """It is found by iterating draws: ten linear steps after a new momentum."""
    engine = infer.BlackJAX("sghmc", step_size=step, friction=friction)
    one, size = np.eye(3), 3
    # The momentum is kicked from where the position was before the step.
    move = np.block([[one, step * one], [-step * PRECISION, (1 - friction * step) * one]])
    noise = np.zeros((6, 6))
    noise[size:, size:] = 2 * friction * step * one

    def steps(whole, count):
        for _ in range(count):
            whole = move @ whole @ move.T + noise
        return whole

    def refreshed(whole):
        return np.block([[whole[:3, :3], 0 * one], [0 * one, one]])

    whole = np.eye(6)
    for _ in range(500):
        whole = steps(refreshed(whole), 10)
    # A draw is where the last of its steps begins.
    covariance = steps(refreshed(whole), 9)[:3, :3]
    run = infer.start(targets.normal(), engine, key=2, progress=False).advance(4000)
    positions = run.draws().positions
    assert z_scores(positions, targets.MEAN, covariance).max() < 5
    assert z_scores(positions, targets.MEAN, targets.COVARIANCE).max() > 5


Y = np.random.default_rng(3).normal(1.0, 1.0, size=12)


def mean_of_rows(site, y, minibatch):
    mu = site("mu", dist.Normal(0.0, 1.0))
    with site.plate("row", y.shape[0], minibatch=minibatch) as rows:
        site.observe("y", dist.Normal(mu, 1.0), y[rows])


def test_sgld_on_minibatches_has_the_variance_that_their_noise_adds():
    """The gradient's variance is that of a sum without replacement: N^2 (1 - n / N) s^2 / n."""
    count, rows, step = len(Y), 3, 0.02
    model = infer.model(mean_of_rows, y=Y, minibatch=rows)
    engine = infer.BlackJAX("sgld", step_size=step)
    run = infer.start(model, engine, chains=4, key=1, progress=False).advance(4000)
    precision = 1 + count
    noise = count**2 * (1 - rows / count) * Y.var(ddof=1) / rows
    shrink = step * precision
    variance = (2 * step + step**2 * noise) / (2 * shrink - shrink**2)
    moments = np.array([Y.sum() / precision]), np.array([[variance]])
    assert z_scores(run.draws().positions, *moments).max() < 5
    whole = np.array([[2 * step / (2 * shrink - shrink**2)]])
    assert z_scores(run.draws().positions, moments[0], whole).max() > 5


@pytest.mark.parametrize("name", ["mclmc", "adjusted_mclmc", "chees", "smc", "elliptical_slice"])
def test_engines_without_minibatches_refuse_them_and_name_engines_that_take_them(name):
    model = infer.model(mean_of_rows, y=Y, minibatch=3)
    with pytest.raises(infer.EngineError, match="has a minibatch.*BlackJAX..sgld"):
        infer.start(model, infer.BlackJAX(name), chains=16)


def test_a_density_known_by_its_score_alone_is_sampled_by_sgld():
    model = infer.tree_model(
        {"x": np.zeros(3)},
        lambda tree: 0.0,
        {"x": infer.Leaf(prior=infer.ScorePrior(lambda x: -x, shape=(3,)))},
    )
    with pytest.raises(infer.EngineError, match="score alone.*BlackJAX..sgld"):
        infer.start(model, infer.BlackJAX("mclmc"))
    engine = infer.BlackJAX("sgld", step_size=0.05)
    run = infer.start(model, engine, chains=4, key=4, progress=False).advance(2000)
    covariance = np.eye(3) / (1 - 0.05 / 2)
    assert z_scores(run.draws().positions, np.zeros(3), covariance).max() < 5
    assert np.isnan(run.draws().stats["lp"]).all()


def test_mclmc_reaches_the_target_energy_error():
    run = drawn("mclmc", draws=500)
    asked = 3 * SETTINGS["mclmc"]["energy_variance"]
    assert 0.3 < run.draws().stats["energy_error"].mean() / asked < 3


def particles(draws, key=2):
    """Run SMC on the mean of rows, with several hundred particles."""
    model = infer.model(mean_of_rows, y=Y, minibatch=None)
    engine = infer.BlackJAX("smc")
    return infer.start(model, engine, chains=300, key=key, warmup=2, progress=False).advance(draws)


@pytest.mark.slow
def test_smc_finds_the_evidence():
    """Within 5 standard errors, of 0.06 as estimated from 30 keys."""
    stats = particles(draws=1).draws().stats
    predicted = dist.MultivariateNormal(np.zeros(len(Y)), np.eye(len(Y)) + 1.0)
    evidence = stats["log_marginal_likelihood"]
    assert np.ptp(evidence) == 0
    assert abs(evidence[0, 0] - predicted.log_prob(Y)) < 0.3
    assert (stats["stages"] > 1).all()


def nested(factor, key, chains=400, draws=1):
    """Run nested sampling on a standard normal `x` with a log likelihood `factor(x)`."""

    def one(site):
        site.factor("y", factor(site("x", dist.Normal(0, 1))))

    engine = infer.BlackJAX("nested_slice")
    run = infer.start(infer.model(one), engine, chains=chains, key=key, progress=False)
    return run.advance(draws)


@pytest.mark.slow
@pytest.mark.parametrize("key", [0, 1])
def test_nested_sampling_finds_evidence_and_posterior(key):
    """Likelihood N(2 | x, 0.1): evidence N(2 | 0, sqrt(1.01)), within 4 of its own errors."""
    run = nested(lambda x: dist.Normal(x, 0.1).log_prob(2.0), key)
    stats, x = run.draws().stats, run.draws().positions[:, 0, 0]
    error = stats["log_marginal_likelihood_error"][0, 0]
    # Skilling's error: the information, 3.77 nats here, over the number of live points.
    assert error == pytest.approx(np.sqrt(3.77 / 400), rel=0.1)
    exact = dist.Normal(0, np.sqrt(1.01)).log_prob(2.0)
    assert abs(stats["log_marginal_likelihood"][0, 0] - exact) < 4 * error
    assert abs(x.mean() - 2 / 1.01) < 4 * 0.1 / np.sqrt(len(np.unique(x)))
    assert x.std() == pytest.approx(0.0995, rel=0.2)


@pytest.mark.slow
def test_nested_sampling_counts_points_of_equal_likelihood():
    """Half the prior has likelihood 1, the other half 1 + x: evidence 1 + 1 / sqrt(2 pi)."""
    run = nested(lambda x: jnp.log1p(jnp.maximum(x, 0.0)), key=0, chains=1000)
    stats = run.draws().stats
    exact = np.log1p(1 / np.sqrt(2 * np.pi))
    error = stats["log_marginal_likelihood_error"][0, 0]
    assert abs(stats["log_marginal_likelihood"][0, 0] - exact) < 4 * error < 0.1


def test_a_plateau_takes_the_volume_of_its_points_from_the_prior():
    """In two stages as in one: the product of (1 - 1 / n) over n = 100 ... 71, in the log mean."""
    from infer.engines.blackjax.nested import Climb, weigh_shells

    zero = jnp.float64(0)
    start = Climb(zero, -jnp.inf, jnp.zeros(3), -jnp.inf, zero, jnp.eye(1), 0, 0, False)
    plateau = jnp.zeros(15)
    first = weigh_shells(plateau, 100, start)
    then = start._replace(log_volume=first.log_volume, contour=zero, uncounted=jnp.float64(15))
    second = weigh_shells(plateau, 100, then)
    whole = weigh_shells(jnp.zeros(30), 100, start)
    assert second.log_volume == pytest.approx(-np.sum(1 / np.arange(100, 70, -1)))
    np.testing.assert_allclose(
        np.concatenate([first.log_weights, second.log_weights]), whole.log_weights, rtol=1e-12
    )
    above = weigh_shells(plateau + 1, 100, then)
    assert above.log_volume - first.log_volume == pytest.approx(first.log_volume)


def test_particles_of_equal_weight_stay_and_others_are_resampled():
    """So at the posterior each draw of a chain continues from the one before."""
    key = jax.random.key(0)
    np.testing.assert_array_equal(resample(key, jnp.full(7, 1 / 7), 7), np.arange(7))
    counts = np.bincount(resample(key, jnp.array([0.5, 0.0, 0.25, 0.25]), 4), minlength=4)
    np.testing.assert_array_equal(counts, [2, 0, 1, 1])


@pytest.mark.slow
def test_the_stages_of_one_draw_use_different_random_numbers():
    engine = infer.BlackJAX("smc")
    tuning, state, order = prepare(engine)
    keys = jax.random.wrap_key_data(jnp.asarray(order.keys))
    tick = jax.jit(jax.vmap(engine.tick, in_axes=(0, None, None, 0), axis_name=CHAINS))
    later = state._replace(population=state.population._replace(stages=jnp.ones(16, jnp.int32)))
    first, second = (tick(keys, Counted(), tuning, own)[1].position for own in (state, later))
    assert (np.asarray(first) != np.asarray(second)).all()


@pytest.mark.slow
def test_smc_counts_the_steps_of_all_stages_of_a_draw():
    engine = infer.BlackJAX("smc")
    tuning, state, order = prepare(engine)
    keys = jax.random.wrap_key_data(jnp.asarray(order.keys))
    tick = jax.jit(jax.vmap(engine.tick, in_axes=(0, None, None, 0), axis_name=CHAINS))
    later = state._replace(steps=jnp.full(16, 100, jnp.int32))
    (_, first), (after, second) = (tick(keys, Counted(), tuning, own) for own in (state, later))
    np.testing.assert_array_equal(second.stats["n_steps"], first.stats["n_steps"] + 100)
    kept = np.where(second.complete, 0, second.stats["n_steps"])
    np.testing.assert_array_equal(after.steps, kept)


@pytest.mark.slow
def test_all_chains_of_chees_move_in_step():
    stats = drawn("chees", draws=20).draws().stats
    for name in ("n_steps", "step_size", "trajectory_length"):
        assert np.ptp(stats[name], axis=0).max() == 0
    assert np.ptp(stats["n_steps"], axis=1).max() > 0
    assert np.ptp(stats["step_size"], axis=1).max() == 0


def regression(x, y):
    slope = numpyro.sample("slope", dist.Normal(0.0, 2.0).expand([2]).to_event(1))
    noise = numpyro.sample("noise", dist.HalfNormal(1.0))
    numpyro.deterministic("double", 2 * noise)
    numpyro.sample("y", dist.Normal(x @ slope, noise), obs=y)


def test_a_model_of_numpyro_gives_the_same_variables_as_with_nuts():
    x = np.random.default_rng(5).normal(size=(20, 2))
    model = infer.from_numpyro(regression, x, x @ np.array([1.0, -1.0]))
    engine = infer.BlackJAX("adjusted_mclmc")
    result = infer.sample(model, engine, chains=2, draws=20, warmup=30, progress=False)
    sizes = {name: result["posterior"][name].shape for name in ("slope", "noise", "double")}
    assert sizes == {"slope": (2, 20, 2), "noise": (2, 20), "double": (2, 20)}
    assert set(result["observed_data"].data_vars) == {"y"}
    stats = {"lp", "acceptance_rate", "diverging", "n_steps", "step_size"}
    assert stats <= set(result["sample_stats"].data_vars)
    assert (np.asarray(result["posterior"]["noise"]) > 0).all()


def test_a_displaced_target_equals_the_target():
    target, origin, scale = Counted(), jnp.array([1.0, 2.0, -0.5]), jnp.array([0.5, 2.0, 1.0])
    moved = jnp.array([0.3, -0.2, 0.1])
    log_density = as_log_density(target, origin, scale)
    value, gradient = jax.value_and_grad(log_density)(moved)
    plain = lambda z: target.evaluate(origin + scale * z)[0]  # noqa: E731
    np.testing.assert_array_equal(value, plain(moved))
    np.testing.assert_allclose(gradient, jax.grad(plain)(moved), rtol=1e-12)


CLIFF = infer.declared(
    lambda v: jnp.where(v["x"][0] > 0, -(v["x"].sum() ** 2) - v["x"][0], jnp.nan),
    {"x": bj.Real(shape=(2,))},
)


@pytest.mark.parametrize("name", ["mclmc", pytest.param("adjusted_mclmc", marks=pytest.mark.slow)])
def test_chains_return_from_where_the_density_is_not_finite(name):
    engine = infer.BlackJAX(name, step_size=2.0)
    starts = {"x": np.array([0.5, 0.1])}
    run = infer.start(CLIFF, engine, chains=1, warmup=0, starts=starts, progress=False).advance(50)
    draws = run.draws()
    assert np.isfinite(draws.positions).all()
    assert (draws.positions[..., 0] > 0).all()
    assert draws.stats["diverging"].any()


def refusal(name, **settings):
    with pytest.raises(infer.EngineError) as caught:
        infer.BlackJAX(name, **settings)
    return str(caught.value)


def test_an_unknown_algorithm_is_refused_with_the_list_of_algorithms():
    message = refusal("mclmcc")
    assert all(repr(name) in message for name in ("mclmcc", *ALGORITHMS))


def test_an_unknown_setting_is_refused_with_the_list_of_settings():
    message = refusal("sgld", lr=0.1, step_size=0.1)
    assert all(word in message for word in ("BlackJAX('sgld')", "'lr'", "'step_size', 'steps'"))


def test_a_missing_setting_is_refused():
    assert "'step_size' has no default" in refusal("sghmc")


def test_a_missing_library_is_refused_with_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "blackjax", None)
    assert "pip install 'pushforward[blackjax]'" in refusal("mclmc")


@pytest.mark.parametrize("name", ["mclmc", "adjusted_mclmc"])
def test_microcanonical_samplers_refuse_one_coordinate(name):
    line = infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real()})
    with pytest.raises(infer.EngineError, match="one coordinate.*NUTS"):
        infer.start(line, infer.BlackJAX(name))


def test_populations_of_too_few_chains_are_refused():
    with pytest.raises(infer.EngineError, match="chains, and there are only 4"):
        infer.start(targets.parted(), infer.BlackJAX("smc"))
    with pytest.raises(infer.EngineError, match="only 4 for 3 coordinates"):
        infer.start(targets.parted(), infer.BlackJAX("nested_slice"))
    with pytest.raises(infer.EngineError, match="there is only one"):
        infer.start(targets.normal(), infer.BlackJAX("chees"), chains=1)


def test_smc_starts_at_the_prior_and_needs_one():
    engine = infer.BlackJAX("smc")
    with pytest.raises(infer.EngineError, match="'x' has a constraint and no prior"):
        infer.start(targets.normal(), engine, chains=16)
    with pytest.raises(infer.EngineError, match="begins with draws from the prior"):
        infer.start(targets.parted(), engine, chains=16, starts="uniform")


def test_elliptical_slices_need_a_normal_prior_or_a_given_normal():
    def scaled(site):
        site("a", dist.Normal(0.0, 1.0))
        site("b", dist.HalfNormal(1.0))

    with pytest.raises(infer.EngineError, match="'b' is not normal.*mean=.*adjusted_mclmc"):
        infer.start(infer.model(scaled), infer.BlackJAX("elliptical_slice"))
    with pytest.raises(infer.EngineError, match="one of mean and covariance"):
        infer.BlackJAX("elliptical_slice", mean=np.zeros(2))
    engine = infer.BlackJAX("elliptical_slice", mean=np.zeros(3), covariance=np.ones(3))
    with pytest.raises(infer.EngineError, match=r"shape \(3,\), but the flat vector has 2"):
        infer.start(infer.model(scaled), engine)


def test_a_slice_that_rounding_leaves_empty_ends_at_its_start():
    """Its level lies above the density everywhere, as rounding of a large density may cause."""
    engine = infer.BlackJAX("elliptical_slice", mean=np.zeros(3), covariance=np.ones(3))
    tuning = engine.first_tuning(Counted(), np.zeros((1, 3)), np.zeros((1, 3)))
    here = jnp.array([1.0, 2.0, 3.0])
    state = engine.init(here, Components(jnp.asarray(100.0), here, jnp.zeros(3)))
    after, _ = jax.jit(engine.tick)(jax.random.key(0), Counted(), tuning, state)
    np.testing.assert_array_equal(after.position, here)
    assert float(after.log_density) == 100.0


@pytest.mark.slow
def test_elliptical_slices_of_another_normal_reproduce_the_moments():
    engine = infer.BlackJAX("elliptical_slice", mean=np.zeros(3), covariance=np.full(3, 9.0))
    run = infer.start(targets.normal(), engine, key=6, progress=False).advance(10_000)
    assert z_scores(run.draws().positions, targets.MEAN, targets.COVARIANCE).max() < 5


@pytest.mark.slow
def test_each_data_set_is_a_population_of_its_own():
    models = [targets.normal(), targets.normal(mean=np.zeros(3))]
    engine = infer.BlackJAX("chees")
    both = infer.start(models, engine, chains=16, warmup=40, progress=False).advance(3).draws()
    alone = infer.start(models[0], engine, chains=16, warmup=40, progress=False).advance(3).draws()
    assert chains_of(engine, 4) == 16
    np.testing.assert_allclose(both.positions[:16], alone.positions, rtol=1e-6)


def test_each_data_set_has_the_normal_of_its_own_prior():
    def shifted(site, mean):
        site("x", dist.Normal(mean, 1.0), shape=(2,))

    models = [infer.model(shifted, mean=np.float64(mean)) for mean in (0.0, 5.0)]
    run = infer.start(models, infer.BlackJAX("elliptical_slice"), chains=1, progress=False)
    np.testing.assert_allclose(run.tuning.mean, [[0.0, 0.0], [5.0, 5.0]], atol=1e-12)
