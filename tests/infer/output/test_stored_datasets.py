"""A stored run of 200 data sets is read, judged, killed and resumed like one of a single model."""

import warnings

import numpy as np
import pytest

import infer
from infer.store import recorder

from .. import targets
from ..store.logged import Changes, put

COUNT = 200
MEANS = np.random.default_rng(3).normal(size=(COUNT, *np.shape(targets.MEAN)))


def models():
    return [targets.normal(mean=mean) for mean in MEANS]


def sample(store=None, draws=120):
    options = {"chains": 2, "warmup": 60, "draws": draws, "key": 4, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        return infer.sample(models(), infer.HMC(), store=store, **options)


def same(one, other):
    for group, name in (("posterior", "x"), ("sample_stats", "lp"), ("sample_stats", "step_size")):
        np.testing.assert_array_equal(one[group][name], other[group][name], err_msg=name)


@pytest.mark.slow
def test_two_hundred_data_sets_are_stored_judged_and_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "choose_chunk", lambda *given: 32)
    log, where = Changes(monkeypatch), str(tmp_path / "run.zarr")
    straight, stored = sample(), sample(where)
    same(stored, straight)
    same(infer.open(where), straight)
    assert stored["posterior"]["x"].sizes["dataset"] == COUNT
    kept, read = infer.verdict(straight), infer.verdict(stored)
    assert [str(f) for f in read.findings] == [str(f) for f in kept.findings]
    assert infer.open(where).attrs["verdict"] == "\n".join(read.findings)
    made = len(log.made)
    for share in (0.35, 0.7):
        killed = put(tmp_path / f"killed-{share}", log.as_of(int(share * made)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", infer.SamplingWarning)
            same(infer.resume(killed, models(), progress=False), straight)
            more = infer.resume(killed, models(), draws=10, progress=False)
        same(more, sample(draws=130))
