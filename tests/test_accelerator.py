"""The benchmark of accelerators reads compiled programs, and says what its time left out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import accelerator
from benchmarks.accelerators.budget import Budget
from benchmarks.accelerators.loop_body import LoopBody, count_loop_body
from benchmarks.accelerators.pages import write_page
from benchmarks.accelerators.rows import Row

PROGRAM = """\
HloModule jit_f, is_scheduled=true

%fused (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %sin = f32[4]{0} sine(%p)
}

%larger (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %max = f32[] maximum(%a, %b)
}

%yes (t: (f32[4])) -> (f32[4]) {
  %t = (f32[4]{0}) parameter(0)
  %x = f32[4]{0} get-tuple-element(%t), index=0
  %y = f32[4]{0} fusion(%x), kind=kLoop, calls=%fused
  ROOT %out = (f32[4]{0}) tuple(%y)
}

%no (t: (f32[4])) -> (f32[4]) {
  ROOT %t = (f32[4]{0}) parameter(0)
}

%inner (t: (f32[4])) -> (f32[4]) {
  %t = (f32[4]{0}) parameter(0)
  %x = f32[4]{0} get-tuple-element(%t), index=0
  %call = (f32[4]{0}, s8[16]{0}) custom-call(%x), custom_call_target="gemm"
  %y = f32[4]{0} get-tuple-element(%call), index=0
  ROOT %out = (f32[4]{0}) tuple(%y)
}

%body (t: (f32[4], /*index=1*/pred[8,2], pred[])) -> (f32[4], pred[8,2], pred[]) {
  %t = (f32[4]{0}, /*index=1*/pred[8,2]{1,0}, pred[]) parameter(0)
  %x = f32[4]{0} get-tuple-element(%t), index=0
  %m = pred[8,2]{1,0} get-tuple-element(%t), index=1
  %p = pred[] get-tuple-element(%t), index=2
  %copy.1 = f32[4]{0} copy(%x), metadata={op_name="copy(" stack_frame_id=1}
  %copy.2 = pred[8,2]{1,0} copy(%m)
  %top = f32[] reduce(%x, %p), dimensions={0}, to_apply=%larger
  %in = (f32[4]{0}) tuple(%copy.1)
  %cond = (f32[4]{0}) conditional(%p, %in, %in), true_computation=%yes, false_computation=%no
  %loop = (f32[4]{0}) while(%cond), condition=%still, body=%inner
  %z = f32[4]{0} get-tuple-element(%loop), index=0
  ROOT %out = (f32[4]{0}, pred[8,2]{1,0}, pred[]) tuple(%z, %copy.2, %p)
}

%still (t: (f32[4])) -> pred[] {
  %t = (f32[4]{0}) parameter(0)
  ROOT %yes.1 = pred[] constant(true)
}

ENTRY %main (x: f32[4], m: pred[8,2], p: pred[]) -> (f32[4], pred[8,2], pred[]) {
  %x = f32[4]{0} parameter(0)
  %m = pred[8,2]{1,0} parameter(1)
  %p = pred[] parameter(2)
  %in = (f32[4]{0}, pred[8,2]{1,0}, pred[]) tuple(%x, %m, %p)
  ROOT %while = (f32[4]{0}, pred[8,2]{1,0}, pred[]) while(%in), condition=%still, body=%body
}
"""
SETTING = {
    "date": "2026-01-01", "platform": "cpu", "device": "cpu", "versions": "jax 0", "cores": 2,
    "seconds": 10.0, "asked": 2, "draws": 100,
    "command": "python",
}  # fmt: skip


def test_the_body_of_the_largest_loop_is_counted_with_branches_and_inner_loops():
    # Two copies, a reduction, the fusion of a branch, and the call of an inner loop.
    assert count_loop_body(PROGRAM) == LoopBody(
        kernels=5, fusions=1, copies=2, copied=32, custom_calls=1, conditionals=1, loops=1
    )


def test_ticks_between_two_questions_are_those_of_an_inner_loop_with_known_passes():
    known = (
        'while(%in), condition=%still, body=%body, backend_config={"known_trip_count":{"n":"8"}}'
    )
    outer = PROGRAM.replace("ENTRY %main", "%several").replace(
        "while(%in), condition=%still, body=%body", known
    )
    entry = "ENTRY %e (x: f32[4]) -> f32[4] {\n  ROOT %w = f32[4] while(%x), body=%several\n}\n"
    found = count_loop_body(outer + entry)
    assert (found.stride, found.kernels, found.loops) == (8, 5, 1)


def test_a_program_without_a_loop_is_refused():
    with pytest.raises(ValueError, match="no loop"):
        count_loop_body(PROGRAM.replace(" while(", " fusion("))


def test_time_that_a_row_does_not_use_goes_to_those_after_it():
    now = 0.0
    budget = Budget(100.0, rows=4, least=5.0, clock=lambda: now)
    assert budget.begin_row() == 50.0
    now = 10.0
    assert budget.begin_row() == 60.0
    now = 70.0
    assert budget.begin_row() == 30.0
    now = 96.0
    assert budget.begin_row() is None


def test_the_rows_are_of_models_and_samplers_that_exist():
    from benchmarks.accelerators.models import CASES
    from benchmarks.accelerators.samplers import SAMPLERS

    assert list(CASES) == accelerator.MODELS
    assert set(SAMPLERS) == set(accelerator.SAMPLERS)
    assert set(SAMPLERS) > accelerator.FROM_ENSEMBLES


def test_the_page_says_what_was_left_out_and_that_no_accelerator_was_there(tmp_path):
    row = {"row": Row("sampling", "radon", "ours, NUTS", 4)._asdict(), "place": 0}
    stored = {"setting": SETTING, "rows": [row | {"failed": "skipped: no time was left"}]}
    write_page(tmp_path / "page.md", stored)
    page = (tmp_path / "page.md").read_text()
    assert "No accelerator was at hand" in page
    assert "| radon | 4 | ours, NUTS | skipped: no time was left |" in page


@pytest.mark.slow
def test_a_small_run_measures_every_sampler(tmp_path):
    """Each in a process of its own, on whatever device there is; takes a few minutes."""
    files = ["--page", str(tmp_path / "page.md"), "--stored", str(tmp_path / "stored.json")]
    command = [
        sys.executable, "-m", "benchmarks.accelerator", "--models", "eight schools", "--chains",
        "64", "--rows", "2000", "--draws", "200", "--seconds", "1200", "--workers", "1", *files,
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    found = json.loads((tmp_path / "stored.json").read_text())["rows"]
    assert len(found) == 1 + len(accelerator.SAMPLERS)
    assert [row.get("failed") for row in found] == [None] * len(found)
