"""Test the fuzzer on a few random models; `make fuzz` checks 1000."""

import os
import subprocess
import sys

import pytest

from .__main__ import answers_in_time
from .check import noise
from .families import FAMILIES
from .model import draw
from .programs import draw_program


def test_seeds_take_families_in_turn_and_are_reproducible():
    names = [draw(seed).name for seed in range(len(FAMILIES))]
    assert [name.split(":")[0] for name in names] == list(FAMILIES)
    assert [draw(seed).name for seed in range(len(FAMILIES))] == names


def test_a_line_written_by_a_compiler_is_detected():
    line = "E1128 11:08:54 execution_engine.cc:54] LLVM compilation error: Symbols not found"
    assert noise(f"hello\n{line}\n") == line
    assert not noise("hello")


@pytest.mark.parametrize(("body", "answers"), [("pass", True), ("time.sleep(9)", False)])
def test_a_child_that_waits_without_computing_hangs(body, answers):
    code = f"import time; {body}; print(1)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert answers_in_time(child.pid, child.stdout.fileno(), 2.0) == answers
        child.kill()


def test_a_child_that_computes_for_too_long_hangs():
    with subprocess.Popen(
        [sys.executable, "-c", "while True: pass"], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert not answers_in_time(child.pid, child.stdout.fileno(), 0.5)
        child.kill()


def test_programs_are_reproducible_and_differ():
    names = [draw_program(seed).name for seed in range(20)]
    assert [draw_program(seed).name for seed in range(20)] == names
    assert len(set(names)) == 20


@pytest.mark.slow
def test_a_random_model_agrees_with_jax():
    command = [sys.executable, "-m", "tests.fuzz", "--first", "88", "--last", "90"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all               2        0" in done.stdout
