"""Stuck chains, tails, modes, mirror images and necks are found, each from draws made for it."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import infer
from benchmarks import hard_posteriors
from bijectors.sets.simplex import SoftmaxILR
from infer.engines.base import Draws
from infer.output.judge.mirrors import _exchange_ratios
from infer.output.judge.modes import find_modes
from infer.output.judge.necks import Neck, _measure_edge, find_necks
from infer.output.judge.suspects import Numbers
from infer.output.judge.tails import _estimate_k, _measure_decay, find_heavy_tails
from infer.output.judge.verdict import judge_draws

from .. import targets

CHAINS, DRAWS = 4, 1000


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def as_numbers(**values):
    return Numbers(list(values), np.stack(list(values.values())))


def judge(values, **stats):
    arrays = {name: (("chain", "draw"), a) for name, a in values.items()}
    fields = {name: (("chain", "draw"), a) for name, a in stats.items()}
    groups = {"posterior": xarray.Dataset(arrays), "sample_stats": xarray.Dataset(fields)}
    return judge_draws(infer.NUTS(), groups).findings


def test_a_chain_that_repeats_one_draw_is_stuck():
    x, lp = normal(CHAINS, DRAWS), normal(CHAINS, DRAWS, seed=1)
    x[2, 300:349], lp[2, 300:349] = x[2, 300], lp[2, 300]
    assert judge({"x": x}, lp=lp) == ()
    x[2, 300:360], lp[2, 300:360] = x[2, 300], lp[2, 300]
    (only,) = judge({"x": x}, lp=lp)
    assert only.kind == "stuck_chains"
    assert only.found.startswith("chain 2 stayed at one point for up to 60 draws in a row")


def test_equal_log_densities_at_different_places_are_not_called_stuck():
    lp = normal(CHAINS, DRAWS, seed=1)
    lp[1] = 7.0
    assert judge({"x": normal(CHAINS, DRAWS)}, lp=lp) == ()


def test_steps_below_a_twentieth_of_the_scale_are_reported():
    steps = np.full((CHAINS, DRAWS), 0.06)
    stats = {"n_steps": np.full((CHAINS, DRAWS), 31), "step_size": steps}
    assert judge({"x": normal(CHAINS, DRAWS)}, **stats) == ()
    (only,) = judge({"x": normal(CHAINS, DRAWS)}, **stats | {"step_size": steps / 2})
    assert only.kind == "short_steps"
    assert "the step size is 0.03 of the scale" in only


def test_tails_that_mix_worse_than_the_bulk_have_a_finding_of_their_own():
    """Signs are independent, but the scale drifts slowly, so that far draws come in clusters."""
    drift = normal(CHAINS, DRAWS, seed=3)
    for i in range(1, DRAWS):
        drift[:, i] = 0.995 * drift[:, i - 1] + 0.1 * drift[:, i]
    x = np.exp(drift) * normal(CHAINS, DRAWS, seed=4)
    found = {finding.kind: finding.sites for finding in judge({"x": x})}
    assert found["low_tail_ess"] == ("x",)
    assert "low_ess" not in found


@pytest.mark.parametrize(("freedom", "k"), [(1.0, 1.0), (2.0, 0.5), (5.0, 0.2)])
def test_the_slope_of_a_log_density_gives_the_pareto_k_of_its_tails(freedom, k):
    """Student's t has k = 1 / degrees of freedom; the sample need not reach far."""
    x = np.random.default_rng(0).standard_t(freedom, (CHAINS, 20_000, 1))
    score = -(freedom + 1) * x / (freedom + x**2)
    # Beyond the 98 % quantile the local k is larger: 1 / (E[(v + 1) x^2 / (v + x^2)] - 1).
    far = x[x > np.quantile(x, 0.98)]
    local = 1 / (np.mean((freedom + 1) * far**2 / (freedom + far**2)) - 1)
    found = _measure_decay(x, score)
    if freedom > 2.5:
        assert found == {}
        return
    np.testing.assert_allclose(found[0], local, rtol=0.05)
    np.testing.assert_allclose(found[0], k, rtol=0.25)


def test_heavy_tails_are_found_by_draws_alone_and_one_far_chain_is_not():
    draws = Draws(normal(CHAINS, DRAWS, 1), np.empty((CHAINS, DRAWS, 0)), {})
    density = infer.log_density(targets.normal())
    heavy = np.random.default_rng(1).standard_cauchy((CHAINS, DRAWS))
    (only,) = find_heavy_tails(as_numbers(heavy=heavy, mu=normal(CHAINS, DRAWS)), density, draws)
    assert only.sites == ("heavy",)
    assert "Pareto k up to" in only
    excursion = normal(CHAINS, DRAWS)
    excursion[0, 500:520] = np.geomspace(5, 500, 20)
    assert _estimate_k(excursion[0]) > 0.7
    assert not list(find_heavy_tails(as_numbers(excursion=excursion), density, draws))


def test_modes_are_described_with_their_masses():
    """Two normals of masses 0.2 and 0.8, of different widths, so that lp alone would mislead."""
    x = normal(CHAINS, DRAWS, 2)
    x[3] = 20 + 0.1 * x[3]
    log_mass = np.where(np.arange(CHAINS) == 3, np.log(0.2), np.log(0.8))[:, None]
    width = np.where(np.arange(CHAINS) == 3, 0.1, 1.0)[:, None]
    away = (x - np.where(np.arange(CHAINS) == 3, 20, 0)[:, None, None]) / width[..., None]
    lp = log_mass - 2 * np.log(width) - 0.5 * (away**2).sum(-1)
    numbers = as_numbers(a=x[..., 0], b=x[..., 1])
    (only,) = find_modes(numbers, Draws(x, x, {"lp": lp}))
    assert "2 different modes: chains 0, 1, 2 at " in only
    assert "infer.Tempered()" in only
    shares = [int(part.split("%")[0]) for part in only.split("about ")[1:]]
    np.testing.assert_allclose(shares, [80, 20], atol=3)
    assert not list(find_modes(as_numbers(a=normal(CHAINS, DRAWS)), Draws(x, x, {"lp": lp})))


def mixture(site, y):
    share = site("share", dist.Dirichlet(np.full(2, 3.0)))
    middle = site("middle", dist.Normal(0.0, 10.0), shape=(2,))
    site("other", dist.Normal(np.array([5.0, 6.0]), 1.0))
    each = jnp.log(share) - 0.5 * (y[:, None] - middle) ** 2
    site.factor("y", jax.nn.logsumexp(each, -1).sum())


@pytest.fixture(scope="module")
def labels():
    """Run a mixture whose chains all start with the same order of components."""
    model = infer.model(mixture, y=hard_posteriors._labels_data())
    starts = {
        "share": np.full(2, 0.5), "middle": np.array([-2.0, 2.0]), "other": np.full(2, 5.0)
    }  # fmt: skip
    options = {"chains": 2, "warmup": 100, "key": 0, "progress": False}
    return infer.start(model, infer.NUTS(), starts=starts, **options).advance(120)


def test_components_that_can_be_exchanged_are_found_though_no_chain_exchanges_them(labels):
    """Weights on a simplex go with the means; a site of equal length has nothing to do with it."""
    (only,) = [f for f in infer.verdict(labels).findings if f.kind == "unvisited_mirror_image"]
    assert only.sites == ("share", "middle")
    assert "entries 0 and 1 of share, middle are exchanged, but all chains lie on one side" in only


def test_exchanging_shares_is_a_reflection_of_their_log_ratios():
    y = jnp.asarray(normal(4))
    x = np.asarray(SoftmaxILR().image(y).value)
    again = SoftmaxILR().image(y @ _exchange_ratios(5, 1, 3)).value
    np.testing.assert_allclose(again, x[[0, 3, 2, 1, 4]], rtol=1e-6)


def test_the_edge_of_a_truncated_scale_is_measured_and_a_whole_one_has_none():
    """The density of a standard normal at -1 is 0.242, and 0.288 if all below is cut off."""
    t = normal(CHAINS, 40_000)
    whole, error = _measure_edge(Neck(("x",), t, -t), (0.05, 0.3))
    assert abs(whole) < 4 * error
    cut = np.stack([own[own > -1][:30_000] for own in t])
    edge, error = _measure_edge(Neck(("x",), cut, -cut), (0.05, 0.3))
    assert abs(edge - 0.2876) < 4 * error
    assert edge > 20 * error


def funnel(site):
    v = site("v", dist.Normal(0.0, 3.0))
    site("x", dist.Normal(0.0, jnp.exp(v / 2)), shape=(9,), centered=True)


def test_a_neck_is_reported_if_the_draws_end_before_it_and_not_if_they_enter_it():
    density = infer.log_density(infer.model(funnel))
    rng = np.random.default_rng(0)
    v = rng.normal(0, 3, (CHAINS, DRAWS, 1))
    x = np.exp(v / 2) * rng.normal(size=(CHAINS, DRAWS, 9))
    slope = -v / 9 - 4.5 + 0.5 * (x**2).sum(-1, keepdims=True) / np.exp(v)
    scores = np.concatenate([slope, -x / np.exp(v)], -1)
    whole = Draws(np.concatenate([v, x], -1), scores, {})
    assert not list(find_necks(infer.NUTS(), density, whole))
    few = [np.flatnonzero(own > -2.5)[:700] for own in v[..., 0]]
    ended = Draws(*(np.stack([a[c, few[c]] for c in range(CHAINS)]) for a in whole[:2]), {})
    (only,) = find_necks(infer.NUTS(), density, ended)
    assert only.sites == ("x",)
    assert "no draw has a scale of x below 0.288" in only
    assert "write it non-centered" in only.advice
