"""Garbage collection is off while a model is traced, and on again afterwards."""

import gc

import numpyro.distributions as dist
import pytest

import infer
from bijectors.garbage import UNSEARCHED, pause_collection


def test_collection_is_off_inside_and_on_again_after_an_error():
    assert gc.isenabled()
    with pause_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError):
        pause_collection()({}.__getitem__)("missing")
    assert gc.isenabled()


def test_collection_is_off_until_the_last_of_several_threads_leaves():
    first, second = pause_collection(), pause_collection()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_collection_that_the_user_turned_off_stays_off():
    gc.disable()
    try:
        with pause_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_model_is_traced_with_collection_off():
    seen = []

    def model(site):
        seen.append(gc.isenabled())
        site("x", dist.Normal(0.0, 1.0))

    infer.sample(infer.model(model), chains=1, draws=2, warmup=0, progress=False)
    assert seen
    assert not any(seen)
    assert gc.isenabled()


@pytest.mark.parametrize(("ended", "young"), [([], False), ([None] * UNSEARCHED, True)])
def test_what_the_first_pauses_leave_counts_as_old(monkeypatch, ended, young):
    monkeypatch.setattr("bijectors.garbage._ended", list(ended))
    # The tests themselves exempt what they import.
    monkeypatch.setattr(gc, "get_freeze_count", lambda: 0)
    with pause_collection():
        made = [[] for _ in range(100)]
    gc.disable()
    try:
        assert any(own is made[50] for own in gc.get_objects(generation=0)) == young
    finally:
        gc.freeze()
        gc.enable()


def test_only_the_first_pauses_count_what_the_user_exempted(monkeypatch):
    counted = []
    monkeypatch.setattr("bijectors.garbage._ended", [])
    monkeypatch.setattr(gc, "get_freeze_count", lambda: len(counted.append(None) or counted))
    for _ in range(2 * UNSEARCHED):
        with pause_collection():
            pass
    assert len(counted) == UNSEARCHED


def test_what_the_user_exempted_from_collection_stays_so(monkeypatch):
    monkeypatch.setattr("bijectors.garbage._ended", [])
    gc.freeze()
    with pause_collection():
        pass
    assert gc.get_freeze_count()
