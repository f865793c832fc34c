"""A stored run with a target makes the draws of one in memory, and goes on with its target."""

import warnings

import numpy as np
import pytest

import infer
from infer.store import recorder

from ...cases import mark_slow
from .. import targets
from ..store.logged import Changes, put

UNTIL = infer.Until(rhat=1.5, ess=450, draws=2000)


def sample(**options):
    settings = {"chains": 2, "warmup": 40, "key": 5, "progress": False, "until": UNTIL}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        return infer.sample(targets.normal(), infer.HMC(), **settings | options)


def same(one, other):
    np.testing.assert_array_equal(one["posterior"]["x"], other["posterior"]["x"])
    np.testing.assert_array_equal(one["sample_stats"]["lp"], other["sample_stats"]["lp"])
    assert one.attrs["until"] == other.attrs["until"]


@pytest.fixture(scope="module")
def straight():
    return sample()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A stored run, its path, and every change of its files."""
    where = str(tmp_path_factory.mktemp("until") / "run.zarr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "choose_chunk", lambda *given: 64)
        log = Changes(patch)
        data = sample(store=where)
    return data, where, log


def test_a_stored_run_stops_at_the_check_at_which_one_in_memory_does(stored, straight):
    assert UNTIL.ess / 2 < straight["posterior"].sizes["draw"] < UNTIL.draws
    assert straight.attrs["until_reached"] == 1
    same(stored[0], straight)
    assert infer.open(stored[1]).attrs["until"] == straight.attrs["until"]


@pytest.mark.parametrize("share", mark_slow([0.0, 0.3, 0.5, 0.7, 0.9], [0.3, 0.7]))
def test_a_killed_run_goes_on_to_the_same_target(stored, straight, tmp_path, share):
    log = stored[2].made
    first = [key for key, _ in log].index("run/0.json") + 1
    count = first + int(share * (len(log) - first))
    where = put(tmp_path / "run.zarr", stored[2].as_of(count))
    same(infer.resume(where, targets.normal(), progress=False), straight)


def test_draws_that_are_asked_for_replace_the_target(stored, straight, tmp_path):
    where = put(tmp_path / "run.zarr", stored[2].as_of(len(stored[2].made)))
    more = infer.resume(where, targets.normal(), draws=7, progress=False)
    made = straight["posterior"].sizes["draw"]
    assert more["posterior"].sizes["draw"] == made + 7
    assert "until" not in more.attrs


def test_a_budget_that_ends_is_told_as_in_memory(tmp_path):
    until = infer.Until(rhat=None, ess=1e6, draws=120)
    data = sample(until=until, store=str(tmp_path / "run.zarr"))
    assert data["posterior"].sizes["draw"] == 120
    assert data.attrs["until_reached"] == 0
    assert "unreached_target" in {f.kind for f in infer.verdict(data).findings}
