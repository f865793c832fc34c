"""Data sets sampled into a store shard by shard have the draws of those sampled together.

By this process, or by the workers of a Dask cluster.
"""

import dataclasses
import pickle
import sys
import threading
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.errors import RunError
from infer.output.stored import cluster, shard, shard_task, shards
from infer.output.stored.storing import open_new
from infer.programs import switch
from infer.store.files import LocalFiles

from .. import targets

# The last of three shards has one data set.
COUNT, SHARD = 5, 2
ENGINE = infer.HMC(trajectory_length=1.5, stop_early=False)
MEANS = np.random.default_rng(3).normal(size=(COUNT, *np.shape(targets.MEAN)))


def models(count=COUNT):
    return [targets.normal(mean=mean) for mean in MEANS[:count]]


def sample(store=None, given=None, **options):
    options = {"chains": 2, "warmup": 30, "draws": 100, "key": 4, "progress": False} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        return infer.sample(given or models(), ENGINE, store=store, **options)


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
    for name in ("model_fingerprint", "key", "warmup_gradients", "warmup_draws"):
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
    where, made, sampled = str(tmp_path / "run.zarr"), [], shards._Sharded._sample_here

    def sample_until_stopped(self, part):
        made.append(part.begin)
        if made == [0, 2]:
            raise KeyboardInterrupt
        return sampled(self, part)

    monkeypatch.setattr(shards._Sharded, "_sample_here", sample_until_stopped)
    with pytest.raises(KeyboardInterrupt):
        sample(where)
    assert infer.open(where)["posterior"].sizes["dataset"] == SHARD
    with pytest.raises(RunError, match=r"run\.zarr: .* other values of mean\. Go on with"):
        resume(where, [targets.normal(mean=mean + 1) for mean in MEANS])
    other = dataclasses.replace(ENGINE, target_acceptance=0.9)
    with pytest.raises(RunError, match=r"target_acceptance=0\.8, and target_acceptance=0\.9 is"):
        resume(where, engine=other)
    assert_same(resume(where, engine=ENGINE), straight)
    assert made == [0, 2, 2, 4]
    with pytest.raises(RunError, match="all draws"):
        resume(where, draws=10)


def test_a_call_that_was_killed_in_its_first_commit_leaves_its_path_free(tmp_path, monkeypatch):
    where, write = str(tmp_path / "run.zarr"), LocalFiles.write

    def write_all_but_the_record(self, *groups):
        write(self, *groups[:-1])
        raise OSError("killed")

    with monkeypatch.context() as killed:
        killed.setattr(LocalFiles, "write", write_all_but_the_record)
        with pytest.raises(OSError, match="killed"):
            sample(where, draws=4, warmup=0)
    assert (tmp_path / "run.zarr" / "run").exists()
    assert sample(where, draws=4, warmup=0)["posterior"].sizes["dataset"] == COUNT


def test_an_error_numbers_models_among_all_of_them(tmp_path):
    given = [*models(3), targets.normal(mean=np.full(3, np.inf))]
    with pytest.raises(infer.StartError, match=r"models\[3\]"):
        infer.sample(given, ENGINE, chains=2, draws=4, store=str(tmp_path / "run.zarr"))


@pytest.mark.slow
def test_an_explicit_hierarchical_metric_is_stored(tmp_path):
    engine, options = infer.NUTS(metric="hierarchical"), {"chains": 2, "draws": 4, "warmup": 30}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        found = infer.sample(models(3), engine, store=str(tmp_path / "run.zarr"), **options)
        expected = infer.sample(models(3), engine, **options)
    np.testing.assert_array_equal(found["posterior"]["x"], expected["posterior"]["x"])
    stats = found["sample_stats"], expected["sample_stats"]
    for name in ("metric_parents", "metric_slopes", "inverse_metric_scale"):
        np.testing.assert_array_equal(*(own[name] for own in stats), err_msg=name)


def test_a_store_of_other_versions_warns(tmp_path, monkeypatch):
    where = str(tmp_path / "run.zarr")
    with monkeypatch.context() as other:
        other.setattr(shards, "list_versions", lambda: {"jax": "0.0"})
        sample(where, draws=4, warmup=0)
    with monkeypatch.context() as other:
        other.setattr(shards, "Fingerprint", lambda program, data: None)
        match = r"another version .*\(unknown\): it has other parts .*TypeError.*Go on"
        with pytest.raises(RunError, match=match):
            resume(where)
    with pytest.warns(UserWarning, match=r"it was written with jax 0\.0"):
        resume(where)


def test_keys_are_stored_as_text_and_those_of_older_stores_are_read():
    keys = np.array([[0, 7], [2**32 - 1, 1]], np.uint32)
    for encoded in (shards._encode_keys(keys), keys.tolist()):
        np.testing.assert_array_equal(shards._decode_keys(encoded), keys)
        assert shards._decode_keys(encoded).dtype == np.uint32


def test_selected_sites_are_stored(tmp_path):
    stored = sample(str(tmp_path / "run.zarr"), keep=["x"], draws=4, warmup=0)
    assert list(stored["posterior"]) == ["x"]


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with (
        distributed.LocalCluster(processes=False, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_a_cluster_makes_the_draws_of_all_data_sets_together(client, straight, tmp_path):
    where = str(tmp_path / "run.zarr")
    assert_same(sample(where, client=client), straight)
    assert_same(resume(where, client=client), straight)
    assert not list((tmp_path / "run.zarr" / "run").glob("call-*"))


def test_a_cluster_goes_on_with_the_shards_that_are_missing(
    client, straight, tmp_path, monkeypatch
):
    where, sampled, made = str(tmp_path / "run.zarr"), shard_task.sample_shard, []

    def fail_for_the_last(job, part):
        made.append(part.begin)
        if part.begin == 4:
            raise MemoryError("no room")
        return sampled(job, part)

    with monkeypatch.context() as failing:
        failing.setattr(shard_task, "sample_shard", fail_for_the_last)
        with pytest.raises(RunError, match=r"data sets from 4 on failed \(MemoryError: no room\)"):
            sample(where, client=client, threads=2)
    # Dask repeated the task that failed.
    assert sorted(made) == [0, 2] + [4] * (1 + cluster.RETRIES)
    assert_same(resume(where, client=client, threads=2), straight)


def test_a_call_with_other_data_sends_the_same_job(client, tmp_path, monkeypatch):
    """Workers know what they have compiled by these bytes."""
    import cloudpickle

    pack = Mock(side_effect=RunError("here", "stopped", "Go on."))
    monkeypatch.setattr(cluster, "_pack", pack)
    for given in (models()[:4], models()[1:]):
        with pytest.raises(RunError, match="stopped"):
            sample(str(tmp_path / "run.zarr"), given, client=client)
    first, second = (cloudpickle.dumps(call.args[0]) for call in pack.call_args_list)
    assert first == second


def test_threads_of_a_worker_share_one_job(monkeypatch):
    monkeypatch.setattr(shard_task.pickle, "loads", lambda _: time.sleep(0.05) or object())
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(shard_task._load, [b"job of two threads"] * 2)
    assert first is second


def _tell_worker(_, part):
    from distributed import get_worker  # pyright: ignore[reportMissingImports]

    return shard_task.Reply(None, said=((get_worker().address, UserWarning),))


def test_shards_are_spread_evenly_over_workers(monkeypatch):
    """All tasks need the call, which one worker has; without hints, that one gets all of them."""
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    import dask  # pyright: ignore[reportMissingImports]

    monkeypatch.setattr(cluster, "run_shard", _tell_worker)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    parts = iter([shard.Part(begin, [], np.zeros((1, 2))) for begin in range(4)])
    with (
        dask.config.set({"distributed.scheduler.work-stealing": False}),
        distributed.LocalCluster(processes=False, **options) as local,
        distributed.Client(local) as client,
    ):
        tasks = cluster._Tasks(client, b"", "even", parts)
        replies = [reply for some in tasks for reply in some.values()]
    assert sorted(Counter(reply.said[0][0] for reply in replies).values()) == [2, 2]


def test_an_error_on_a_worker_is_that_of_the_call_and_leaves_no_store(client, tmp_path):
    where, given = str(tmp_path / "run.zarr"), models(4)
    given[1] = targets.normal(mean=np.full(3, np.inf))
    with pytest.raises(infer.StartError, match=r"models\[1\]"):
        sample(where, given, client=client, threads=2)
    assert open_new(where)


@pytest.mark.parametrize("is_native", [False, True])
def test_a_worker_follows_each_call_in_whether_programs_are_native(is_native, monkeypatch):
    """A worker that an earlier call turned the native form off in, or on, changes it."""
    monkeypatch.setattr(switch, "_chosen", [not is_native])
    monkeypatch.setattr(shard_task, "open_files", Mock(side_effect=OSError("read later")))
    call = Mock(settings={}, versions={}, is_native=is_native)
    with pytest.raises(OSError, match="read later"):
        shard_task._run(call, Mock())
    assert switch.is_native_allowed() is is_native


def test_a_worker_unpickles_arrays_in_the_precision_of_the_call(monkeypatch):
    """In single precision, JAX makes arrays of single precision of pickled doubles."""
    packed, seen = pickle.dumps(jnp.full(3, 0.1)), Mock(side_effect=OSError("seen"))
    monkeypatch.setattr(shard_task, "open_files", Mock())
    monkeypatch.setattr(shard_task, "sample_shard", seen)
    call = Mock(job=packed, settings={"jax_enable_x64": True}, versions={}, is_native=True)
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(OSError, match="seen"):
            shard_task._run(call, Mock())
    finally:
        jax.config.update("jax_enable_x64", True)
    np.testing.assert_array_equal(seen.call_args[0][0], np.full(3, 0.1))


def test_a_worker_of_other_versions_is_refused(client, tmp_path, monkeypatch):
    packages = shard_task.list_packages()
    monkeypatch.setattr(cluster, "list_packages", lambda: packages | {"jax": "0.0"})
    with pytest.raises(RunError, match=r"other versions than jax 0\.0 \(there "):
        sample(str(tmp_path / "run.zarr"), client=client)


def test_a_worker_that_does_not_see_the_store_is_refused(client, tmp_path, monkeypatch):
    elsewhere = shard_task.open_files(str(tmp_path / "elsewhere"))
    monkeypatch.setattr(shard_task, "open_files", lambda *_: elsewhere)
    with pytest.raises(RunError, match="does not see this store"):
        sample(str(tmp_path / "run.zarr"), client=client)


MISTAKES = {
    "store": ({"store": None}, "a cluster writes draws into a store, and none is given"),
    "until": ({"draws": None, "until": infer.Until(seconds=9)}, "until: it cannot be combined"),
    "thin": ({"thin": 2}, "thin: it cannot be combined with client="),
    "group": ({"group": 2}, "group: it cannot be combined with client="),
    "one model": ({"given": models(1)}, "a cluster shares out data sets, and there is one"),
    "client": ({"client": "tcp://localhost:8786"}, "it is a str. Give client=dask.distributed.Cl"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_explained_before_a_task_is_submitted(client, name, tmp_path, monkeypatch):
    options, message = MISTAKES[name]
    monkeypatch.setattr(client, "submit", Mock(side_effect=AssertionError))
    given = {"store": str(tmp_path / "run.zarr"), "client": client} | options
    with pytest.raises(RunError, match=message):
        sample(**given)


def test_a_closed_client_is_refused(client, tmp_path):
    other = type(client)(client.scheduler.address)
    other.close()
    with pytest.raises(RunError, match="client: it is closed, not running"):
        sample(str(tmp_path / "run.zarr"), client=other)


def test_a_model_that_cannot_be_pickled_is_refused(client, tmp_path, monkeypatch):
    lock = threading.Lock()

    def program(site, y):
        with lock:
            site.observe("y", dist.Normal(site("x", dist.Normal(0, 1)), 1), y)

    monkeypatch.setattr(client, "submit", Mock(side_effect=AssertionError))
    model, where = infer.model(program, y=0.0), str(tmp_path / "run.zarr")
    given = [model, model.with_data(y=1.0)]
    for _ in range(2):
        with pytest.raises(RunError, match=r"model: it cannot be sent .*lock"):
            sample(where, given, client=client)


def test_without_dask_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RunError, match=r'pip install "pushforward\[cluster\]"'):
        sample(str(tmp_path / "run.zarr"), client=object())
