"""The bar counts draws, and the divergences of the current phase only."""

import logging
import subprocess
import sys

from infer.run import progress
from infer.run.progress import Progress


def test_divergences_are_counted_separately_for_each_phase(capsys):
    with Progress(20, shown=True) as bar:
        bar.phase("warm-up")
        bar.advance(10, divergences=7)
        bar.phase("sampling")
        bar.advance(10, divergences=2)
    shown = capsys.readouterr().err.split("\r")[-1]
    assert "20/20" in shown
    assert "divergences=2" in shown


def test_a_hidden_bar_prints_nothing(capsys):
    with Progress(20, shown=False) as bar:
        bar.phase("sampling")
        bar.advance(20, divergences=1)
    assert capsys.readouterr().err == ""


def test_a_bar_ends_full_after_warmup_ended_early(capsys):
    with Progress(100, shown=True) as bar:
        bar.phase("warm-up")
        bar.advance(30, divergences=0)
        bar.phase("sampling", left=20)
        bar.advance(20, divergences=0)
    assert "50/50" in capsys.readouterr().err.split("\r")[-1]


def test_without_a_terminal_progress_goes_to_the_log(caplog, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO, "infer"), Progress(30) as bar:
        bar.phase("warm-up")
        bar.advance(10, divergences=2)
        monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
        bar.advance(5, divergences=1)
        bar.phase("sampling", left=20)
    assert [record.getMessage() for record in caplog.records] == [
        "warm-up: 30 draws to go, 0 divergences",
        "warm-up: 15 draws to go, 3 divergences",
        "sampling: 20 draws to go, 0 divergences",
    ]


def test_progress_that_is_hidden_on_request_is_not_logged(caplog):
    with caplog.at_level(logging.INFO, "infer"), Progress(30, shown=False) as bar:
        bar.phase("warm-up")
    assert not caplog.records


# A notebook kernel without ipywidgets, as tqdm detects it.
NOTEBOOK = """
import sys, types, warnings
kernel = types.SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython"].get_ipython = lambda: kernel
sys.modules["ipywidgets"] = None
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "ipywidgets" else real(name, *rest)
from tqdm import TqdmWarning
warnings.simplefilter("error", TqdmWarning)
import logging
import subprocess
import sys

from infer.run import progress
from infer.run.progress import Progress
with Progress(3, shown=True) as bar:
    bar.advance(3, 0)
"""


def test_a_notebook_without_ipywidgets_gets_a_bar_and_no_warning():
    subprocess.run([sys.executable, "-c", NOTEBOOK], check=True, timeout=100)
