"""How processes that share the chains of a stored run end it when one of them is interrupted."""

import pytest

from infer import HMC, start
from infer.output.stored.contents import Selection
from infer.output.stored.opened import read_newest
from infer.output.stored.storing import Storing
from infer.run import processes
from infer.run.pace import Pace
from infer.run.processes import Processes
from infer.store.files import open_files

from .. import targets


def begin(where, index):
    """Begin a run of two chains and its recorder, as one of two processes."""
    run = start(targets.normal(), HMC(), chains=2, warmup=40, key=5, progress=False)
    run.places.processes = Processes(2, index)
    # A commit at the beginning, and the next one after an hour.
    storing = Storing(open_files(where), 200, Selection(), 3600.0)
    return run, storing.begin(run, "sample")


def interrupt_after(monkeypatch, exchanges):
    """Let the other process say the same, until one is interrupted and hears nothing any more."""
    left = iter(range(exchanges))

    def exchange(self, *given):
        if next(left, None) is None:
            monkeypatch.setattr(processes, "gather", None)
            raise KeyboardInterrupt

    monkeypatch.setattr(processes, "gather", lambda data: [data, data])
    monkeypatch.setattr(Processes, "exchange", exchange)
    # Each advances all chains here, by as many draws each time.
    monkeypatch.setattr(Pace, "update", lambda *given: None)
    monkeypatch.setattr(Processes, "choose", lambda self, groups: tuple(groups))


@pytest.mark.parametrize("index", [0, 1])
def test_the_first_process_alone_commits_what_was_exchanged(tmp_path, monkeypatch, index):
    where = str(tmp_path / "run.zarr")
    run, own = begin(where, index)
    interrupt_after(monkeypatch, 60)
    # The beginning is that of the first process, which is not here.
    files = open_files(where)
    files.write({"run/begun": b"{}"})
    with pytest.raises(KeyboardInterrupt), own.recording(run):
        run.advance(200)
    assert 0 < run.fewest() < 200
    if index:
        assert files.list("run") == ["begun"]
    else:
        assert read_newest(files).draws == run.fewest()
