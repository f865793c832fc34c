"""Data sets sampled into a store shard by shard have the draws of those sampled together."""

import warnings

import numpy as np
import pytest

import infer
from infer.errors import RunError
from infer.output.stored import shards

from .. import targets

# The last of three shards has one data set.
COUNT, SHARD = 5, 2
ENGINE = infer.HMC(trajectory_length=1.5, stop_early=False)
MEANS = np.random.default_rng(3).normal(size=(COUNT, *np.shape(targets.MEAN)))


def models(count=COUNT):
    return [targets.normal(mean=mean) for mean in MEANS[:count]]


def sample(store=None, **options):
    options = {"chains": 2, "warmup": 30, "draws": 100, "key": 4, "progress": False} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        return infer.sample(models(), ENGINE, store=store, **options)


def resume(where, given=None, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        return infer.resume(where, given or models(), progress=False, **options)


def assert_same(found, expected):
    for group in ("posterior", "sample_stats", "observed_data", "constant_data"):
        for name, values in (expected[group].variables if group in expected else {}).items():
            if "direction" not in values.dims:
                theirs = np.asarray(found[group].variables[name])
                np.testing.assert_array_equal(theirs, np.asarray(values), err_msg=str(name))
    assert found.attrs["verdict"] == expected.attrs["verdict"]
    for name in ("model_fingerprint", "key"):
        assert found.attrs[name] == expected.attrs[name]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "LIMIT", SHARD)
    monkeypatch.setattr(shards, "SHARD", SHARD)


@pytest.fixture(scope="module")
def straight():
    return sample()


def test_the_draws_are_those_of_all_data_sets_together(straight, tmp_path):
    where = str(tmp_path / "run.zarr")
    assert_same(sample(where), straight)
    assert_same(infer.open(where), straight)
    assert_same(resume(where), straight)


def test_a_call_that_was_stopped_goes_on_with_the_shards_that_are_missing(
    straight, tmp_path, monkeypatch
):
    where, made, sampled = str(tmp_path / "run.zarr"), [], shards._Sharded._sample

    def sample_until_stopped(self, begin):
        made.append(begin)
        if made == [0, 2]:
            raise KeyboardInterrupt
        return sampled(self, begin)

    monkeypatch.setattr(shards._Sharded, "_sample", sample_until_stopped)
    with pytest.raises(KeyboardInterrupt):
        sample(where)
    assert infer.open(where)["posterior"].sizes["dataset"] == SHARD
    with pytest.raises(RunError, match=r"run\.zarr: .* other values of mean\. Go on with"):
        resume(where, [targets.normal(mean=mean + 1) for mean in MEANS])
    assert_same(resume(where), straight)
    assert made == [0, 2, 2, 4]
    with pytest.raises(RunError, match="all draws"):
        resume(where, draws=10)


def test_an_error_numbers_models_among_all_of_them(tmp_path):
    given = [*models(3), targets.normal(mean=np.full(3, np.inf))]
    with pytest.raises(infer.StartError, match=r"models\[3\]"):
        infer.sample(given, ENGINE, chains=2, draws=4, store=str(tmp_path / "run.zarr"))


def test_a_store_of_other_versions_warns(tmp_path, monkeypatch):
    where = str(tmp_path / "run.zarr")
    with monkeypatch.context() as other:
        other.setattr(shards, "list_versions", lambda: {"jax": "0.0"})
        sample(where, draws=4, warmup=0)
    with pytest.warns(UserWarning, match=r"it was written with jax 0\.0"):
        resume(where)


def test_selected_sites_are_stored(tmp_path):
    stored = sample(str(tmp_path / "run.zarr"), keep=["x"], draws=4, warmup=0)
    assert list(stored["posterior"]) == ["x"]
