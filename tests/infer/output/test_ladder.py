"""A ladder answers by Laplace's method if that can be trusted, and samples the other data sets."""

import json
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import Mock

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal, multivariate_t

import bijectors as bj
import infer
from infer.density.family import make_family
from infer.numerics.mode_normals import (
    FREEDOM as T_FREEDOM,
    choose_ends,
    draw_candidates,
    make_normals,
    share_one_mode,
)
from infer.numerics.model_keys import read_keys
from infer.output import rungs
from infer.output.data.pareto import pareto_k, smooth_ratios, smooth_weights
from infer.output.data.provenance import fingerprint_model
from infer.output.judge.datasets import HIGH_RHAT, report_affected
from infer.output.stored import shards
from infer.output.stored.samplers import describe_sampler, make_sampler
from infer.output.stored.shard import Shard

CHAINS, DRAWS = 2, 300
HMC = infer.HMC(stop_early=False)
LADDER = infer.Ladder(HMC)
OPTIONS: Any = {"chains": CHAINS, "draws": DRAWS, "warmup": 40, "progress": False}
# What is planted in each data set: two modes, a bend, and tails of a t distribution.
SPLIT = np.array([0.0, 4.0, 1e-3, 2e-3, 3e-3])
BEND = np.array([0.2, 0.0, 10.0, 0.01, 0.02])
FREEDOM = np.array([1e6, 2e6, 3e6, 5e6, 4e6])
PLANTED = [1, 2]


def log_density(values, data):
    """Means: x is about 0, y about the bend times the mean of x^2, z about 1."""
    x, y, z = values["x"], values["y"], values["z"]
    halves = [-0.5 * (x - data["split"]) ** 2, -0.5 * (x + data["split"]) ** 2]
    # Without its constant, in which log gammas of millions cancel.
    tail = -(data["freedom"] + 1) / 2 * jnp.log1p((z - 1) ** 2 / (4 * data["freedom"]))
    return jnp.logaddexp(*halves) - 0.5 * (y - data["bend"] * x**2) ** 2 + tail


@pytest.fixture(scope="module")
def models():
    sites = {name: bj.Real() for name in "xyz"}
    each = zip(SPLIT, BEND, FREEDOM, strict=True)
    data = [{"split": s, "bend": b, "freedom": f} for s, b, f in each]
    first = infer.declared(log_density, sites, data=data[0])
    return [first.with_data(own) for own in data]


@pytest.fixture(scope="module")
def result(models):
    with pytest.warns(infer.SamplingWarning, match="of 2 data sets"):
        return infer.sample(models, LADDER, key=range(5), **OPTIONS)


def test_data_sets_on_which_laplace_fails_are_sampled_and_the_others_are_not(result):
    found = result["ladder"]
    assert list(found["rung"].values) == ["Laplace", "HMC", "HMC", "Laplace", "Laplace"]
    reasons = list(found["reason"].values)
    assert reasons[0] == reasons[3] == reasons[4] == ""
    assert "several modes" in reasons[1]
    assert any(word in reasons[2] for word in ("k-hat", "worth", "mass"))
    assert (result.attrs["laplace_data_sets"], result.attrs["sampled_data_sets"]) == (3, 2)
    assert np.isnan(found["khat"][1])
    assert (found["importance_ess"][[0, 3, 4]] > 100 * CHAINS).all()


def test_attributes_name_all_data_sets_and_not_those_that_were_sampled(models, result):
    assert result.attrs["key"] == ", ".join(map(str, read_keys(range(5), 5)[0].tolist()))
    assert result.attrs["model_fingerprint"] == fingerprint_model(
        make_family(models, jacobian=True)
    )


def test_draws_of_laplace_follow_the_posterior_and_not_the_normal(models):
    """The mean of y is the bend, 0.2, and 0 for the normal at the mode.

    By the central limit theorem, one seed in 10^6 fails: five standard errors of at least 2,500
    independent draws are 0.1.
    """
    long = OPTIONS | {"draws": 2000}
    draws = infer.sample([models[0], models[4]], LADDER, key=[0, 4], **long)["posterior"]
    first = draws.isel(dataset=0)
    assert abs(float(first["y"].mean()) - 0.2) < 0.1
    assert abs(float(first["x"].mean())) < 0.1
    assert abs(float(first["z"].mean()) - 1.0) < 0.2
    assert abs(float(first["z"].std()) / 2 - 1) < 0.1


def test_sampled_data_sets_have_the_draws_of_a_call_of_their_own(models, result):
    own = infer.start([models[i] for i in PLANTED], HMC, key=PLANTED, chains=CHAINS, warmup=40)
    positions = own.advance(DRAWS).draws().positions.reshape(2, CHAINS, DRAWS, 3)
    for k, name in enumerate("xyz"):
        theirs = result["posterior"][name].isel(dataset=PLANTED)
        np.testing.assert_array_equal(theirs, np.moveaxis(positions[..., k], 0, 2))


def test_a_data_set_does_not_depend_on_the_others_and_all_may_be_answered(models, result):
    again = infer.sample([models[0], models[4]], LADDER, key=[0, 4], **OPTIONS)
    assert again.attrs["sampled_data_sets"] == 0
    assert again.attrs["verdict"] == ""
    for name in "xyz":
        expected = result["posterior"][name].isel(dataset=[0, 4])
        np.testing.assert_array_equal(again["posterior"][name], expected)
    expected = result["sample_stats"]["lp"].isel(dataset=[0, 4])
    np.testing.assert_array_equal(again["sample_stats"]["lp"], expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::infer.SamplingWarning")
def test_all_or_one_may_be_sampled(models, result):
    every = infer.sample([models[1], models[2]], LADDER, key=[1, 2], **OPTIONS)
    assert list(every["ladder"]["rung"].values) == ["HMC", "HMC"]
    one = infer.sample([models[0], models[2]], LADDER, key=[0, 2], **OPTIONS)
    assert list(one["ladder"]["rung"].values) == ["Laplace", "HMC"]
    other = infer.sample([models[0], models[1]], LADDER, key=[0, 1], **OPTIONS)
    gradients = [own.attrs["warmup_gradients"] for own in (one, other)]
    assert every.attrs["warmup_gradients"] == sum(gradients)
    expected = result["posterior"]["z"][:, :, 2]
    for found in (every, one):
        np.testing.assert_array_equal(found["posterior"]["z"][:, :, 1], expected)


def test_relocated_chains_are_numbered_among_those_of_all_data_sets():
    """Of one data set that was sampled twice, and of two."""
    for which, expected in ((np.array([3]), (7,)), (np.array([2, 4]), (5, 8))):
        run = Mock(chains=4, family=Mock(count=2), warmup=Mock(relocated=(1, 2)))
        assert rungs._number_relocated(rungs._Sampled(which, run, Mock())) == expected


def assert_same(found, expected):
    """All arrays and the verdict are the same, but for coordinates of one data set alone."""
    for group in ("posterior", "sample_stats", "ladder", "constant_data", "observed_data"):
        for name, array in (expected[group].data_vars if group in expected else {}).items():
            np.testing.assert_array_equal(found[group][name], array, err_msg=str(name))
    theirs = {n: a for n, a in expected.attrs.items() if not is_of_a_call(n)}
    assert {name: found.attrs.get(name) for name in theirs} == theirs


def is_of_a_call(attribute):
    return attribute in ("created_at", "compilations", "sampling_time") or "seconds" in attribute


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::infer.SamplingWarning")
def test_a_stopped_ladder_goes_on_from_its_store(models, result, tmp_path, monkeypatch):
    """Laplace's method answers for one of two, then for one of two, then for the last one alone."""
    where, sampled = str(tmp_path / "run.zarr"), shards._Sharded._sample_here
    monkeypatch.setattr(shards, "SHARD", 2)

    def sample_until_stopped(self, part):
        if part.begin == 4:
            raise KeyboardInterrupt
        return sampled(self, part)

    with monkeypatch.context() as stopped:
        stopped.setattr(shards._Sharded, "_sample_here", sample_until_stopped)
        with pytest.raises(KeyboardInterrupt):
            infer.sample(models, LADDER, key=range(5), store=where, **OPTIONS)
    begun = infer.open(where)
    assert begun["posterior"].sizes["dataset"] == 4
    assert begun.attrs["verdict"] == result.attrs["verdict"]
    with pytest.raises(infer.RunError, match="run.zarr: it holds a run of Ladder.*searches=3"):
        infer.resume(where, models, infer.Ladder(HMC, searches=3))
    finished = infer.resume(where, models, LADDER, progress=False)
    assert_same(finished, result)
    assert_same(infer.open(where), result)


def test_a_stored_ladder_goes_on_with_its_own_settings():
    """Those on which no program depends, such as the target of a step size, are compared too."""
    about = json.loads(json.dumps(describe_sampler(LADDER)))
    for given in (None, LADDER, HMC):
        assert repr(make_sampler("run.zarr", about, given)) == repr(LADDER)
    others = {
        "Ladder with searches=8, and searches=3 is given": infer.Ladder(HMC, searches=3),
        "HMC with target_acceptance=0.8, and target_acceptance=0.9 is": replace(
            LADDER, engine=replace(HMC, target_acceptance=0.9)
        ),
        "HMC with stop_early=False, and stop_early=True is given": infer.HMC(),
        "HMC, and NUTS.* is given. Leave the engine out": infer.NUTS(),
    }
    for words, given in others.items():
        with pytest.raises(infer.RunError, match=f"run.zarr: it holds a run of {words}"):
            make_sampler("run.zarr", about, given)
    del about["ladder"]
    with pytest.raises(infer.RunError, match="a run of HMC, and Ladder"):
        make_sampler("run.zarr", about, LADDER)


def test_attributes_of_a_stored_ladder_are_those_of_its_sampler():
    """The second shard samples; Laplace's method answers for the others, so nothing warms up."""
    call = Mock(
        about={"done": 0, "affected": {}, "texts": [], "attributes": {}, "whole": {"key": 7}}
    )
    for begin, sampled in ((0, 0), (2, 1), (4, 0)):
        counts = {"warmup_draws": 40 * sampled, "warmup_planned": 50 * sampled}
        counts |= {"sampled_data_sets": sampled, "native_loop": sampled, "key": begin}
        shards._Sharded._count(call, Shard(begin, 2, None, {}, counts, {}, []))
    found = call.about["attributes"]
    assert (found["warmup_draws"], found["warmup_planned"], found["native_loop"]) == (40, 50, 1)
    assert (found["sampled_data_sets"], found["key"]) == (1, 7)


def test_one_data_set_is_not_written_as_several():
    (finding,) = report_affected({HIGH_RHAT: 1}, 1)
    assert str(finding).startswith("of 1 data set, R-hat")


def test_a_stored_ladder_has_the_statistics_of_its_engine_if_laplace_never_fails(
    models, result, tmp_path
):
    where = str(tmp_path / "run.zarr")
    stored = infer.sample([models[0], models[4]], LADDER, key=[0, 4], store=where, **OPTIONS)
    own = result["sample_stats"].isel(dataset=[0, 4])
    assert set(stored["sample_stats"]) == set(own)
    for name, array in own.items():
        np.testing.assert_array_equal(stored["sample_stats"][name], array)
        assert stored["sample_stats"][name].dtype == array.dtype
    assert stored.attrs["verdict"] == infer.open(where).attrs["verdict"] == ""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::infer.SamplingWarning")
def test_a_cluster_climbs_as_one_process_does(models, result, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    monkeypatch.setattr(shards, "SMALL_SHARD", 2)
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with (
        distributed.LocalCluster(processes=False, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        where = str(tmp_path / "run.zarr")
        found = infer.sample(models, LADDER, key=range(5), store=where, client=client, **OPTIONS)
    assert_same(found, result)


def test_statistics_say_which_method_made_a_draw(models, result):
    stats, density = result["sample_stats"], infer.log_density(models[4])
    assert np.isnan(stats["energy"].isel(dataset=0)).all()
    assert np.isfinite(stats["energy"].isel(dataset=1)).all()
    assert not stats["diverging"].isel(dataset=0).any()
    point = [float(result["posterior"][n][0, 7, 4]) for n in "xyz"]
    np.testing.assert_allclose(stats["lp"][0, 7, 4], density(jnp.array(point)), rtol=1e-9)


def test_the_verdict_is_about_the_data_sets_that_were_sampled(result):
    """Chains cannot cross between modes 8 standard deviations apart."""
    finding = result["ladder"]["finding"]
    assert "R-hat" in str(finding[1].values)
    assert (finding[[0, 4]] == "").all()
    assert "of 2 data sets" in result.attrs["verdict"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"until": infer.Until(ess=9)}, "until: infer.Ladder.. does not take it"),
        ({"thin": 2}, "thin: infer.Ladder"),
        ({"include": "log_likelihood"}, "include: infer.Ladder"),
        ({"client": object()}, "client: it is a object"),
        ({"keep": "x"}, "keep: it says what is stored"),
        ({"group": 0}, "group: 0 was given"),
        ({"warmup": -1}, "warmup: -1 was given"),
    ],
)
def test_arguments_that_do_not_go_with_a_ladder_are_refused(models, options, words):
    with pytest.raises(infer.RunError, match=words):
        infer.sample([models[0], models[4]], infer.Ladder(), **options)


def test_a_single_model_and_wrong_settings_are_refused(models):
    with pytest.raises(infer.RunError, match="for several models"):
        infer.sample(models[0], infer.Ladder())
    with pytest.raises(infer.EngineError, match="engine of its last rung"):
        infer.Ladder(infer.Laplace())
    for wrong in (0.9, "0.5", None):
        with pytest.raises(infer.EngineError, match=f"max_khat is {wrong!r}.*number above 0"):
            infer.Ladder(max_khat=wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(infer.RunError, match="searches"):
        infer.Ladder(searches=1)


def test_normals_have_the_inverse_of_minus_the_hessian_as_their_covariance():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 2, 2)) * [[10.0], [0.1]]
    covariances = root @ root.swapaxes(1, 2)
    hessians, modes = -np.linalg.inv(covariances), rng.normal(size=(3, 2))
    hessians[2] = np.diag([-1.0, 1.0])
    normals = make_normals(modes, hessians)
    assert list(normals.is_definite) == [True, True, False]
    noise, scales = rng.normal(size=(3, 6, 2)), rng.chisquare(T_FREEDOM, (3, 3))
    made = draw_candidates(normals, noise, scales)
    draws, log_q = made.draws, made.log_q
    for i in (0, 1):
        each = multivariate_normal, partial(multivariate_t, df=T_FREEDOM)
        halves = [f(modes[i], covariances[i]).logpdf(draws[i]) for f in each]
        np.testing.assert_allclose(log_q[i], np.logaddexp(*halves) - np.log(2), rtol=1e-6)
        steps = (draws[i] - modes[i]) @ normals.factors[i]
        steps[3:] /= np.sqrt(T_FREEDOM / scales[i])[:, None]
        np.testing.assert_allclose(steps, noise[i], rtol=1e-6)


def test_mass_that_the_normal_does_not_reach_is_found_by_the_t_distribution():
    """A posterior of one density is the normal; of the other, nine tenths are 8 sd away.

    The evidences are 1 and 10, and that of the normal half 1 for both.
    """
    rng = np.random.default_rng(0)
    normals = make_normals(np.zeros((2, 1)), -np.ones((2, 1, 1)))
    made = draw_candidates(
        normals, rng.normal(size=(2, 4000, 1)), rng.chisquare(T_FREEDOM, (2, 2000))
    )
    lp = -0.5 * made.draws[..., 0] ** 2 - 0.5 * np.log(2 * np.pi)
    far = np.log(9) - 0.5 * (made.draws[1, :, 0] - 8) ** 2 - 0.5 * np.log(2 * np.pi)
    lp[1] = np.logaddexp(lp[1], far)
    assert list(made.agree(lp)) == [True, False]


def test_ends_of_searches_are_compared_in_standard_deviations():
    """Three searches each: at one mode, at two, and with one that ended higher unconverged."""
    lp = np.array([[-1.0, -1.0, -9.0], [-1.0, -1.5, -1.0], [-1.0, -1.0, 5.0]])
    reasons = np.array([[1, 2, 3], [1, 1, 1], [1, 1, 5]])
    best, is_found, is_highest = choose_ends(lp, reasons)
    assert list(best) == [0, 0, 0]
    assert is_found.all()
    assert list(is_highest) == [True, True, False]
    normals = make_normals(np.zeros((3, 1)), -np.full((3, 1, 1), 1e4))
    ends = np.array([[0, 1e-5, 3], [0, 0, 5e-3], [0, 0, 0]])[..., None]
    found = np.isin(reasons, (1, 2))
    assert list(share_one_mode(normals, ends, found)) == [True, False, True]
    assert not choose_ends(np.array([[np.nan, 0.0]]), np.array([[1, 3]]))[1]


@pytest.mark.parametrize("zeros", [0, 10, 100])
def test_ratios_are_smoothed_once_for_weights_and_khat(zeros):
    ratios = np.random.default_rng(0).normal(size=100)
    ratios[:zeros] = -np.inf
    weights, khat = smooth_ratios(ratios)
    np.testing.assert_array_equal(weights, smooth_weights(ratios))
    assert khat == pareto_k(ratios)
    assert np.isinf(smooth_ratios(np.append(ratios, np.nan))[1])
