"""A default run lets its metric vary if its draws call for it, and keeps it if that has paid."""

import pickle

import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.numerics import metric_choice
from infer.numerics.hierarchical import Hierarchical
from infer.numerics.metric import LowRank
from infer.output.data.metric import name_engine, name_metric
from infer.store.tuning import read_tuning

OPTIONS = {"chains": 4, "key": 1, "progress": False}


def log_density(values):
    v, z = values["v"], values["z"]
    return -0.5 * (v / 3) ** 2 - 4.5 * v - 0.5 * jnp.exp(-v) * (z**2).sum()


@pytest.fixture(scope="module")
def model():
    return infer.declared(log_density, {"v": bj.Real(), "z": bj.Real(shape=(9,))})


@pytest.fixture(scope="module")
def run(model):
    return infer.start(model, **OPTIONS).warm_up()


def test_a_funnel_gets_a_metric_that_varies(run):
    assert isinstance(run.tuning.metric, Hierarchical)
    assert run.warmup.planned < run.warmup.draws <= 2 * run.warmup.planned
    slopes, parents = run.tuning.metric.slopes, run.tuning.metric.parents
    np.testing.assert_allclose(slopes[1:].sum(1), 0.5, rtol=0.02)
    assert not parents.any()
    assert (
        name_metric(run)
        == "hierarchical: the scale of z[0], z[1], z[2], z[3], z[4] and 4 more follows v"
    )
    assert name_engine(run) == infer.NUTS(metric="hierarchical")


def test_its_state_goes_on_as_the_run_does(model, run):
    state = pickle.loads(pickle.dumps(run.state))
    twin = infer.start(model, run.engine, state=state, progress=False).advance(20)
    np.testing.assert_array_equal(twin.draws().positions, run.advance(20).draws().positions)


def test_a_metric_that_is_asked_for_stays(model):
    kept = infer.start(model, infer.NUTS(metric="euclidean"), **OPTIONS).warm_up()
    assert isinstance(kept.tuning.metric, LowRank)
    assert name_metric(kept) == "euclidean"


def test_a_metric_that_has_not_paid_is_given_up(model, monkeypatch):
    monkeypatch.setattr(metric_choice, "is_more_efficient", lambda *_: False)
    run = infer.start(model, **OPTIONS).warm_up()
    assert isinstance(run.tuning.metric, LowRank)
    assert run.warmup.draws > run.warmup.planned
    assert run.advance(5).fewest() == 5


@pytest.mark.parametrize(("needs", "pays"), [(True, True), (True, False), (False, True)])
def test_a_model_with_scales_for_single_entries_needs_one_program(
    monkeypatch, tmp_path, needs, pays
):
    def funnels(values):
        scale = jnp.exp(values["v"] / 2)
        prior = -0.5 * (values["v"] / 3) ** 2 - values["v"] / 2
        return (prior - 0.5 * (values["z"] / scale) ** 2).sum()

    monkeypatch.setattr(metric_choice, "needs_hierarchical_metric", lambda *_: needs)
    monkeypatch.setattr(metric_choice, "is_more_efficient", lambda *_: pays)
    sites = {"v": bj.Real(shape=(2,)), "z": bj.Real(shape=(2,))}
    model = infer.declared(funnels, sites)
    run = infer.start(model, **OPTIONS).warm_up()
    assert run.tuning.metric.is_constant is not (needs and pays)
    assert name_metric(run).startswith("hierarchical" if needs and pays else "euclidean")
    assert (run.warmup.draws > run.warmup.planned) is needs
    assert run.advance(5).fewest() == 5
    assert run.compilations <= 1
    if not needs:
        # What it has learned serves engines that know no other form of a constant metric.
        infer.save_tuning(file := tmp_path / "tuning.npz", run)
        engine = infer.NUTS(metric="euclidean")
        for tuning in (run.tuning, read_tuning(file, model, engine, 4)):
            other = infer.start(model, engine, tuning=tuning, **OPTIONS)
            assert isinstance(other.tuning.metric, LowRank)


def test_a_run_by_its_path_takes_no_metric_that_varies(model, run):
    """Its energies do not count the change of volume."""
    with pytest.raises(infer.RunError, match="takes any metric"):
        infer.start(model, infer.NUTS(energy="path"), tuning=run.tuning, **OPTIONS).advance(1)


@pytest.mark.slow
def test_a_given_metric_stays_if_its_windows_differ_in_length(run, monkeypatch):
    monkeypatch.setattr(metric_choice, "is_more_efficient", lambda *_: False)

    def wider(values):
        return log_density({"v": values["v"], "z": values["z"] / 100})

    other = infer.declared(wider, {"v": bj.Real(), "z": bj.Real(shape=(9,))})
    again = infer.start(other, tuning=run.tuning, **(OPTIONS | {"warmup": 30})).warm_up()
    assert isinstance(again.tuning.metric, Hierarchical)


@pytest.mark.slow
def test_it_is_stored_and_its_tuning_serves_other_runs(model, run, tmp_path):
    store = tmp_path / "run.zarr"
    result = infer.sample(model, draws=60, store=store, **OPTIONS)
    assert result.attrs["metric"].startswith("hierarchical: the scale of z[0]")
    more = infer.resume(store, model, infer.NUTS(), draws=40, progress=False)
    straight = infer.sample(model, draws=100, **OPTIONS)
    both = (np.asarray(own["posterior"]["v"]) for own in (more, straight))
    np.testing.assert_array_equal(next(both), next(both))
    infer.save_tuning(tmp_path / "tuning.npz", run)
    for tuning in (run.tuning, tmp_path / "tuning.npz", store):
        again = infer.sample(model, tuning=tuning, warmup=30, draws=20, **OPTIONS)
        assert again.attrs["metric"].startswith("hierarchical")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_the_horseshoe_of_the_peers_is_sampled_at_defaults(seed):
    from benchmarks.peers.in_jax import ours
    from benchmarks.peers.suite import SUITE
    from benchmarks.suite.__main__ import measure_quality

    found = measure_quality(ours(SUITE["horseshoe"])(seed, 1000))
    assert found["ess"] > 400
    assert found["rhat"] < 1.01
