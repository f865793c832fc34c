"""A process ends quickly, unless that would lose what a finalizer does."""

import subprocess
import sys

import pytest

# Registered before, and therefore called after what `infer` registers.
ASK = """import atexit, gc
before = gc.get_freeze_count()
atexit.register(lambda: print(gc.get_freeze_count() > before))
import infer
"""
HOLDER = "class Holder:\n    def __init__(self, held): self.held, self.me = held, self\n"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout


def test_objects_that_only_take_memory_are_left_alone():
    assert run(ASK + HOLDER + f"a = Holder(open({__file__!r}))\nnext(iter('a'))") == "True\n"


def test_a_buffer_of_a_file_in_a_cycle_is_written(tmp_path):
    path = tmp_path / "lines"
    assert run(ASK + HOLDER + f"a = Holder(open({str(path)!r}, 'w'))\na.held.write('all')") == (
        "False\n"
    )
    assert path.read_text() == "all"


@pytest.mark.parametrize(
    "code",
    [
        "class Own(Holder):\n    def __del__(self): print('done')\na = Own(1)",
        "def wait():\n    try: yield\n    finally: print('done')\na = Holder(wait()); next(a.held)",
    ],
)
def test_a_finalizer_in_a_cycle_is_called(code):
    assert run(ASK + HOLDER + code) == "False\ndone\n"
