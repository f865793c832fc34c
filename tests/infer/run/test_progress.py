"""Progress shows each chain's counts and an honest time left, in a terminal, notebook or log."""

import contextlib
import fcntl
import logging
import os
import pty
import re
import struct
import sys
import termios
import types

import numpy as np
import pytest

import bijectors as bj
import infer
from infer.output.advance.interrupt import advance_to
from infer.run import views
from infer.run.collect import Group
from infer.run.loop import SAMPLING, RecordFormat
from infer.run.packed import pack
from infer.run.progress import Progress
from infer.run.status import Status, align
from infer.run.views import NotebookView, Page
from infer.run.warmup import Warmup

RECORDS = RecordFormat(
    1, 0, {"diverging": np.dtype(bool), "n_steps": np.dtype(int), "step_size": np.dtype(float)}
)


def make_group(chain):
    zero = np.zeros(1, int)
    state = pack({"position": np.zeros((1, 1))}, 1)
    return Group(range(chain, chain + 1), np.zeros((1, 2)), state, zero, [[]], zero, zero > 1)


def make_warmup(chains, window=1, windows=(), scouts=(), draws=0):
    groups = tuple(make_group(i) for i in range(chains))
    skipped = (1,) if scouts else ()
    return Warmup(
        groups, None, 100, windows, window=window, scouts=scouts, skipped_windows=skipped,
        draws=draws,
    )  # fmt: skip


def absorb(watch, group, draws, seconds=1.0, divergences=0, steps=7, step_size=0.5):
    """Give a group a block of draws, and tell the progress."""
    rows = np.zeros((draws, 4))
    rows[:divergences, 1], rows[:, 2], rows[:, 3] = 1, steps, step_size
    group.rows[0].append(rows)
    group.drawn = group.drawn + draws
    return watch.update(group, draws, seconds)


def begin(watch, warmup, target, threads=1):
    watch.enter(warmup, target, threads, RECORDS)
    return warmup.groups


def test_each_chain_has_draws_divergences_step_size_and_leapfrogs_in_the_table():
    watch = Progress(shown=False)
    one, two = begin(watch, make_warmup(2, SAMPLING), 20)
    absorb(watch, one, 4, divergences=1, steps=3, step_size=0.25)
    absorb(watch, one, 4, divergences=2, steps=7, step_size=0.25)
    absorb(watch, two, 10, steps=1, step_size=2.0)
    assert watch.status.table() == [
        ["chain", "draws", "divergences", "step size", "leapfrogs a draw"],
        ["0", "8", "3", "0.25", "5.0"],
        ["1", "10", "0", "2", "1.0"],
    ]


def test_many_chains_have_one_line_for_the_median_and_one_for_the_worst():
    watch = Progress(shown=False)
    groups = begin(watch, make_warmup(9, SAMPLING), 100)
    for i, group in enumerate(groups):
        absorb(watch, group, 10 + i, divergences=i, steps=i + 1, step_size=1 + i)
    _, median, worst = watch.status.table()
    assert median == ["median of 9", "14", "4", "5", "5.0"]
    assert worst == ["worst", "10", "8", "1", "9.0"]


def test_counts_begin_again_with_sampling_and_include_the_draws_of_a_resumed_run():
    watch = Progress(shown=False)
    warmup = make_warmup(1, windows=(10,))
    (group,) = begin(watch, warmup, 10)
    absorb(watch, group, 10, divergences=7)
    sampling = make_warmup(1, SAMPLING, draws=10)
    absorb(watch, sampling.groups[0], 5, divergences=1)
    begin(watch, sampling, 20)
    assert watch.status.table()[1][:3] == ["0", "5", "1"]
    assert (watch.status.made, watch.status.total) == (15, 30)


def test_a_window_that_is_entered_again_after_a_stop_counts_nothing_twice():
    watch = Progress(shown=False)
    warmup = make_warmup(1, windows=(10, 20), draws=5)
    (group,) = begin(watch, warmup, 10)
    absorb(watch, group, 4, divergences=2)
    begin(watch, warmup, 10)
    assert watch.status.table()[1][:3] == ["0", "9", "2"]


@pytest.mark.parametrize(("threads", "seconds"), [(1, 6 * 2 + 8 * 1), (2, 12), (4, 12)])
def test_the_time_left_is_that_of_all_chains_or_of_the_slowest(threads, seconds):
    watch = Progress(shown=False)
    slow, quick = begin(watch, make_warmup(2, SAMPLING), 10, threads)
    absorb(watch, slow, 4, seconds=8.0)
    absorb(watch, quick, 2, seconds=2.0)
    # At one thread 20 s of work, at two the slow chain's 12 s.
    assert watch.status.seconds_left() == pytest.approx(seconds)


def test_the_time_left_covers_later_windows_and_sampling_and_follows_a_shorter_warmup():
    watch = Progress(shown=False)
    watch.later = 50
    (group,) = begin(watch, make_warmup(1, windows=(10, 20, 30)), 10)
    assert watch.status.seconds_left() is None
    absorb(watch, group, 5, seconds=5.0)
    assert watch.status.seconds_left() == pytest.approx(5 + 20 + 30 + 50)
    assert watch.status.is_shrinkable
    begin(watch, make_warmup(1, window=2, windows=(30,), draws=10), 30)
    assert watch.status.seconds_left() == pytest.approx(30 + 50)
    assert not watch.status.is_shrinkable
    assert views.write_time_left(watch.status) == "01:20 left"


def test_scouts_cost_time_only_in_their_window_and_have_no_line():
    watch = Progress(shown=False)
    watch.later = 10
    scout = make_group(0)
    warmup = make_warmup(1, windows=(10,), scouts=(scout,))
    (group,) = begin(watch, warmup, 10)
    absorb(watch, group, 10, seconds=10.0)
    absorb(watch, scout, 2, seconds=4.0)
    assert watch.status.seconds_left() == pytest.approx(10 * 1 + 8 * 2)
    assert [row[:2] for row in watch.status.table()[1:]] == [["0", "10"]]


def test_recent_draws_count_more_for_the_time_left():
    watch = Progress(shown=False)
    (group,) = begin(watch, make_warmup(1, windows=(8, 10)), 8)
    absorb(watch, group, 8, seconds=80.0)
    (group,) = begin(watch, make_warmup(1, window=2, windows=(10,), draws=8), 10)
    absorb(watch, group, 6, seconds=6.0)
    # A quarter of the 8 draws at 10 s each, and 6 at 1 s.
    assert watch.status.seconds_left() == pytest.approx(4 * (20 + 6) / (2 + 6))


def test_an_engine_without_statistics_has_only_draws():
    status = Status()
    status.enter(make_warmup(1, SAMPLING), 3, 0, 1, RecordFormat(1, 0, {}))
    assert status.table() == [["chain", "draws"], ["0", "0"]]


def test_a_halt_is_passed_on_after_the_block_is_counted():
    watch = Progress(shown=False, halt=lambda: True)
    (group,) = begin(watch, make_warmup(1, SAMPLING), 5)
    assert not absorb(watch, group, 2)
    assert watch.status.made == 2


def test_columns_are_aligned():
    assert align([["a", "long"], ["wide", "1"]]) == ["   a  long", "wide     1"]


def test_progress_shown_in_a_file_is_one_line_that_ends_full(capsys):
    watch = Progress(shown=True)
    watch.later = 20
    with watch:
        (group,) = begin(watch, make_warmup(1, windows=(30, 50)), 30)
        absorb(watch, group, 30, divergences=7)
        (group,) = begin(watch, make_warmup(1, SAMPLING, draws=30), 20)
        absorb(watch, group, 20, divergences=2)
    shown = capsys.readouterr().err
    assert "warm-up:   0%|" in shown
    assert re.search(r"sampling: 100%\|█+\| 50/50 draws, 2 divergences, done in 00:0\d\s*$", shown)
    assert shown.count("\n") == 1


def test_searches_are_counted_with_their_steps(capsys):
    model = infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real()})
    infer.maximize(model, infer.MAP("constrained"), starts=2, progress=True)
    shown = capsys.readouterr().err
    assert re.search(r"searching: 100%\|█+\| 2/2 searches, done in 00:\d\d\s*$", shown)
    with Progress(shown=False, unit="searches") as watch:
        run = infer.start(model, infer.MAP("constrained"), chains=2, starts={"x": np.ones(2)})
        run.advance(1, watch)
    titles, *rows = watch.status.table()
    assert titles == ["chain", "steps"]
    assert all(int(steps) > 0 for _, steps in rows)
    # With nothing left to do, as for a stored run that has ended.
    with Progress(shown=True, unit="searches") as watch:
        advance_to(run, 1, watch)
    assert capsys.readouterr().err == ""


def test_hidden_progress_prints_and_logs_nothing(capsys, caplog):
    with caplog.at_level(logging.INFO, "infer"), Progress(shown=False) as watch:
        (group,) = begin(watch, make_warmup(1, SAMPLING), 2)
        absorb(watch, group, 2)
    assert capsys.readouterr().err == ""
    assert not caplog.records


def test_without_a_terminal_progress_goes_to_the_log(caplog, monkeypatch):
    monkeypatch.setattr(views.sys.stderr, "isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO, "infer"), Progress() as watch:
        watch.later = 20
        (group,) = begin(watch, make_warmup(1, windows=(10,)), 10)
        absorb(watch, group, 2, divergences=2)
        monkeypatch.setattr(views, "LOG_SECONDS", 0.0)
        absorb(watch, group, 3, divergences=1)
        begin(watch, make_warmup(1, SAMPLING, draws=10), 20)
    assert [record.getMessage() for record in caplog.records] == [
        "warm-up: 30 draws to go, 0 divergences",
        "warm-up: 25 draws to go, 3 divergences, 00:10 left",
        "sampling: 20 draws to go, 0 divergences, 00:08 left",
    ]


def show_chains():
    with Progress() as watch:
        watch.later = 10
        one, two = begin(watch, make_warmup(2, windows=(10,)), 10)
        absorb(watch, one, 10)
        one, two = begin(watch, make_warmup(2, SAMPLING, draws=10), 10)
        absorb(watch, one, 10, divergences=3)
        absorb(watch, two, 10)
    print("next line", flush=True)


def read_terminal(write, monkeypatch, rows=24, columns=80):
    """Call a function with a pseudo-terminal as its output; return what it wrote."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    with open(side, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        patch.setattr(sys, "stderr", terminal)
        write()
    written = b""
    # Linux reports the end of a pseudo-terminal as an error.
    with contextlib.suppress(OSError):
        while piece := os.read(main, 4096):
            written += piece
    os.close(main)
    return written.decode()


def render(written):
    """Lay out what was written to a terminal: line feeds, returns, and one line up."""
    screen, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[A|\r|\n|[^\x1b\r\n]+", written):
        if token == "\x1b[A":
            row -= 1
        elif token == "\n":
            row += 1
            screen += [""] * (row + 1 - len(screen))
        elif token == "\r":
            column = 0
        else:
            line = screen[row].ljust(column)
            screen[row] = line[:column] + token + line[column + len(token) :]
            column += len(token)
    return [line.rstrip() for line in screen]


def test_a_terminal_shows_a_bar_and_a_line_for_each_chain(monkeypatch):
    bar, *table = render(read_terminal(show_chains, monkeypatch))
    assert re.match(r"sampling: 100%\|█{20}\| 40/40 draws, done in 00:0\d$", bar)
    assert table[:4] == [
        "chain  draws  divergences  step size  leapfrogs a draw",
        "    0     10            3        0.5               7.0",
        "    1     10            0        0.5               7.0",
        "next line",
    ]


class FakeDisplay:
    """Records what IPython would show, and what replaces it."""

    def __init__(self):
        self.shown = []

    def display(self, page, display_id):
        self.shown.append(page)
        return types.SimpleNamespace(update=self.shown.append)


def test_a_notebook_gets_one_table_that_is_replaced_in_place(monkeypatch):
    fake = FakeDisplay()
    shell = types.SimpleNamespace(kernel=object())
    module = types.ModuleType("IPython")
    module.get_ipython, module.display = lambda: shell, types.ModuleType("IPython.display")
    module.display.display = fake.display
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", module.display)
    assert views.is_notebook()
    with Progress() as watch:
        assert isinstance(watch._view, NotebookView)
        (group,) = begin(watch, make_warmup(1, SAMPLING), 5)
        absorb(watch, group, 5, divergences=1)
    first, *_, last = fake.shown
    assert "sampling: 0/5 draws" in first._repr_html_()
    html = last._repr_html_()
    assert "sampling: 5/5 draws, done in 00:0" in html
    assert '<progress value="5" max="5">' in html
    assert "<td>0</td><td>5</td><td>1</td><td>0.5</td><td>7.0</td>" in html
    assert repr(last).splitlines()[2] == "    0      5            1        0.5               7.0"


def test_text_is_escaped_in_a_notebook():
    status = Status()
    assert "&lt;b&gt;" in Page(status, "<b>")._repr_html_()


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch):
    module = types.ModuleType("IPython")
    module.get_ipython = lambda: types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert not views.is_notebook()
