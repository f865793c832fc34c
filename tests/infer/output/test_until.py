"""Sampling until a target checks every number, and says what was reached and what more brings."""

import dataclasses
import types

import arviz as az
import numpy as np
import pytest
import xarray

import infer
from infer.output import until_goal
from infer.output.advance.goal import FixedGoal
from infer.output.data.angles import mark_angles
from infer.output.judge import scalars
from infer.output.judge.scalars import Mixing, Scalars
from infer.output.judge.until import Until, advise, find_shortfall
from infer.output.until_goal import UntilGoal, choose_goal
from infer.run.places import Places
from infer.run.state import Timing

from .. import targets


def autoregression(rho, shape, seed=0):
    """Standard normal series with the correlation rho from draw to draw, along axis 1."""
    noise = np.random.default_rng(seed).normal(size=shape)
    series = [noise[:, 0]]
    for i in range(1, shape[1]):
        series.append(rho * series[-1] + np.sqrt(1 - rho**2) * noise[:, i])
    return np.stack(series, 1)


def size_of(draws, method):
    """ArviZ's effective sample size; ArviZ 1 has no default for the tails of an array."""
    return float(az.ess(draws, method=method, prob=(0.05, 0.95) if method == "tail" else None))


# A target that no number has, so that all are judged.
ALL = Until(ess=1e9).estimate_need


def posterior(**values):
    arrays = {
        name: (("chain", "draw", *(f"{name}_dim_{i}" for i in range(a.ndim - 2))), a)
        for name, a in values.items()
    }
    return xarray.Dataset(arrays)


class Series:
    """A run whose draws are a given series; it "samples" by counting on."""

    def __init__(self, seconds_per_draw=0.0, warmup=0.0, **values):
        self.values, self.made, self.each = values, 0, seconds_per_draw
        self.timing, self.places = Timing(warmup=warmup), Places()

    def advance_to(self, draws):
        self.timing.sampling += (draws - self.made) * self.each
        self.made = draws

    def data(self):
        return {"posterior": posterior(**{n: a[:, : self.made] for n, a in self.values.items()})}


@pytest.fixture
def follow(monkeypatch):
    """Follow a goal on a series; return the numbers of draws after each stretch."""
    monkeypatch.setattr(until_goal, "read_posterior", lambda run: run.data()["posterior"])
    monkeypatch.setattr(until_goal, "count_made", lambda run: run.made)

    def follow(goal, run):
        made = []
        while (draws := goal.next_draws(run)) is not None:
            run.advance_to(draws)
            made.append(draws)
        return made

    return follow


def good(*shape, draws=2000, seed=3):
    return autoregression(0.0, (4, draws, *shape), seed)


def slow(*shape, rho=0.9, draws=20_000, seed=1):
    return autoregression(rho, (4, draws, *shape), seed)


def test_independent_draws_are_enough_at_one_of_the_first_checks(follow):
    goal = UntilGoal(Until(ess=400), chains=4)
    made = follow(goal, Series(x=good()))
    assert made[0] == 100
    assert made[-1] <= 250
    assert goal.is_reached


def test_checks_begin_at_the_least_useful_number_and_end_at_the_budget():
    assert Until(ess=400).choose_first_check(4) == 100
    assert Until(ess=4000).choose_first_check(4) == 1000
    assert Until(ess=4000, draws=700).choose_first_check(4) == 700
    assert Until(draws=700).choose_next_check(600, 9.0) == 700
    assert Until(draws=700).choose_next_check(700, 9.0) is None


def test_the_next_check_is_where_the_target_is_expected_within_limits():
    until = Until(draws=None, seconds=60)
    assert until.choose_next_check(1000, 2.0) == 2400
    assert until.choose_next_check(1000, 1.01) == 1500
    assert until.choose_next_check(1000, np.inf) == 4000


def test_the_slowest_number_decides_by_all_three_diagnostics_of_arviz(follow):
    """Oracle: every number judged by ArviZ at each check."""
    values = {"x": good(3, draws=20_000), "y": slow(2)}
    made = follow(UntilGoal(Until(rhat=1.01, ess=600), 4), Series(**values))
    numbers = [values["x"][..., i] for i in range(3)] + [values["y"][..., i] for i in range(2)]

    def has_it(draws):
        cut = [a[:, :draws] for a in numbers]
        sizes = [size_of(a, m) for a in cut for m in ("bulk", "tail")]
        return min(sizes) >= 600 and max(float(az.rhat(a)) for a in cut) <= 1.01

    assert [has_it(draws) for draws in made] == [False] * (len(made) - 1) + [True]
    assert made[-1] > 1000
    assert len(made) <= 6


def test_a_tail_that_mixes_slowly_is_not_missed_among_many_numbers():
    """The sign is new at every draw, but the size lingers: only tails and spread are slow."""
    many = good(300, draws=400)
    linger = np.exp(slow(rho=0.97, draws=400)) * np.sign(good(draws=400, seed=9))
    many[..., 137] = linger
    assert Scalars(posterior(x=many)).judge(ALL)[0].name == "x[137]"
    assert UntilGoal(Until(draws=400), 4)._check(posterior(x=many), 400) > 1


def test_every_entry_of_a_large_posterior_is_screened(monkeypatch):
    monkeypatch.setattr(scalars, "MAX_ENTRIES", 4 * 200 * 7)
    many = good(5, 9, draws=200)
    many[..., 3, 7] += np.arange(4)[:, None]
    monkeypatch.setattr(scalars, "FEW_ENTRIES", 0)
    worst = Scalars(posterior(a=good(draws=200), x=many)).judge(ALL)[0]
    assert worst.name == "x[3,7]"
    own = many[..., 3, 7]
    oracle = [float(az.rhat(own)), float(az.ess(own)), size_of(own, "tail")]
    np.testing.assert_allclose(worst[1:], oracle, rtol=1e-9)


def test_of_many_numbers_with_ample_ess_only_the_worst_few_are_measured(monkeypatch):
    many = good(20, draws=2000)
    many[..., 7], many[..., 9] = slow(draws=2000), slow(draws=2000, seed=8)
    found = Scalars(posterior(x=many))
    modest = Until(rhat=1.01, ess=100).estimate_need
    assert {mixing.name for mixing in found.judge(modest)[:2]} == {"x[7]", "x[9]"}
    monkeypatch.setattr(scalars, "FEW_ENTRIES", 0)
    assert {mixing.name for mixing in found.judge(modest)[:2]} == {"x[7]", "x[9]"}
    assert len(found.judge(modest)) == 4
    assert len(found.judge(ALL)) == 20


def test_angles_are_judged_on_the_circle(follow):
    phi = np.angle(np.exp(1j * (np.pi + 0.1 * good(draws=200))))
    assert size_of(phi, "tail") > 0
    angles = mark_angles(posterior(phi=phi), ["phi"])
    assert {mixing.name for mixing in Scalars(angles).judge(ALL)} == {"cos phi", "sin phi"}


def test_numbers_that_do_not_vary_or_are_not_finite_are_left_out_but_not_all(follow):
    fixed, broken = np.ones((4, 200)), good(draws=200)
    broken[0, 3] = np.nan
    (only,) = Scalars(posterior(fixed=fixed, broken=broken, x=good(draws=200))).judge(ALL)
    assert only.name == "x"
    goal = UntilGoal(Until(draws=200), 4)
    assert follow(goal, Series(fixed=fixed)) == [100, 200]
    assert not goal.is_reached


def test_every_data_set_must_have_the_target(follow):
    x = good(5)
    x[..., 3] = slow(draws=2000)
    sets = posterior(x=x).rename({"x_dim_0": "dataset"})
    assert Scalars(sets).judge(ALL)[0].name == "x[3]"


def test_the_budget_of_draws_ends_it_with_a_finding_that_names_what_is_short(follow):
    goal, run = UntilGoal(Until(rhat=None, ess=400, draws=300), 4), Series(0.1, mu=good(), y=slow())
    assert follow(goal, run) == [100, 300]
    told = goal.conclude(run, run.data())
    (finding,) = find_shortfall(types.SimpleNamespace(attrs=told))
    assert (finding.kind, finding.sites) == ("unreached_target", ("y",))
    assert finding.startswith("until= was not reached with 300 draws per chain: bulk ESS at least")
    assert "(y)" in finding
    size = min(size_of(slow()[:, :300], m) for m in ("bulk", "tail"))
    assert f"about {float(f'{300 * 400 / size:.2g}'):.0f} draws per chain" in finding


def test_what_was_reached_is_an_attribute_without_a_finding(follow):
    goal, run = UntilGoal(Until(), 4), Series(x=good())
    made = follow(goal, run)[-1]
    told = goal.conclude(run, run.data())
    assert find_shortfall(types.SimpleNamespace(attrs=told)) == ()
    assert told["until_reached"] == 1
    assert told["until"].startswith(f"reached with {made} draws per chain: R-hat at")
    assert told["until"].endswith("; asked for: R-hat 1.01, ESS 400")


def test_the_estimate_is_linear_in_ess_and_in_the_excess_of_rhat():
    until = Until(rhat=1.01, ess=400)
    assert until.factor(Mixing("x", 1.03, 800, 400)) == pytest.approx(3)
    assert until.factor(Mixing("x", 1.001, 800, 100)) == pytest.approx(4)
    assert until.factor(Mixing("x", 1.01, 400, 400)) <= 1
    assert until.factor(Mixing("x", np.nan, 800, 800)) == np.inf
    text = advise(until, [Mixing("x", 1.001, 800, 100)], draws=1000, seconds=60)
    assert "about 4000 draws per chain would reach it, in another 03:00" in text


def test_chains_far_apart_are_not_promised_that_more_draws_help():
    text = advise(Until(), [Mixing("x", 1.7, 8, 8)], draws=1000, seconds=60)
    assert "different modes" in text
    assert "draws per chain would" not in text


def test_the_budget_of_seconds_counts_all_that_the_run_took(follow):
    goal = UntilGoal(Until(rhat=None, draws=None, seconds=1e4), 4)
    # 5000 s of warm-up and 10 s for each draw.
    assert follow(goal, Series(10.0, 5000.0, x=slow())) == [100, 400, 1600]
    assert not goal.is_reached


def test_a_budget_that_ends_in_warmup_keeps_the_run():
    run = infer.start(targets.normal(), infer.NUTS(), chains=2, warmup=40, key=5, progress=False)
    with pytest.raises(infer.RunError, match="0.001 s ended before every chain") as caught:
        UntilGoal(Until(seconds=0.001), 2).next_draws(run)
    assert caught.value.run is run


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rhat": 1.0}, "Until(rhat=): 1.0 was given. Give a number above 1"),
        ({"rhat": "1.01"}, "Until(rhat=)"),
        ({"ess": -5}, "Until(ess=)"),
        ({"ess": np.inf}, "Until(ess=)"),
        ({"seconds": 0}, "Until(seconds=)"),
        ({"seconds": np.nan}, "Until(seconds=)"),
        ({"draws": 2.5}, "Until(draws=)"),
        ({"draws": 0}, "Until(draws=)"),
        ({"ess": True}, "Until(ess=)"),
        ({"rhat": None, "ess": None}, "neither rhat nor ess"),
        ({"draws": None}, "no budget"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(infer.RunError) as caught:
        Until(**settings)
    assert said in str(caught.value)


def test_integers_of_numpy_are_numbers():
    assert dataclasses.astuple(Until(ess=np.int64(5), draws=np.int32(7))) == (1.01, 5, None, 7)


def test_what_does_not_fit_is_refused_before_anything_compiles():
    sample = lambda **more: infer.sample(targets.normal(), infer.NUTS(), **more)  # noqa: E731
    with pytest.raises(infer.RunError, match="R-hat compares chains"):
        sample(until=Until(), chains=1)
    with pytest.raises(infer.RunError, match="draws and until are both given"):
        sample(until=Until(), draws=100)
    with pytest.raises(infer.RunError, match=r"until: 400 was given.*infer\.Until"):
        sample(until=400)
    assert isinstance(choose_goal(None, None, 4), FixedGoal)
    assert choose_goal(None, None, 4).draws == 1000
    assert choose_goal(None, Until(rhat=None), 1).until.rhat is None


def test_sample_goes_on_until_the_target_is_reached_with_the_draws_of_a_plain_run():
    options = {"chains": 2, "warmup": 40, "key": 5, "progress": False}
    data = infer.sample(targets.normal(), infer.NUTS(), until=Until(ess=300), **options)
    x = np.asarray(data.posterior["x"])
    assert data.attrs["until_reached"] == 1
    assert min(size_of(x[..., i], m) for i in range(3) for m in ("bulk", "tail")) >= 300
    run = infer.start(targets.normal(), infer.NUTS(), **options).advance(x.shape[1])
    np.testing.assert_array_equal(x, infer.to_arviz(run).posterior["x"])


def test_sample_warns_of_a_target_that_was_not_reached():
    options = {"chains": 2, "warmup": 40, "key": 5, "progress": False}
    with pytest.warns(
        infer.SamplingWarning, match="until= was not reached with 30 draws per chain"
    ):
        data = infer.sample(
            targets.normal(), infer.NUTS(), until=Until(ess=300, draws=30), **options
        )
    assert "until= was not reached" in data.attrs["verdict"]
    assert str(infer.verdict(data)) == data.attrs["verdict"]
    assert data.posterior.sizes["draw"] == 30


def test_the_end_of_the_time_stops_sampling_between_blocks_with_chains_of_one_length(monkeypatch):
    blocks = []

    def must_halt(self):
        blocks.append(1)
        return len(blocks) > 30

    monkeypatch.setattr(UntilGoal, "must_halt", must_halt)
    options = {"chains": 2, "warmup": 40, "key": 5, "progress": False}
    until = Until(ess=1e9, draws=None, seconds=1e6)
    with pytest.warns(infer.SamplingWarning, match="until= was not reached"):
        data = infer.sample(targets.normal(), infer.NUTS(), until=until, **options)
    x = np.asarray(data.posterior["x"])
    run = infer.start(targets.normal(), infer.NUTS(), **options).advance(x.shape[1])
    np.testing.assert_array_equal(x, infer.to_arviz(run).posterior["x"])
