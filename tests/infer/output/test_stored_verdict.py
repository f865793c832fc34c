"""A stored run is judged and explained like one in memory, by draws read from its store."""

import warnings

import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.output.data import recorded
from infer.output.data.origin import find_run
from infer.output.judge.flat_vectors import compute_gradients
from infer.output.judge.tails import has_wide_tails
from infer.store import recorder

DRAWS = 300


def funnel(site):
    spread = site("spread", dist.HalfNormal(3.0))
    site("x", dist.Normal(0.0, spread), shape=(3,), centered=True)


def sample(store=None, **options):
    settings = {"chains": 2, "draws": DRAWS, "key": 1, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        return infer.sample(infer.model(funnel), infer.HMC(), store=store, **settings | options)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same run in memory, and in a store with chunks of 64 draws; and the store."""
    where = str(tmp_path_factory.mktemp("judged") / "run.zarr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "choose_chunk", lambda *given: 64)
        return sample(), sample(where), where


def test_all_but_the_last_chunk_has_left_the_memory(runs):
    assert find_run(runs[1]).groups[0].dropped == DRAWS - DRAWS % 64


def test_the_verdict_of_a_store_has_the_findings_of_one_in_memory(runs):
    kept, stored = infer.verdict(runs[0]), infer.verdict(runs[1])
    assert [(f.kind, f.sites) for f in stored.findings] == [
        (f.kind, f.sites) for f in kept.findings
    ]
    assert {"narrow_neck", "divergences"} <= {f.kind for f in stored.findings}
    assert not stored.not_checked
    assert infer.open(runs[2]).attrs["verdict"] == "\n".join(stored.findings)


def test_positions_and_gradients_are_computed_from_a_store(runs):
    kept = find_run(runs[0]).draws()
    stored = recorded.read_recorded(find_run(runs[1]), runs[1]).draws
    np.testing.assert_allclose(stored.positions, kept.positions, rtol=1e-12, atol=1e-12)
    gradients = compute_gradients(find_run(runs[1]), stored.positions)
    np.testing.assert_allclose(gradients, kept.gradients, rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(stored.stats["lp"], kept.stats["lp"])


def test_divergences_of_a_store_are_followed_from_the_same_points(runs):
    kept, stored = map(infer.explain_divergences, runs[:2])
    assert kept.total == stored.total > 0
    np.testing.assert_array_equal(stored.chain, kept.chain)
    np.testing.assert_array_equal(stored.draw, kept.draw)
    np.testing.assert_allclose(stored.start["x"], kept.start["x"], rtol=1e-9, atol=1e-12)


def test_the_time_of_a_stored_run_is_explained_by_all_its_draws(runs):
    kept, stored = map(infer.why_slow, runs[:2])
    assert (stored.sampled, stored.histogram, stored.at_limit) == (
        kept.sampled,
        kept.histogram,
        kept.at_limit,
    )


def test_evenly_spaced_draws_are_judged_with_whole_counts_of_divergences(runs, monkeypatch):
    monkeypatch.setattr(recorded, "MAX_NUMBERS", 800)
    verdict, whole = infer.verdict(runs[1]), infer.verdict(runs[0])
    assert verdict.not_checked == (
        "Of 300 stored draws per chain, 100 evenly spaced ones were judged.",
    )
    (found,) = (f for f in verdict.findings if f.kind == "divergences")
    (same,) = (f for f in whole.findings if f.kind == "divergences")
    count = f"of {2 * DRAWS} transitions"
    assert str(found).partition(count)[0] == str(same).partition(count)[0] != ""


def test_what_needs_sites_that_are_not_stored_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "choose_chunk", lambda *given: 64)
    where = str(tmp_path / "run.zarr")
    data = sample(where, draws=130, keep="spread")
    assert infer.verdict(data).not_checked == (
        "Modes, mirror images and narrow necks were not looked for, since x is not stored.",
    )
    assert infer.open(where).attrs["verdict_not_checked"] == infer.verdict(data).not_checked[0]
    with pytest.raises(infer.RunError, match="store does not have x"):
        infer.explain_divergences(data)


def test_gradients_of_stored_draws_are_needed_for_wide_tails_alone():
    rng = np.random.default_rng(1)
    assert has_wide_tails(rng.standard_cauchy((4, 500, 3)))
    assert not has_wide_tails(rng.normal(size=(4, 500, 3)))
