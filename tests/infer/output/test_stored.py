"""A stored run goes on bit for bit from any instant, and is read while it is written."""

import os
import re
import shutil
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import numpy as np
import optax
import pytest
import xarray

import bijectors as bj
import infer
from infer.output.data import recorded
from infer.output.data.origin import find_run
from infer.output.data.provenance import list_versions
from infer.output.stored.samplers import refuse_other_settings
from infer.run import collect
from infer.store import nested, recorder
from infer.store.commits import is_record, read_record, recover
from infer.store.engines import describe_engine
from infer.store.files import open_files

from .. import targets
from ..store.logged import Changes, put

DRAWS = 45


def model(**moments):
    return targets.normal(**moments)


def sample(store=None, **options):
    settings = {"chains": 2, "warmup": 40, "draws": DRAWS, "key": 5, "progress": False}
    given = {} if store is None else {"store": store, "commit_seconds": 0.0}
    return infer.sample(model(), infer.HMC(), **settings | given | options)


def values(data, thin=1):
    groups = [data["posterior"], data["sample_stats"]]
    arrays = {name: group[name] for group in groups for name in group.data_vars}
    kept = {"draw": slice(None, None, thin)}
    return {n: np.asarray(a.isel(kept) if "draw" in a.dims else a) for n, a in arrays.items()}


def same(one, other, thin=1):
    one, other = values(one), values(other, thin)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.fixture(scope="module")
def straight():
    """The run in memory."""
    return sample()


@pytest.fixture(scope="module")
def commit_often():
    """Let each block have one tick, each commit follow at once, and a chunk hold 16 draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "LARGEST_SHARE", np.inf)
        patch.setattr(recorder, "choose_chunk", lambda *given: 16)
        patch.setattr(collect, "BLOCK_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module")
def stored(tmp_path_factory, commit_often):
    """A stored run, its path, and every change of its files."""
    where = str(tmp_path_factory.mktemp("stored") / "run.zarr")
    with pytest.MonkeyPatch.context() as patch:
        log = Changes(patch)
        data = sample(where)
    return data, where, log


def test_a_stored_run_has_the_draws_of_one_in_memory(stored, straight):
    data, where, _ = stored
    same(data, straight)
    same(infer.open(where), straight)
    assert "".join(infer.open(where).attrs["verdict"].split()) == ""


def test_plain_xarray_reads_the_groups(stored, straight):
    with xarray.open_datatree(stored[1], engine="zarr") as tree:
        assert {"posterior", "sample_stats", "constant_data"} <= set(tree.children)
        np.testing.assert_array_equal(tree["posterior/x"], straight["posterior"]["x"])
        np.testing.assert_array_equal(tree["constant_data/mean"], targets.MEAN)


@pytest.mark.parametrize("share", [0.0, 0.35, 0.6, 0.8, 0.95])
def test_a_run_killed_at_any_instant_goes_on_bit_for_bit(stored, straight, tmp_path, share):
    """A share of all changes of files were made; in warm-up, in sampling and between commits."""
    log = stored[2].made
    first = [key for key, _ in log].index("run/0.json") + 1
    count = first + int(share * (len(log) - first))
    where = put(tmp_path / "run.zarr", stored[2].as_of(count))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(infer.resume(where, model(), threads=1, progress=False), straight)
    whole = stored[2].as_of(len(log))
    for key in (key for key in whole if "/c/" in key):
        assert (tmp_path / "run.zarr" / key).read_bytes() == whole[key], key


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_run_goes_on_bit_for_bit_on_any_number_of_threads(stored, straight, tmp_path, threads):
    where = put(tmp_path / "run.zarr", stored[2].as_of(len(stored[2].made) // 2))
    data = infer.resume(where, model(), threads=threads, progress=False)
    assert find_run(data).plan.threads == min(threads, 2)
    same(data, straight)


def test_a_finished_run_can_be_given_more_draws(stored, tmp_path):
    where = str(shutil.copytree(stored[1], tmp_path / "run.zarr"))
    more = infer.resume(where, model(), draws=30, progress=False)
    same(more, sample(draws=DRAWS + 30))
    assert infer.open(where)["posterior"].sizes["draw"] == DRAWS + 30


def test_a_damaged_chunk_is_named_and_its_draws_are_made_again(stored, straight, tmp_path):
    where = shutil.copytree(stored[1], tmp_path / "run.zarr")
    path = where / "posterior/x/c/0/1/0"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(UserWarning, match="damaged or missing: posterior/x/c/0/1/0"):
        same(infer.resume(str(where), model(), progress=False), straight)


def test_records_that_are_stored_leave_the_memory(stored):
    """Of 45 draws in chunks of 16, the first 32 are in whole chunks."""
    groups = find_run(stored[0]).groups
    assert all(group.dropped == 32 for group in groups)
    assert all(sum(map(len, own)) == DRAWS - 32 for group in groups for own in group.rows)


REFUSED = [
    (lambda: model(mean=targets.MEAN + 1), "other values of mean"),
    (lambda: infer.declared(lambda v: -v["x"] @ v["x"], {"x": bj.Real(shape=(3,))}), "other"),
    (lambda: infer.declared(lambda v: -v["x"] @ v["x"], {"x": bj.Positive(shape=(4,))}), r"x\[3\]"),
]


@pytest.mark.parametrize(("other", "found"), REFUSED, ids=["data", "program", "sites"])
def test_another_model_or_other_data_are_refused_by_name(stored, other, found):
    with pytest.raises(infer.RunError, match=found):
        infer.resume(stored[1], other())


def test_a_single_run_takes_no_cluster(stored):
    with pytest.raises(infer.RunError, match="client: the store has no data sets"):
        infer.resume(stored[1], model(), client=object())


def test_another_engine_is_refused_by_name(stored):
    with pytest.raises(infer.RunError, match="HMC"):
        infer.resume(stored[1], model(), infer.NUTS())


def test_another_setting_is_refused_even_if_only_warmup_uses_it(stored):
    with pytest.raises(infer.RunError, match="=0.8, and target_acceptance=0.9 is.*Leave the eng"):
        infer.resume(stored[1], model(), infer.HMC(target_acceptance=0.9))


def test_only_the_stored_settings_of_an_engine_are_compared():
    """An optimizer is a Python object, of which a store knows nothing."""
    described = describe_engine(infer.MAP("unconstrained", optax.adam(0.1), max_steps=9))
    same_steps, others = (infer.MAP("unconstrained", optax.adam(0.2), max_steps=n) for n in (9, 8))
    refuse_other_settings("run.zarr", described, same_steps)
    with pytest.raises(infer.RunError, match="max_steps=9, and max_steps=8 is.*Give the engine of"):
        refuse_other_settings("run.zarr", described, others)


def test_other_versions_are_told(stored, tmp_path, monkeypatch):
    where = str(shutil.copytree(stored[1], tmp_path / "run.zarr"))
    monkeypatch.setattr("infer.output.data.provenance.platform.python_version", lambda: "3.99")
    with pytest.warns(UserWarning, match=r"written with python .* \(here 3.99\)"):
        infer.resume(where, model(), progress=False)


def resume_other_state(where, monkeypatch, change):
    """Resume a store whose arrays and numbers of the state are changed when they are read."""
    monkeypatch.setattr("infer.output.stored.run.decode", lambda data: change(*nested.decode(data)))
    with pytest.raises(infer.RunError) as caught:
        infer.resume(where, model(), progress=False)
    return str(caught.value)


def without(missing):
    def change(arrays, numbers):
        left = {name: a for name, a in arrays.items() if not name.startswith(missing)}
        return left, {name: number for name, number in numbers.items() if name != missing}

    return change


@pytest.mark.parametrize("missing", ["tuning", "moves"])
def test_a_state_that_another_version_stored_is_refused(stored, monkeypatch, missing):
    here = list_versions() | {"pushforward": "99.0"}
    monkeypatch.setattr("infer.output.stored.run.list_versions", lambda: here)
    said = resume_other_state(stored[1], monkeypatch, without(missing))
    found = rf"run\.zarr: another version .* wrote it \(0.*\): .*{missing}.*infer\.open\(store\)"
    assert re.search(found, said), said


def test_a_state_that_this_version_stored_is_not_taken_for_one_of_another(stored, monkeypatch):
    said = resume_other_state(stored[1], monkeypatch, without("moves"))
    assert "KeyError('moves')" in said
    assert "another version" not in said

    def learned(arrays, numbers):
        return arrays | {"centering": np.zeros(4)}, numbers

    said = resume_other_state(stored[1], monkeypatch, learned)
    mend = (
        "and here it is learned for 0. Use a model with the same sites whose centering is learned."
    )
    assert said.endswith(mend), said


OTHER_PARTS = {
    "made_for": lambda about: about["made_for"] | {"newer": ""},
    "plan": lambda about: {},
    "problems": lambda about: [[["too", "many", "fields", "of", "one"]]],
    "selection": lambda about: about["selection"] | {"newer": ""},
}


@pytest.mark.parametrize("name", OTHER_PARTS)
def test_a_store_about_which_other_parts_are_known_is_refused(stored, monkeypatch, name):
    def recover_other(files):
        found = recover(files)
        about = found.record.about | {name: OTHER_PARTS[name](found.record.about)}
        return replace(found, record=replace(found.record, about=about))

    monkeypatch.setattr("infer.output.stored.run.recover", recover_other)
    with pytest.raises(infer.RunError, match=r"run\.zarr: it has other parts .*Error\(.*Go on"):
        infer.resume(stored[1], model(), progress=False)


def test_a_store_of_other_arrays_is_refused_by_their_names(stored, monkeypatch):
    monkeypatch.setattr(
        "infer.output.stored.contents.name_stats",
        lambda engine, stats: dict(stats, new=stats["lp"]),
    )
    with pytest.raises(infer.RunError, match="sample_stats/new would be stored in another way"):
        infer.resume(stored[1], model())


def test_a_path_that_is_taken_and_one_without_a_store_are_refused(stored, tmp_path):
    with pytest.raises(infer.RunError, match="something at this path already"):
        sample(stored[1])
    with pytest.raises(infer.RunError, match="no stored run"):
        infer.resume(str(tmp_path), model())
    with pytest.raises(infer.RunError, match="no stored run"):
        infer.open(str(tmp_path))


def test_a_place_where_nothing_can_be_written_is_refused_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("infer.output.sample.start", None)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    wrong = {
        3: "3 is no path",
        "": "'' is no path",
        "run\0": "is no path",
        tmp_path / "link": "link is a link to nothing",
        tmp_path / "link/run.zarr": "link is a link to nothing",
        tmp_path / "file": "file is a file, not a folder",
        tmp_path / "file/run.zarr": "file is a file, not a folder",
        "nowhere://run.zarr": "fsspec cannot open this URL: Protocol not known",
    }
    for place, found in wrong.items():
        with pytest.raises(infer.RunError, match=found):
            sample(place)
    # The superuser may write to any folder.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(infer.RunError, match="may not be written to"):
        infer.sample(model(), infer.HMC(), store=tmp_path / "new/run.zarr")


def test_a_path_may_be_of_bytes():
    class OfBytes:
        def __fspath__(self):
            return b"run.zarr"

    assert open_files(OfBytes()).where == "run.zarr"
    with pytest.raises(infer.RunError, match="no path.*Give a path, such"):
        infer.open(3)


@pytest.mark.parametrize(
    ("options", "found"),
    [({"keep": ["z"]}, "no site z"), ({"drop": "x"}, "no site is left"), ({"thin": 0}, "thin")],
)
def test_sites_that_cannot_be_stored_are_refused(tmp_path, options, found):
    with pytest.raises(infer.RunError, match=found):
        sample(str(tmp_path / "run.zarr"), **options)
    assert not (tmp_path / "run.zarr").exists()


def test_options_of_stores_need_one():
    with pytest.raises(infer.RunError, match="no store is given"):
        sample(thin=2)


def test_a_run_at_a_url_keeps_every_third_draw(straight, commit_often):
    where = "memory://every-third.zarr"
    same(sample(where, thin=3), straight, thin=3)
    data = infer.resume(where, model(), draws=5, progress=False)
    assert list(np.asarray(data["posterior"]["draw"])) == list(range(0, DRAWS + 5, 3))


def test_a_reader_that_polls_never_sees_a_broken_store(tmp_path, straight, commit_often):
    where, seen, told, done = str(tmp_path / "run.zarr"), [], [], threading.Event()

    def poll():
        while not done.is_set():
            try:
                data = infer.open(where)
            except infer.RunError as error:
                told.append(str(error))
                continue
            x = np.asarray(data["posterior"]["x"])
            np.testing.assert_array_equal(x, straight["posterior"]["x"][:, : x.shape[1]])
            seen.append(x.shape[1])

    failures = []
    reader = threading.Thread(target=lambda: failures.extend(_catch(poll)))
    reader.start()
    sample(where)
    done.set()
    reader.join()
    assert not failures
    assert seen == sorted(seen)
    assert all("have no draws yet" in said or "no stored run" in said for said in told)


def _catch(call):
    try:
        call()
    except BaseException as error:
        return [error]
    return []


def test_an_interrupted_warm_up_is_in_the_store(tmp_path, straight, commit_often, monkeypatch):
    where, update = str(tmp_path / "run.zarr"), recorder.Recorder.after_block
    blocks = iter(range(10**6))

    def interrupt(self, run):
        update(self, run)
        if next(blocks) == 40:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recorder.Recorder, "after_block", interrupt)
        with pytest.raises(KeyboardInterrupt):
            sample(where)
    same(infer.resume(where, model(), progress=False), straight)


class Immediate(ThreadPoolExecutor):
    """An executor that has done each task when `submit` returns."""

    def submit(self, fn, /, *args, **kwargs):
        done = super().submit(fn, *args, **kwargs)
        wait([done])
        return done


def test_a_store_has_no_groups_until_every_chain_has_draws(tmp_path, commit_often, monkeypatch):
    """A commit follows each block, so one comes when the first chain alone has draws."""
    monkeypatch.setattr(recorder, "ThreadPoolExecutor", Immediate)
    log = Changes(monkeypatch)
    sample(str(tmp_path / "run.zarr"), threads=1)
    made = [(key, data) for key, data in log.made if data]
    draws = {key: read_record("", key, data).draws for key, data in made if is_record(key)}
    groups = [key for key, _ in made].index("posterior/zarr.json")
    before = {key for key, _ in made[:groups]} & draws.keys()
    assert {key for key, count in draws.items() if not count} == before
    assert len(before) > 3


def test_a_full_disk_ends_the_run_and_the_store_goes_on(
    tmp_path, straight, commit_often, monkeypatch
):
    where, write = str(tmp_path / "run.zarr"), recorder.commit
    commits = iter(range(10**6))

    def fail(files, record, changes):
        if next(commits) == 3:
            raise OSError(28, "No space left on device")
        return write(files, record, changes)

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "commit", fail)
        with pytest.raises(infer.RunError, match="No space left on device.*commit 2 is safe"):
            sample(where)
    same(infer.resume(where, model(), progress=False), straight)


@pytest.mark.slow
def test_several_data_sets_have_a_dimension(tmp_path, commit_often):
    models = [model(), model(mean=targets.MEAN + 1)]
    options = {"chains": 2, "warmup": 20, "draws": 20, "key": 1, "progress": False}
    where = str(tmp_path / "run.zarr")
    data = infer.sample(models, infer.HMC(), **options, store=where, commit_seconds=0.0)
    assert data["posterior"]["x"].dims == ("chain", "draw", "dataset", "x_dim_0")
    same(data, infer.sample(models, infer.HMC(), **options))
    more = infer.resume(where, models, draws=7, progress=False)
    same(more, infer.sample(models, infer.HMC(), **options | {"draws": 27}))


@pytest.mark.slow
def test_a_fit_and_a_search_for_a_mode_are_stored_too(tmp_path, commit_often):
    fitted, found = str(tmp_path / "fit.zarr"), str(tmp_path / "map.zarr")
    options = {"key": 2, "epochs": 20, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.FitWarning)
        fit = infer.fit(model(), **options, store=fitted, commit_seconds=0.0)
        again = infer.resume(fitted, model(), progress=False)
        mode = infer.maximize(model(), infer.MAP("unconstrained"), starts=2, store=found)
        mode_again = infer.resume(found, model())
    np.testing.assert_array_equal(fit.distribution.mean, again.distribution.mean)
    np.testing.assert_array_equal(fit.losses, again.losses)
    np.testing.assert_array_equal(mode.values["x"], mode_again.values["x"])
    with pytest.raises(infer.RunError, match="draws: the store holds a run of infer.fit"):
        infer.resume(fitted, model(), draws=10)
    with pytest.raises(infer.RunError, match="infer.fit, which has no draws"):
        infer.open(fitted)


def test_a_saved_tuning_is_used_on_new_data(stored, straight, tmp_path):
    path = tmp_path / "tuning.npz"
    infer.save_tuning(path, straight)
    options = {"chains": 2, "warmup": 0, "draws": 5, "key": 1, "progress": False}
    other = model(mean=targets.MEAN + 1)
    one = infer.sample(other, infer.HMC(), tuning=path, **options)
    same(one, infer.sample(other, infer.HMC(), tuning=stored[1], **options))
    with pytest.raises(infer.RunError, match="and a model of the same size"):
        infer.sample(targets.constrained(), infer.HMC(), tuning=path, **options)
    with pytest.raises(infer.RunError, match="of the same engine, with the same `rank`"):
        infer.sample(other, infer.HMC(rank=0), tuning=path, **options)
    path.write_bytes(b"damaged")
    with pytest.raises(infer.RunError, match="no tuning can be read"):
        infer.sample(other, infer.HMC(), tuning=path, **options)


def test_energies_of_every_third_draw_are_not_judged(tmp_path):
    """Their differences are not those of transitions, so E-BFMI would be far too high."""
    where = str(tmp_path / "run.zarr")
    sample(where, thin=3)
    groups, limits = recorded.thin_draws(infer.open(where))
    assert "energy" not in groups["sample_stats"]
    assert any("E-BFMI" in limit for limit in limits)
