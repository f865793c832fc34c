"""Every example runs, found by walking the folder, and checks its own answer."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .scripts import run_script

# Sizes at which those that compute for long are run, since compiling takes the rest of the time.
SMALL = {
    "bayesian_network": {"epochs": 2},
    "bioassay": {"draws": 200},
    "diabetes": {"draws": 50, "warmup": 50},
    "galaxy_scene": {"steps": 20, "draws": 50},
}
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
# The one that takes a second of CPU; the others take 3 to 30, so `make test-all` runs them.
QUICK = {"eight_schools"}
# CI gives the number of its run, so that each run takes the next fifth of the examples as well.
TURN = os.environ.get("EXAMPLES_TURN")
TURNS = 5


def is_in_turn(number):
    return TURN is not None and number % TURNS == int(TURN) % TURNS


def examples():
    for number, path in enumerate(EXAMPLES):
        marks = [] if path.stem in QUICK or is_in_turn(number) else [pytest.mark.slow]
        yield pytest.param(path, id=path.stem, marks=marks)


def assert_without_nan(text):
    # As a word of its own: a log-determinant is no NaN.
    assert text
    assert not re.search(r"\bnan\b", text.lower())


@pytest.mark.parametrize("path", [*examples()])
def test_example_runs(path, capsys):
    run_script(path, **SMALL.get(path.stem, {}))
    assert_without_nan(capsys.readouterr().out)


# `make demo`, which every change must pass, does this as well.
@pytest.mark.slow
def test_an_example_runs_in_a_process_of_its_own():
    path = next(path for path in EXAMPLES if path.stem == "eight_schools")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_without_nan(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path.stem in SMALL], ids=lambda path: path.stem
)
def test_a_long_example_runs_in_full(path, capsys):
    run_script(path)
    assert_without_nan(capsys.readouterr().out)
