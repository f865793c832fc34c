"""What the last process needed is loaded ahead, and what is not needed after all does no harm."""

from threading import current_thread, main_thread

import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.programs import ahead, cached, native

OPTIONS = {"draws": 20, "warmup": 20, "chains": 1, "progress": False}


@pytest.fixture
def draw(folder, monkeypatch):
    """Draw as the next process would; also return in which threads executables were loaded."""
    load, threads = cached.load_now, {}

    def load_and_note(name, *structures):
        threads.setdefault(name, []).append(current_thread())
        return load(name, *structures)

    monkeypatch.setattr(ahead, "load_now", load_and_note)
    monkeypatch.setattr(cached, "load_now", load_and_note)

    def draw(model):
        monkeypatch.setattr(native, "_kept", type(native._kept)())
        ahead.used.clear()
        threads.clear()
        found = infer.sample(model, infer.HMC(), **OPTIONS)
        assert not ahead.loading
        return found["posterior"]["x"].values, dict(threads)

    return draw


def make(scale):
    return infer.model(lambda site: site("x", dist.Normal(0.0, scale), shape=(2,)))


def test_the_loop_is_loaded_ahead_once_with_the_same_draws(draw, folder):
    first, _ = draw(make(1.0))
    largest = max(folder.glob("*.executable"), key=lambda path: path.stat().st_size)
    again, threads = draw(make(1.0))
    np.testing.assert_array_equal(first, again)
    assert len(threads[largest.name]) == 1
    assert main_thread() not in threads[largest.name]


def test_what_is_loaded_ahead_is_not_used_for_another_program(draw, monkeypatch):
    draw(make(1.0))
    first, _ = draw(make(3.0))
    # Give both models the same description, so that only the survey can tell them apart.
    monkeypatch.setattr(ahead, "_describe", lambda *_: "the same")
    draw(make(1.0))
    again, _ = draw(make(3.0))
    np.testing.assert_array_equal(first, again)


def test_a_file_that_is_gone_is_compiled_again(draw, folder):
    first, _ = draw(make(1.0))
    for path in folder.glob("*.executable"):
        path.unlink()
    again, _ = draw(make(1.0))
    np.testing.assert_array_equal(first, again)
