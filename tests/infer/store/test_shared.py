"""Several processes write one store: each its own chunks, and together what one would write."""

import itertools
from threading import BrokenBarrierError

import numpy as np
import pytest

from infer.errors import RunError
from infer.run.processes import Processes
from infer.store.commits import Changes, commit, forget_after, recover
from infer.store.files import LocalFiles, UrlFiles, open_files
from infer.store.shared import SharedFiles, deal_out, is_chunk

from ..run.in_threads import Killed, call_on_two

# Arrays of the store, and commits. One array has the name that the folders of chunks have.
ARRAYS, COMMITS = ("c", "slope", "lp"), 3


def change(number, who=0):
    """Commit `number`: a block of each array, a chunk that is being filled, and what differs."""
    full = {f"posterior/{own}/c/{number - 1}/0": own.encode() * 9 * number for own in ARRAYS}
    files = {f"posterior/{own}/c/{number}/0": b"partial %d" % number for own in ARRAYS}
    names = [*(f"posterior/{own}/zarr.json" for own in ARRAYS), "zarr.json"]
    metadata = {name: b"%d of %d" % (number, who) for name in names}
    blocks = [full] if number else []
    return Changes(b"state of %d" % who, number, blocks, files, metadata, {"seconds": who})


def write(files, who=0, record=None, changes=change):
    """Write all commits after a record."""
    for number in range(0 if record is None else record.commit + 1, COMMITS):
        record = commit(files, record, changes(number, who))
    return record


def share(files, index):
    return SharedFiles(files, Processes(2, index))


class Limited(UrlFiles):
    """Files of a process that is killed when it has written so many."""

    def __init__(self, where, left=10**6):
        super().__init__(where)
        self.left, self.wrote = left, []

    def write(self, *groups):
        for key, data in itertools.chain(*(group.items() for group in groups)):
            if self.left == 0:
                raise Killed
            self.left -= 1
            self.wrote.append(key)
            super().write({key: data})


def read_all(where):
    """Return all files of a store in memory, by path."""
    files = UrlFiles(where)
    found = files.system.find(files.root)
    return {path.removeprefix(files.root): files.system.cat_file(path) for path in found}


@pytest.fixture
def stores():
    """Return the addresses of new stores in memory."""
    numbers = itertools.count()
    yield lambda: f"memory://shared-{next(numbers)}"
    memory = UrlFiles("memory://shared").system
    for path in memory.ls("/", detail=False):
        memory.rm(path, recursive=True)


@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_files_are_dealt_out_by_their_bytes(count):
    rng = np.random.default_rng(count)
    for scale in (1, 20, 400):
        sizes = {f"{i}": int(own) for i, own in enumerate(scale * rng.exponential(9, 40))}
        shares = deal_out(sizes, count)
        assert sorted(itertools.chain(*shares)) == sorted(sizes)
        loads = [sum(sizes[key] for key in own) for own in shares]
        # No process has more than its part by more than one file.
        assert max(loads) <= sum(sizes.values()) / count + max(sizes.values())
        assert deal_out(dict(reversed(sizes.items())), count) == shares


def test_the_last_process_writes_a_single_chunk():
    assert deal_out({"lp/c/0": 8}, 2) == [set(), {"lp/c/0"}]


def test_two_processes_write_what_one_writes_and_each_its_own_chunks(monkeypatch, stores):
    one, two = stores(), stores()
    write(UrlFiles(one))
    both = [Limited(two), Limited(two)]
    errors = call_on_two(monkeypatch, lambda index: write(share(both[index], index), index))
    assert errors == [None, None]
    assert read_all(two) == read_all(one)
    first, second = ([key for key in own.wrote if is_chunk(key)] for own in both)
    assert min(len(first), len(second)) > 4
    # What else there is says how long things took, which each process knows for itself.
    assert all(map(is_chunk, both[1].wrote))
    final = {key.lstrip("/") for key in read_all(two) if is_chunk(key)}
    assert final == set(first) | set(second)


@pytest.mark.parametrize("who", [0, 1])
def test_a_store_goes_on_wherever_a_process_was_killed(monkeypatch, stores, who):
    whole = stores()
    write(UrlFiles(whole))
    expected = {k: data for k, data in read_all(whole).items() if not k.startswith("/run/")}
    for left in itertools.count():
        where = stores()
        both = [Limited(where), Limited(where)]
        both[who].left = left
        errors = call_on_two(monkeypatch, lambda i, own=both: write(share(own[i], i), i))
        if errors == [None, None]:
            break
        assert isinstance(errors[who], Killed)
        assert isinstance(errors[1 - who], BrokenBarrierError)
        files = UrlFiles(where)
        if "/run/0.json" not in read_all(where):
            continue
        found = recover(files)
        assert found.damaged == ()
        write(files, 0, forget_after(files, found.record))
        assert {k: v for k, v in read_all(where).items() if not k.startswith("/run/")} == expected
        assert recover(files).damaged == ()
    assert left == len(both[who].wrote) > 4


def test_all_say_that_one_could_not_write(monkeypatch, tmp_path):
    class Full(LocalFiles):
        def write(self, *groups):
            if any(map(is_chunk, itertools.chain(*groups))):
                raise OSError(28, "No space left on device")
            super().write(*groups)

    both = LocalFiles(str(tmp_path)), Full(str(tmp_path))
    errors = call_on_two(monkeypatch, lambda index: write(share(both[index], index)))
    assert [str(own) for own in errors] == ["process 1: [Errno 28] No space left on device"] * 2


def test_processes_with_different_draws_write_nothing(monkeypatch, tmp_path):
    def changes(number, who):
        made = change(number)
        if number == 2:
            made.files[next(iter(made.files))] = b"of %d" % who
        return made

    both = LocalFiles(str(tmp_path)), LocalFiles(str(tmp_path))
    call = lambda index: write(share(both[index], index), index, changes=changes)  # noqa: E731
    for error in call_on_two(monkeypatch, call):
        assert "processes: they would store different draws. All must run" in str(error)
    files = LocalFiles(str(tmp_path))
    found = recover(files)
    assert (found.record.commit, found.damaged) == (1, ())
    assert not [name for name in files.list("run") if name.endswith("intent")]


def test_a_store_that_a_process_does_not_see_is_refused_by_all(monkeypatch, tmp_path):
    both = LocalFiles(str(tmp_path / "0")), LocalFiles(str(tmp_path / "1"))
    for error in call_on_two(monkeypatch, lambda index: write(share(both[index], index))):
        assert "process 1 does not see this store. Give a path on a file system" in str(error)
    assert not (tmp_path / "1").exists()


def test_all_say_that_another_writer_is_there(monkeypatch, tmp_path):
    held = LocalFiles(str(tmp_path)).lock()
    files = open_files(str(tmp_path))
    for error in call_on_two(monkeypatch, lambda index: share(files, index).lock()):
        assert isinstance(error, RunError)
        assert "another process is writing to this store" in str(error)
    held.close()
    assert call_on_two(monkeypatch, lambda index: share(files, index).lock().close()) == [None] * 2


def test_all_say_that_the_first_cannot_make_the_store(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    files = open_files(str(tmp_path / "file"))
    for error in call_on_two(monkeypatch, lambda index: share(files, index).lock()):
        assert isinstance(error, FileExistsError)
