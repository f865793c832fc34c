"""A verdict reports what is wrong, and nothing else."""

import copy
import gc
import warnings

import arviz as az
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray
from scipy.special import bdtrc

import bijectors as bj
import infer
from infer import nested_rhat
from infer.density.funnels import find_funnel_sites
from infer.output.data import origin
from infer.output.data.angles import mark_angles
from infer.output.judge.modes import round_share, weigh_modes
from infer.output.judge.suspects import MAX_NUMBERS, Numbers, find_suspects, lay_out_numbers
from infer.output.judge.transitions import _find_upper_tail, compute_bfmi
from infer.output.judge.verdict import judge_draws

from .. import targets

CHAINS, DRAWS = 4, 500


def autoregression(rho, shape, seed=0):
    """Standard normal series with the correlation rho from draw to draw, along axis 1."""
    noise = np.random.default_rng(seed).normal(size=shape)
    series = [noise[:, 0]]
    for i in range(1, shape[1]):
        series.append(rho * series[-1] + np.sqrt(1 - rho**2) * noise[:, i])
    return np.stack(series, 1)


def result(values, **stats):
    """Make the ArviZ data that a verdict reads, with independent energies."""
    lead = next(iter(values.values())).shape[:2]
    stats = {"energy": autoregression(0.0, lead)} | stats
    arrays = {
        name: (("chain", "draw", *(f"{name}_dim_{i}" for i in range(a.ndim - 2))), a)
        for name, a in values.items()
    }
    fields = {name: (("chain", "draw"), a) for name, a in stats.items()}
    coords = {"theta_dim_0": list("abc")} if "theta" in values else {}
    return {
        "posterior": xarray.Dataset(arrays, coords=coords),
        "sample_stats": xarray.Dataset(fields),
    }


def findings(values, engine=None, **stats):
    return judge_draws(engine or infer.NUTS(), result(values, **stats)).findings


def good(*shape, seed=3):
    return autoregression(0.0, (CHAINS, DRAWS, *shape), seed)


def test_independent_draws_raise_no_finding():
    assert findings({"mu": good(), "theta": good(3)}) == ()
    assert str(judge_draws(infer.NUTS(), result({"mu": good()}))) == "no problems found"


def test_divergences_are_counted_and_stuck_chains_are_named():
    diverging = np.zeros((CHAINS, DRAWS), bool)
    diverging[1, 3:33:5] = True
    (only,) = findings({"mu": good()}, diverging=diverging)
    assert only.startswith("6 of 2000 transitions after warm-up diverged (0.3%)")
    assert "infer.explain_divergences(result)" in only
    assert only.advice == "Raise target_acceptance (it is 0.8)."
    diverging[2] = True
    stuck, count = findings({"mu": good()}, diverging=diverging)
    assert "chain 2 diverged, so nothing moved" in stuck
    assert stuck.kind == "stuck_chains"
    assert count.startswith("506 of 2000")


def test_divergences_are_located_by_the_draws_from_which_they_start():
    mu, tau = good(seed=1), good(seed=2)
    low = np.argwhere(tau[:, :-1] < np.quantile(tau, 0.05))[::3]
    diverging = np.zeros((CHAINS, DRAWS), bool)
    diverging[low[:, 0], low[:, 1] + 1] = True
    (only,) = findings({"mu": mu, "tau": tau}, diverging=diverging)
    assert "100% of them start in the lowest tenth of the draws of tau." in only
    assert only.sites == ("tau",)


def test_a_few_divergences_are_reported_only_if_they_gather():
    """Four of 2000: four starts in one of the four outer tenths come by chance in 1 of 2500."""
    mu, tau = good(seed=1), good(seed=2)
    below = tau[:, :-1] < np.quantile(tau, 0.05)
    inner = np.abs(mu[:, :-1]) < 0.5
    for starts, count in ((below, 1), (inner & ~below & (tau[:, :-1] < 1.0), 0)):
        diverging = np.zeros((CHAINS, DRAWS), bool)
        at = np.argwhere(starts)[:4]
        diverging[at[:, 0], at[:, 1] + 1] = True
        assert len(findings({"mu": mu, "tau": tau}, diverging=diverging)) == count


def test_one_divergence_in_thousands_is_not_reported():
    diverging = np.zeros((CHAINS, 1000), bool)
    diverging[1, 3] = True
    mu = autoregression(0.0, (CHAINS, 1000))
    assert findings({"mu": mu}, diverging=diverging) == ()
    sets = {
        "posterior": xarray.Dataset({"x": (("chain", "draw", "dataset"), mu[..., None])}),
        "sample_stats": xarray.Dataset(
            {"diverging": (("chain", "draw", "dataset"), diverging[..., None])}
        ),
    }
    assert judge_draws(infer.NUTS(), sets).findings == ()


def spread_out(site):
    spread = site("spread", dist.HalfNormal(3.0))
    site("level", dist.Normal(1.0, 2.0))
    site("centered", dist.Normal(0.0, spread), shape=(2,), centered=True)
    site("others", dist.LogNormal(0.0, 2 * spread + 1), centered=True)
    site("learned", dist.Normal(0.0, spread), shape=(2,))
    site("written", dist.Normal(0.0, spread), shape=(2,), centered=False)
    site("part", dist.Normal(0.0, spread), shape=(2,), centered=0.5)


def hierarchy():
    level = numpyro.sample("level", dist.Normal(0.0, numpyro.sample("wide", dist.HalfNormal(1.0))))
    numpyro.sample("y", dist.Normal(level, 1.0), obs=1.0)


def test_advice_names_only_sites_centered_on_another_site():
    density = infer.log_density(infer.model(spread_out))
    assert find_funnel_sites(density) == ("centered", "others", "learned")
    assert find_funnel_sites(infer.log_density(infer.from_numpyro(hierarchy))) == ("level",)
    diverging = np.ones((CHAINS, DRAWS), bool)
    diverging[:, 0] = False
    data = result({"mu": good()}, diverging=diverging)
    (only,) = judge_draws(infer.NUTS(), data, density).findings
    assert "The scale of centered, others depends on other sites: write them non-centered" in only
    (only,) = judge_draws(infer.NUTS(), data, infer.log_density(targets.normal())).findings
    assert "centered" not in only


def test_advice_names_sites_whose_centering_the_engine_does_not_learn():
    density = infer.log_density(infer.from_numpyro(hierarchy))
    diverging = np.ones((CHAINS, DRAWS), bool)
    diverging[:, 0] = False
    data = result({"mu": good()}, diverging=diverging)
    for engine, is_advised in (
        (infer.NUTS(), False),
        (infer.NUTS(energy="path"), True),
        (infer.BlackJAX("chees"), True),
    ):
        (only,) = judge_draws(engine, data, density).findings
        assert ("The scale of level depends on other sites" in only) == is_advised


def test_trajectories_cut_short_are_reported_from_one_in_a_hundred_on():
    depth = np.full((CHAINS, DRAWS), 3)
    depth[0, :20] = 10
    assert findings({"mu": good()}, tree_depth=depth) == ()
    depth[0, :22] = 10
    assert "1% of the trajectories were cut short by max_depth=10" in str(
        findings({"mu": good()}, tree_depth=depth)
    )
    steps = {"n_steps": np.full((CHAINS, DRAWS), 5)}
    assert "by max_steps=5" in str(findings({"mu": good()}, infer.HMC(max_steps=5), **steps))


def test_bfmi_is_two_minus_twice_the_correlation_of_energies():
    energy = autoregression(0.9, (2, 200_000))
    np.testing.assert_allclose(compute_bfmi(energy), 0.2, rtol=0.05)


def test_bfmi_of_energies_whose_squares_overflow_is_a_number():
    energy = autoregression(0.9, (2, 100)).astype(np.float32)
    np.testing.assert_allclose(compute_bfmi(energy * 1e22), compute_bfmi(energy), rtol=1e-4)


def test_chains_that_stay_at_points_share_the_mass_in_unknown_parts():
    positions = np.arange(4.0)[:, None, None] * np.ones((4, 10, 2))
    shares = weigh_modes([np.array([0]), np.array([2])], positions, np.zeros((4, 10)))
    assert [round_share(share) for share in shares] == ["an unknown share"] * 2


def test_low_bfmi_is_reported_with_its_chain():
    energy = good()
    energy[3] = autoregression(0.95, (1, DRAWS))[0]
    (only,) = findings({"mu": good()}, energy=energy)
    assert only.startswith("E-BFMI is 0.")
    assert "in chain 3" in only


def test_quantities_whose_chains_disagree_are_named():
    theta = good(3)
    theta[1, :, 2] += 3
    found = findings({"mu": good(), "theta": theta})
    assert found[0].startswith(f"R-hat is up to {float(az.rhat(theta[..., 2])):.3f}")
    assert "for theta[c]: " in found[0]
    assert "for theta[c]: " in found[1]
    assert "effective sample size" in found[1]


def test_slowly_mixing_quantities_are_named_with_their_effective_size():
    # The share of effective draws is (1 - rho) / (1 + rho): 222 of 2000, below 100 for each chain.
    slow = autoregression(0.8, (CHAINS, DRAWS), seed=1)
    assert 100 < float(az.ess(slow)) < 400
    found = findings({"mu": good(), "tau": slow})[-1]
    assert f"down to {float(az.ess(slow)):.0f} (below 100 per chain) for tau:" in found


def test_chains_of_different_scale_and_heavy_tails_are_found():
    wide = good()
    wide[0] *= 4
    heavy = np.random.default_rng(0).standard_cauchy((CHAINS, DRAWS))
    heavy[0] += 2
    assert "for wide:" in findings({"wide": wide} | {f"x{i}": good(seed=i) for i in range(9)})[0]
    assert "for heavy:" in findings({"heavy": heavy, "mu": good()})[0]


def test_the_coarse_screen_misses_nothing_that_arviz_rejects():
    """Forty series of all kinds; ArviZ judges each one as the oracle."""
    rhos = np.linspace(0.0, 0.97, 40)
    draws = np.stack([autoregression(r, (4, 1000), seed=i) for i, r in enumerate(rhos)])
    ess = np.array([float(az.ess(own)) for own in draws])
    found = findings({"x": np.moveaxis(draws, 0, -1)})
    assert f"down to {ess.min():.0f} " in found[-1]
    for i in range(40):
        one = find_suspects(Numbers(["x"], draws[i : i + 1]), 1200)
        assert one == [0] or ess[i] >= 400
        if ess[i] > 3000:
            assert one == []


def test_too_few_draws_and_many_chains_have_no_rhat_finding():
    drift = np.linspace(0, 9, 99) + good()[:, :99]
    assert findings({"mu": drift}) == ()
    slow = autoregression(0.8, (64, 200))
    assert float(az.rhat(slow)) > 1.01
    assert findings({"mu": slow}) == ()
    slow[:32] += 3
    (only,) = findings({"mu": slow})
    assert only.startswith("R-hat of 64 chains is up to")


def test_constant_and_non_finite_quantities_are_skipped():
    fixed, broken, endless = good(), good(), good()
    fixed[:] = 1.0
    broken[0, 0], endless[0] = np.nan, np.inf
    assert findings({"fixed": fixed, "broken": broken, "endless": endless}) == ()


def test_a_large_posterior_is_judged_by_evenly_spaced_quantities():
    posterior = xarray.Dataset(
        {
            "x": (("chain", "draw", "i"), np.random.default_rng(0).normal(size=(2, 4, 5000))),
            "mu": (("chain", "draw"), np.random.default_rng(1).normal(size=(2, 4))),
        }
    )
    numbers = lay_out_numbers(posterior)
    assert len(numbers.draws) <= MAX_NUMBERS
    assert numbers.names[0] == "x[0]"
    assert numbers.names[-1] == "mu"
    np.testing.assert_array_equal(numbers.draws[1], posterior["x"][..., 6])
    assert numbers.names[1] == "x[6]"


def test_affected_data_sets_are_counted():
    x = autoregression(0.0, (2, 400, 5))
    x[0, :, 3] += 5
    diverging = np.zeros((2, 400, 5), bool)
    diverging[1, 7:10, 1] = diverging[0, 2:5, 3] = True
    data = {
        "posterior": xarray.Dataset({"x": (("chain", "draw", "dataset"), x)}),
        "sample_stats": xarray.Dataset({"diverging": (("chain", "draw", "dataset"), diverging)}),
    }
    (only,) = judge_draws(infer.NUTS(), data).findings
    assert only.startswith("of 5 data sets, transitions diverged in 2, R-hat is above 1.01 in 1.")


def cliff(values):
    x = values["x"]
    return -0.5 * (x**2).sum() - 1e6 * jnp.maximum(x[0] - 1.0, 0.0)


def test_angles_around_pi_are_judged_on_the_circle():
    phi = np.pi + 0.1 * good(2)
    phi[..., 0] -= np.pi
    angles = mark_angles(result({"phi": np.angle(np.exp(1j * phi))})["posterior"], ["phi"])
    numbers = lay_out_numbers(angles)
    assert numbers.names == ["cos phi[0]", "cos phi[1]", "sin phi[0]", "sin phi[1]"]
    np.testing.assert_allclose(numbers.draws[3], np.sin(phi[..., 1]), atol=1e-12)
    (only,) = judge_draws(infer.NUTS(), {"posterior": angles}).findings
    assert only.startswith("draws of phi lie on both sides of pi")
    # A uniform angle, or one far from pi, raises no finding.
    for fine in (np.random.default_rng(0).uniform(-np.pi, np.pi, (CHAINS, DRAWS)), phi[..., 0]):
        posterior = mark_angles(result({"phi": fine})["posterior"], ["phi"])
        assert judge_draws(infer.NUTS(), {"posterior": posterior}).findings == ()


def test_chains_that_disagree_on_the_circle_are_found_and_others_are_not():
    turn = 2 * np.pi * np.arange(CHAINS)[:, None]
    names = ("chain", "draw")
    near = np.angle(np.exp(1j * (np.pi - 0.01 + 0.001 * good() + 0.02 * (turn > 7))))
    posterior = mark_angles(xarray.Dataset({"phi": (names, near)}), ["phi"])
    assert findings_of(posterior)[0].startswith("R-hat is up to")
    assert "for sin phi: " in findings_of(posterior)[0]
    same = mark_angles(
        xarray.Dataset({"phi": (names, np.angle(np.exp(1j * (3.1 + good()))))}), ["phi"]
    )
    (only,) = findings_of(same)
    assert only.startswith("draws of phi lie on both sides of pi")
    assert float(nested_rhat({"posterior": same}, 2)["phi"]) < 1.01


def findings_of(posterior):
    return judge_draws(infer.NUTS(), {"posterior": posterior}).findings


def test_a_sampled_angle_is_marked_and_its_wrapping_is_reported():
    model = infer.model(lambda site: site("phi", dist.VonMises(np.pi, 50.0), shape=(2,)))
    with pytest.warns(infer.SamplingWarning) as caught:
        data = infer.sample(model, chains=2, draws=300, key=0, progress=False)
    (only,) = caught
    assert "draws of phi lie on both sides of pi" in str(only.message)
    assert data.posterior["phi"].attrs == {"circular": 1, "units": "rad"}
    assert data.posterior.sizes["draw"] == 300


def mode_of_nothing(values):
    """The second mode lies a hundred nats below the first, which has all the mass."""
    place, scale = values["place"], values["scale"]
    near = lambda middle: -0.5 * ((place - middle) ** 2).sum() - scale  # noqa: E731
    return jnp.logaddexp(near(0.0), near(20.0) - 100.0)


def test_sample_reports_relocated_chains_with_both_places():
    supports = {"scale": bj.Positive(), "place": bj.Real(shape=(2,))}
    model = infer.declared(mode_of_nothing, supports)
    starts = {"scale": np.ones(2), "place": np.array([[20.0, 20.0], [0.0, 0.0]])}
    options = {"chains": 2, "starts": starts, "draws": 50, "key": 0, "progress": False}
    with pytest.warns(infer.SamplingWarning, match="warm-up moved chains") as caught:
        data = infer.sample(model, infer.NUTS(), **options)
    (only,) = [str(w.message) for w in caught if "moved chains" in str(w.message)]
    left, reached = only.split("Chain 0 went from ")[1].split(" to ")[:2]
    at = [float(part.split("place[0] = ")[1].split(",")[0]) for part in (left, reached)]
    np.testing.assert_allclose(at, [20.0, 0.0], atol=5)
    assert "place[1] = " in left
    assert "scale = " in reached
    assert "Chain 1" not in only
    assert only in data.attrs["verdict"]
    assert only in infer.verdict(data).findings


def test_a_result_leads_to_its_run_while_it_exists(tmp_path):
    options = {"chains": 2, "warmup": 50, "draws": 60, "key": 0, "progress": False}
    data = infer.sample(targets.normal(), infer.NUTS(), **options)
    run = infer.start(targets.normal(), infer.NUTS(), chains=2, warmup=50, key=0, progress=False)
    run.advance(60)
    assert str(infer.explain_divergences(data)) == str(infer.explain_divergences(run))
    assert infer.why_slow(data).sampled == infer.why_slow(run).sampled
    assert str(infer.verdict(data)) == str(infer.verdict(run))
    for lost in (copy.copy(data), {}):
        with pytest.raises(infer.RunError, match="the run that made this .* is not known"):
            infer.why_slow(lost)
    known = len(origin._runs)
    del data
    gc.collect()
    assert len(origin._runs) < known


def test_sample_warns_of_what_it_finds_and_keeps_it():
    model = infer.declared(cliff, {"x": bj.Real(shape=(2,))})
    options = {"chains": 2, "warmup": 50, "draws": 60, "key": 1, "progress": False}
    with pytest.warns(infer.SamplingWarning, match="diverged"):
        data = infer.sample(model, infer.NUTS(rank=0), **options)
    assert "diverged" in data.attrs["verdict"]
    run = infer.start(model, infer.NUTS(rank=0), chains=2, warmup=50, key=1, progress=False)
    assert str(infer.verdict(run.advance(60))) == data.attrs["verdict"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", infer.SamplingWarning)
        infer.sample(model, infer.NUTS(rank=0), **options)
    assert caught == []


def test_sample_is_silent_if_no_problem_is_found():
    with warnings.catch_warnings():
        warnings.simplefilter("error", infer.SamplingWarning)
        infer.sample(targets.normal(), chains=2, warmup=50, draws=60, key=0, progress=False)


@pytest.mark.parametrize(("least", "count"), [(1, 1), (3, 12), (20, 40), (400, 3000)])
def test_the_chance_that_divergences_gather_is_that_of_scipy(least, count):
    assert _find_upper_tail(least, count, 0.1) == pytest.approx(bdtrc(least - 1, count, 0.1))


def test_a_model_without_priors_is_not_traced_for_necks(monkeypatch):
    monkeypatch.setattr("infer.density.funnels._find_funnel_sites", lambda kind: ("traced",))
    real = {"x": bj.Real()}
    density = infer.log_density(infer.declared(lambda values: -(values["x"] ** 2), real))
    assert find_funnel_sites(density) == ()
    with_prior = infer.model(lambda site: site("x", dist.Normal(0.0, 1.0)))
    assert find_funnel_sites(infer.log_density(with_prior)) == ("traced",)
