"""Many data sets in one run: each has its own draws, tuning and diagnostics."""

from dataclasses import replace

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import infer
from infer.density import disagreement, points
from infer.density.disagreement import Recorded
from infer.density.family import make_family
from infer.errors import ModelError, RunError, StartError
from infer.numerics.model_keys import read_keys
from infer.output.data.members import constrain_each
from infer.output.data.values import constrain_all
from infer.programs import parts
from infer.run import turns
from infer.store.tuning import read_tuning
from tests.compilations import list_compilations

SETS, CHAINS, KEY = 5, 2, np.zeros(2, np.uint32)
# Far apart and with different spreads, so that no data set can use the tuning of another.
CENTERS = np.array([-100.0, -1.0, 0.0, 3.0, 1e4])
SPREADS = np.array([0.01, 1.0, 3.0, 10.0, 100.0])


def known_spread(site, center, spread, other):
    site.derive("other_total", other.sum())
    mean = site("mean", dist.Normal(center, spread), shape=(2,), dims="axis")
    site.derive("twice", 2 * mean)
    site.observe("zero", dist.Normal(0 * mean, 1.0), np.zeros(2), dims="axis")


@pytest.fixture(scope="module")
def models():
    first = infer.model(known_spread, center=0.0, spread=1.0, other=np.ones(3))
    pairs = zip(CENTERS, SPREADS, strict=True)
    return [first.with_data(center=c, spread=s, other=np.full(3, c)) for c, s in pairs]


def sample(models, draws=200, **options):
    options = {"chains": CHAINS, "warmup": 100, "key": 3, "progress": False} | options
    return infer.sample(models, infer.NUTS(), draws=draws, **options)


@pytest.fixture(scope="module")
def data(models):
    return sample(models)


def test_every_data_set_has_its_own_posterior(data):
    """Two normal means per data set, from 400 draws: ten comparisons at five standard errors.

    By the central limit theorem, with an effective size of at least 200, one seed in 10^5 fails.
    """
    found = data.posterior["mean"]
    assert found.dims == ("chain", "draw", "dataset", "axis")
    mean, spread = found.mean(("chain", "draw")), found.std(("chain", "draw"))
    error = 5 / np.sqrt(200)
    assert np.all(np.abs(mean - CENTERS[:, None]) < error * SPREADS[:, None])
    assert np.all(np.abs(spread / SPREADS[:, None] - 1) < error)
    np.testing.assert_allclose(data.posterior["twice"], 2 * found)


def test_the_first_data_set_is_sampled_as_if_it_were_alone(models):
    """Without early stopping, which would go on until the last data set has converged."""
    options = {"draws": 5, "chains": CHAINS, "warmup": 100, "key": 3, "progress": False}
    together, alone = (
        infer.sample(asked, infer.NUTS(stop_early=False), **options)
        for asked in (models, models[0])
    )
    theirs = together.posterior["mean"].sel(dataset=0)
    np.testing.assert_allclose(theirs, alone.posterior["mean"], rtol=1e-4)


def test_the_tuning_of_one_data_set_serves_all(models, tmp_path):
    """From an object or a file: each has the draws of a run of its own that begins with it."""
    engine = infer.NUTS(stop_early=False)
    options = {"chains": CHAINS, "warmup": 0, "progress": False}
    learned = infer.start(models[2], engine, chains=CHAINS, warmup=40, key=1, progress=False)
    learned.advance(1)
    infer.save_tuning(tmp_path / "tuning", learned)
    run = infer.start(models[1:3], engine, key=[7, 8], tuning=learned.tuning, **options).advance(5)
    own = infer.start(models[2], engine, key=8, tuning=learned.tuning, **options).advance(5)
    np.testing.assert_array_equal(run.draws().positions[CHAINS:], own.draws().positions)
    assert own.warmup.gradients == run.warmup.gradients == 0
    read = read_tuning(tmp_path / "tuning", models[1:3], engine, CHAINS)
    kinds = jax.tree.map(np.array_equal, read, learned.tuning)
    assert all(jax.tree.leaves(kinds))


def test_a_data_set_with_a_key_of_its_own_does_not_depend_on_others(models):
    """Bit for bit, without early stopping, which would go on until the last data set is done."""
    engine = infer.NUTS(stop_early=False)
    options = {"chains": CHAINS, "warmup": 40, "progress": False}
    together = infer.start(models, engine, key=[7, 8, 9, 10, 11], **options).advance(20)
    alone = infer.start(models[3], engine, key=10, **options).advance(20)
    theirs = together.draws().positions[3 * CHAINS : 4 * CHAINS]
    np.testing.assert_array_equal(theirs, alone.draws().positions)


def test_as_many_keys_as_models_are_asked_for(models):
    with pytest.raises(RunError, match="4 keys are given for 5 models"):
        infer.sample(models, key=range(4))
    keys = jax.random.split(jax.random.key(0), 3)
    np.testing.assert_array_equal(read_keys(keys, 3), jax.random.key_data(keys))
    np.testing.assert_array_equal(read_keys(jax.random.key_data(keys), 3), read_keys(keys, 3))
    np.testing.assert_array_equal(read_keys(np.arange(2), 2), read_keys(range(2), 2))
    np.testing.assert_array_equal(read_keys([5], 1), read_keys(5, 1))


def test_statistics_and_data_have_the_dimension_of_data_sets(data):
    assert data.sample_stats["diverging"].shape == (CHAINS, 200, SETS)
    assert len(np.unique(data.sample_stats["step_size"][0, -1])) > 1
    np.testing.assert_array_equal(data.constant_data["other"][:, 0], CENTERS)
    assert data.observed_data["zero"].shape == (SETS, 2)


def test_chains_of_several_data_sets_share_a_program(models, data):
    """One batch of all chains, as on an accelerator, agrees with one program per chain."""
    batched = sample(models, draws=4, group=SETS * CHAINS, warmup=0)
    apart = sample(models, draws=4, warmup=0)
    found, expected = batched.posterior["mean"], apart.posterior["mean"]
    np.testing.assert_allclose(found[:, :1], expected[:, :1], rtol=1e-4)


def test_chains_called_together_have_the_draws_of_chains_called_alone(models, monkeypatch):
    """Ten chains in calls of four, so that the last call has two and is filled up."""
    options = {"chains": CHAINS, "warmup": 20, "key": 5, "progress": False}
    alone = infer.start(models, infer.NUTS(), **options).advance(6)
    monkeypatch.setattr(turns, "CALLS", 1)
    together = infer.start(models, infer.NUTS(), threads=2, **options).advance(6)
    assert (alone.plan.turns, together.plan.turns) == (1, 4)
    np.testing.assert_array_equal(together.draws().positions, alone.draws().positions)
    assert together.executed == alone.executed
    assert together.warmup.gradients == alone.warmup.gradients


def test_a_new_program_is_compared_on_a_few_data_sets_only(models):
    family = make_family(models * 7, jacobian=True)
    lanes = np.arange(35.0 * CHAINS)[:, None]
    own, found = disagreement._take_few(family, Recorded(lanes, lanes[:, 0], lanes))
    assert own.count == 12
    np.testing.assert_array_equal(found.log_densities[:4], [0, 1, 3 * CHAINS, 3 * CHAINS + 1])
    for index in (0, 5, 11):
        np.testing.assert_array_equal(
            own.member(index).model.constants()["other"],
            family.member(3 * index).model.constants()["other"],
        )


def test_values_of_many_data_sets_are_those_of_each(models):
    """Of 35 rows each, so that parts of 64 rows are filled up."""
    family = make_family(models, jacobian=True)
    positions = np.random.default_rng(0).normal(size=(SETS, 5, 7, 2))
    found = constrain_each(family, positions)
    for index in range(SETS):
        alone = constrain_all(family.member(index), positions[index])
        assert found.keys() == alone.keys()
        for name, expected in alone.items():
            np.testing.assert_array_equal(found[name][index], expected)


def test_the_result_does_not_depend_on_how_many_data_sets_are_converted_at_a_time(
    models, data, monkeypatch
):
    monkeypatch.setattr(parts, "CACHED", 1)
    monkeypatch.setattr(parts, "MANY", 2)
    monkeypatch.setattr("infer.engines.together.CACHED", 1)
    found = sample(models)
    for group in ("posterior", "sample_stats"):
        xarray.testing.assert_identical(found[group], data[group])
    assert found.attrs["verdict"] == data.attrs["verdict"]


def test_a_run_of_several_data_sets_can_be_resumed(models):
    options = {"chains": CHAINS, "warmup": 20, "key": 5, "progress": False}
    straight = infer.start(models, infer.NUTS(), **options).advance(6).draws()
    state = infer.start(models, infer.NUTS(), **options).advance(2).state
    again = infer.start(models, infer.NUTS(), state=state, progress=False).advance(4).draws()
    np.testing.assert_array_equal(again.positions, straight.positions)


def test_further_data_sets_compile_nothing(models, data):
    compiled = list_compilations()
    sample(models[::-1])
    assert not compiled


def test_a_model_of_another_shape_is_refused(models):
    other = models[0].with_data(other=np.ones(4))
    with pytest.raises(ModelError, match=r"models\[1\].*with_data"):
        infer.sample([models[0], other])
    with pytest.raises(ModelError, match="there are none"):
        infer.sample([])


def test_a_data_set_without_a_start_is_named(models):
    bad = models[0].with_data(spread=np.inf)
    with pytest.raises(StartError, match=r"of models\[1\]"):
        infer.sample([models[0], bad], chains=1, progress=False)


def test_starts_are_evaluated_the_same_one_by_one(models):
    family = make_family(models[0], jacobian=True)
    positions = np.random.default_rng(0).normal(size=(points.CANDIDATES, 3, 2))
    alone = points.evaluate_attempts(replace(family, is_alone=True), KEY, positions)
    for one, other in zip(points.evaluate_attempts(family, KEY, positions), alone, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_starts_are_evaluated_the_same_in_slices_of_lanes(models, monkeypatch):
    family = make_family(models, jacobian=True)
    positions = np.random.default_rng(0).normal(size=(points.CANDIDATES, 2 * SETS, 2))
    whole = points.evaluate_attempts(family, KEY, positions)
    monkeypatch.setattr(points, "MAX_LANES", 4)
    for one, other in zip(whole, points.evaluate_attempts(family, KEY, positions), strict=True):
        np.testing.assert_array_equal(one, other)
