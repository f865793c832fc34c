"""NUTS with a hierarchical metric: the same posterior, resumed and stored bit for bit."""

import pickle
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2, kstest

import bijectors as bj
import infer
from infer.output.data.origin import find_run
from infer.output.remedy import advise_non_centered

NUTS = infer.NUTS(metric="hierarchical")
OPTIONS = {"chains": 4, "key": 1, "progress": False}


def log_density(values, data):
    v, z = values["v"], values["z"]
    return -0.5 * (v / 3) ** 2 - z.size * v / 2 - 0.5 * jnp.exp(-v) * ((z - data) ** 2).sum()


def funnel(data=0.0):
    supports = {"v": bj.Real(), "z": bj.Real(shape=(9,))}
    return infer.declared(log_density, supports, data=jnp.asarray(data))


@pytest.fixture(scope="module")
def result():
    return infer.sample(funnel(), NUTS, draws=1000, **OPTIONS)


@pytest.fixture(scope="module")
def run(result):
    return find_run(result)


def test_a_funnel_without_declared_structure_is_sampled(result):
    """With an ESS above 1500 one run in ten million is outside of these bounds by chance.

    They allow 5.3 standard errors. The probability of each tail is 0.02275.
    """
    v = result["posterior"]["v"].to_numpy()
    assert abs(v.mean()) < 5.3 * 3 / np.sqrt(1500)
    assert abs(np.log(v.std() / 3)) < 5.3 / np.sqrt(2 * 1500)
    for tail in ((v < -6).mean(), (v > 6).mean()):
        assert abs(tail - 0.02275) < 5.3 * np.sqrt(0.02275 / 1500)
    y = result["posterior"]["z"].to_numpy() * np.exp(-v / 2)[..., None]
    assert abs((y**2).mean() - 1) < 5.3 * np.sqrt(2 / (9 * 1500))
    stats = result["sample_stats"]
    assert stats["n_steps"].sum() + result.attrs["warmup_gradients"] < 60_000
    assert stats["diverging"].mean() < 0.002


def test_its_draws_and_statistics_are_those_of_the_density(run):
    density, draws = infer.log_density(funnel()), run.draws()
    lp, gradient = density.evaluate(jnp.asarray(draws.positions[1, 7]))
    np.testing.assert_allclose(draws.stats["lp"][1, 7], lp, rtol=1e-10)
    np.testing.assert_allclose(draws.gradients[1, 7], gradient, rtol=1e-10)
    metric = run.tuning.metric
    np.testing.assert_allclose(metric.slopes[1:, 0], 0.5, atol=0.05)


def test_the_result_says_what_depends_on_what(result):
    stats = result["sample_stats"].coords
    assert stats["metric_slopes"].dims == ("chain", "unconstrained", "parent")
    parents = stats["metric_parents"].to_numpy()
    assert not parents.any()
    np.testing.assert_allclose(stats["metric_slopes"][0, 1:, 0], 0.5, atol=0.05)
    assert stats["metric_offset"].dims == ("chain", "unconstrained")


def test_a_run_stopped_in_warm_up_goes_on_bit_for_bit(run):
    stopped = infer.start(funnel(), NUTS, **OPTIONS)

    def stop(run):
        if run.warmup.window == 3:
            raise KeyboardInterrupt

    stopped.after_block = stop
    with pytest.raises(KeyboardInterrupt):
        stopped.warm_up()
    state = pickle.loads(pickle.dumps(stopped.state))
    resumed = infer.start(funnel(), NUTS, state=state, progress=False).advance(100)
    np.testing.assert_array_equal(resumed.draws().positions, run.draws().positions[:, :100])


def test_a_stored_run_is_resumed_bit_for_bit(result, tmp_path):
    infer.sample(funnel(), NUTS, draws=60, store=tmp_path / "s.zarr", **OPTIONS)
    more = infer.resume(tmp_path / "s.zarr", funnel(), draws=40, progress=False)
    np.testing.assert_array_equal(
        more["posterior"]["z"], result["posterior"]["z"].isel(draw=slice(100))
    )
    tuned = infer.sample(funnel(), NUTS, draws=1, **OPTIONS, tuning=tmp_path / "s.zarr", warmup=0)
    ours, theirs = (find_run(own).tuning.metric for own in (tuned, result))
    np.testing.assert_array_equal(ours.slopes, theirs.slopes)


def test_the_euclidean_metric_refuses_its_tuning(run):
    with pytest.raises(infer.RunError, match="tuning"):
        infer.start(funnel(), infer.NUTS(metric="euclidean"), tuning=run.tuning, **OPTIONS)


@pytest.mark.slow
def test_each_of_several_data_sets_has_its_own_dependence():
    both = infer.sample([funnel(), funnel(5.0)], NUTS, draws=50, **OPTIONS)
    offset = both["sample_stats"].coords["metric_offset"][0, :, 1:]
    np.testing.assert_allclose(offset[0], 0, atol=0.02)
    np.testing.assert_allclose(offset[1], 5, atol=0.02)


@pytest.mark.slow
def test_a_transition_with_any_such_metric_keeps_the_distribution(run):
    """A thousand exact draws stay exact, under a metric that does not suit the density at all.

    Eleven Kolmogorov-Smirnov tests at 1e-6: one run in 90,000 fails by chance.
    """
    normal = infer.declared(lambda q: -0.5 * (q["x"] ** 2).sum(), {"x": bj.Real(shape=(10,))})
    rng = np.random.default_rng(1)
    metric = run.tuning.metric
    slopes, locations = rng.normal(size=(2, *metric.slopes.shape)) * 0.3
    slopes[:3], locations[:3] = 0, 0
    parents = rng.integers(0, 3, metric.parents.shape).astype(np.int32)
    flat = replace(metric.base, excess=np.zeros_like(metric.base.excess))
    metric = replace(metric, base=flat, parents=parents, slopes=slopes, locations=locations)
    tuning = replace(run.tuning, metric=metric, step_size=np.asarray(0.2))
    starts = rng.normal(size=(1000, 10))
    found = infer.start(
        normal,
        NUTS,
        chains=1000,
        starts={"x": starts},
        tuning=tuning,
        warmup=0,
        key=3,
        progress=False,
    ).advance(3)
    x = found.draws().positions[:, -1]
    assert np.abs(x - starts).mean() > 0.3
    for i in range(10):
        assert kstest(x[:, i], "norm").pvalue > 1e-6
    assert kstest((x**2).sum(1), chi2(10).cdf).pvalue > 1e-6


def test_too_many_coordinates_are_refused():
    wide = infer.declared(lambda q: -0.5 * (q["x"] ** 2).sum(), {"x": bj.Real(shape=(2001,))})
    with pytest.raises(infer.EngineError, match="there are 2001.*at most 2000"):
        infer.start(wide, NUTS, **OPTIONS)


def test_verdicts_propose_it_for_densities_without_priors():
    density = infer.log_density(funnel())
    assert 'NUTS(metric="hierarchical")' in advise_non_centered(density, infer.NUTS())
    for engine in (NUTS, infer.HMC(), infer.NUTS(energy="path"), None):
        assert not advise_non_centered(density, engine)


def test_an_unknown_metric_is_refused():
    with pytest.raises(infer.EngineError, match="metric is 'riemannian'.*hierarchical"):
        infer.NUTS(metric="riemannian")
    with pytest.raises(infer.EngineError, match='energy="value"'):
        infer.NUTS(metric="hierarchical", energy="path")
