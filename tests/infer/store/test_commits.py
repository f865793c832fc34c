"""A store is what its newest record says, at every instant and whatever byte is damaged."""

import re

import pytest

import infer
from infer.store.commits import Changes, commit, forget_after, kept_commits, read_record, recover
from infer.store.files import LocalFiles, open_files

from .logged import Changes as Logged, put


def change(number):
    """Commit `number`: each adds a block, and replaces one file and the metadata."""
    chunks = [{f"x/c/{number - 1}": b"full %d" % number}] if number else []
    files, metadata = {f"x/c/{number}": b"partial %d" % number}, {"zarr.json": b"%d" % number}
    return Changes(b"state %d" % number, number, chunks, files, metadata, {"name": "test"})


def commits(files, count, record=None):
    for number in range(count) if record is None else range(record.commit + 1, count):
        record = commit(files, record, change(number))
    return record


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        log = Logged(patch)
        commits(LocalFiles(str(tmp_path_factory.mktemp("original"))), 9)
    return log


def test_a_store_cut_short_at_any_instant_holds_the_last_commit(log, tmp_path):
    done = -1
    for count, (key, _) in enumerate(log.made, start=1):
        done += key == f"run/{done + 1}.json"
        if done < 0:
            continue
        where = put(tmp_path / str(count), log.as_of(count))
        found = recover(LocalFiles(where))
        assert (found.record.commit, found.damaged) == (done, ())
        assert found.state == b"state %d" % done


def test_a_store_that_goes_on_from_any_instant_ends_the_same(log, tmp_path):
    first = [key for key, _ in log.made].index("run/0.json") + 1
    for count in range(first, len(log.made), 13):
        files = LocalFiles(put(tmp_path / str(count), log.as_of(count)))
        record = forget_after(files, recover(files).record)
        commits(files, 9, record)
        whole = {k for k in log.as_of(len(log.made)) if not k.startswith("run/")}
        assert all(files.read(key) == log.as_of(len(log.made))[key] for key in whole)
        assert recover(files).damaged == ()


def test_metadata_that_did_not_change_are_not_written_again(tmp_path, monkeypatch):
    files = LocalFiles(str(tmp_path))
    metadata = {"zarr.json": b"root", "x/zarr.json": b"array"}
    first = commit(files, None, Changes(b"", 0, [], {}, metadata, {}))
    log = Logged(monkeypatch)
    second = commit(files, first, Changes(b"", 0, [], {}, metadata | {"x/zarr.json": b"new"}, {}))
    assert [k for k, _ in log.made if k.endswith("zarr.json")] == ["x/zarr.json"]
    assert second.files.keys() == metadata.keys()
    assert recover(files).damaged == ()


@pytest.mark.parametrize(
    "mend",
    [lambda b: b[:-1], lambda b: b"", lambda b: None],
    ids=["one byte short", "empty", "missing"],
)
def test_every_truncated_or_missing_file_is_named(log, tmp_path, mend):
    files = log.as_of(len(log.made))
    for key, data in files.items():
        damaged = files | {key: mend(data)}
        where = put(
            tmp_path / key.replace("/", "-"), {k: d for k, d in damaged.items() if d is not None}
        )
        found = recover(LocalFiles(where))
        if mend(data) is None and key == "run/8.json":
            # Without its record a commit was never made.
            assert found.record.commit == 7
        else:
            assert found.damaged == (key,)


def test_every_flipped_byte_is_named_and_the_run_goes_on_before_the_damage(log, tmp_path):
    files = log.as_of(len(log.made))
    where = LocalFiles(put(tmp_path / "flipped", files))
    for key, data in files.items():
        for place in range(0, len(data), 7):
            (where.root / key).write_bytes(
                data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]
            )
            found = recover(where)
            newest = 8 if not key.startswith("run/8.") else 7
            block = re.fullmatch(r"(?:x/c/|run/block-)([0-7])(?:\.json)?", key)
            if block:
                newest = max(n for n in kept_commits(8) if n <= int(block[1]))
            assert (found.record.commit, found.damaged) == (newest, (key,))
        (where.root / key).write_bytes(data)


def test_about_two_states_are_kept_for_each_doubling_of_age():
    assert kept_commits(100) == {0, 64, 80, 88, 96, 98, 99, 100}
    for newest in range(200):
        # What is kept later was kept before.
        assert kept_commits(newest + 1) <= kept_commits(newest) | {newest + 1}


def test_a_store_of_another_version_is_refused_by_its_name(log, tmp_path):
    data = log.as_of(len(log.made))["run/8.json"]
    old = read_record("run.zarr", "run/8.json", data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infer.store.commits.VERSION", 0)
        data = old.encode()
    with pytest.raises(infer.RunError, match="store of format version 0, and this library reads"):
        read_record("run.zarr", "run/8.json", data)


def test_an_object_store_without_rename_is_committed_by_its_last_object():
    files = open_files("memory://commits")
    commits(files, 5)
    found = recover(files)
    assert (found.record.commit, found.damaged) == (4, ())
    files.delete(["x/c/1"])
    assert recover(files).damaged == ("x/c/1",)


def test_two_writers_exclude_each_other(tmp_path):
    held = LocalFiles(str(tmp_path)).lock()
    with pytest.raises(infer.RunError, match="another process is writing"):
        LocalFiles(str(tmp_path)).lock()
    held.close()
    LocalFiles(str(tmp_path)).lock().close()


def test_a_full_disk_leaves_the_last_commit_and_no_rest(tmp_path, monkeypatch):
    import infer.store.files as module

    files = LocalFiles(str(tmp_path))
    record = commits(files, 3)
    write = module._write_durably

    def fail(path, data):
        write(path, data[:1])
        if path.name.startswith("zarr"):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_durably", fail)
    with pytest.raises(OSError, match="No space left"):
        commit(files, record, change(3))
    monkeypatch.undo()
    assert recover(files).record.commit == 2
    assert not list(tmp_path.rglob("*.unfinished"))
