"""Calibration: ranks of a truth among draws, their verdict, and what cannot be calibrated.

The slow tests have fixed keys. With random keys, each verdict would raise a false alarm
in 1000 runs at most.
"""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import bijectors as bj
import infer
from infer.output.predictive import spacing
from infer.output.predictive.calibrate import _rank


def line(site, x, y):
    slope = site("slope", dist.Normal(0.0, 1.0))
    noise = site("noise", dist.LogNormal(0.0, 0.5))
    with site.plate("row", x.shape[0]):
        mean = site.derive("mean", slope * x)
        site.observe("y", dist.Normal(mean, noise), y)


X = np.array([-1.0, 0.5, 1.0])
LINE = infer.model(line, x=X, y=np.zeros(3), coords={"row": list("abc")})
FEW = {"simulations": 12, "draws": 9, "warmup": 100, "key": 4, "progress": False}


@pytest.fixture(scope="module")
def found():
    return infer.calibrate(LINE, **FEW)


def test_every_number_has_a_rank_in_every_simulation(found):
    assert set(found.ranks) == {"slope", "noise", "mean", "log_prior", "log_likelihood"}
    assert found.ranks["mean"].dims == ("simulation", "row")
    assert list(found.ranks["row"].values) == list("abc")
    assert found.ranks.sizes["simulation"] == found.simulations == 12
    ranks = np.concatenate([a.values.reshape(-1) for a in found.ranks.values()])
    assert ranks.dtype.kind == "i"
    assert ranks.min() >= 0
    assert ranks.max() <= 9
    assert len(np.unique(ranks)) > 5
    assert {line.name for line in found.lines} >= {"slope", "mean[b]", "log_likelihood"}


def test_the_truth_of_derived_numbers_follows_from_the_others(found):
    truths = found.truths
    np.testing.assert_allclose(truths["mean"], np.outer(truths["slope"], X), rtol=1e-12)


def test_ranks_depend_only_on_the_key(found):
    again = infer.calibrate(LINE, threads=1, **FEW)
    assert again.ranks.equals(found.ranks)
    assert not infer.calibrate(LINE, **FEW | {"key": 5}).truths.equals(found.truths)


def test_observed_data_are_not_read(found):
    again = infer.calibrate(LINE.with_data(y=np.full(3, 1e3)), **FEW)
    assert again.ranks.equals(found.ranks)


def test_a_calibration_prints_and_plots(found):
    text = str(found)
    assert "12 simulations are uniform" in text
    assert f"thinned by {found.thin}" in text
    assert text.count("mean[") == 3
    figure = found.plot(most=5)
    assert [axis.get_title() for axis in figure.axes[:5]] == [own.name for own in found.lines[:5]]


def test_ranks_are_counted_and_ties_are_broken_at_random():
    truth = np.array([2.0, 0.0, 5.0])
    draws = np.tile(np.arange(4.0), (3, 1))
    found = [_rank(truth, draws, np.random.default_rng(i)) for i in range(40)]
    assert {tuple(ranks[1:]) for ranks in found} == {(0, 4), (1, 4)}
    assert {int(ranks[0]) for ranks in found} == {2, 3}


class Counted:
    """A run that only counts its draws."""

    drawn = 0

    def fewest(self):
        return self.drawn

    def advance(self, draws):
        self.drawn += draws


def test_one_rough_estimate_does_not_set_the_thinning(monkeypatch):
    """The first of these effective sizes, one of nine draws, is far too small."""
    wanted = iter([9, 2])
    monkeypatch.setattr(spacing, "_measure_spacing", lambda run: next(wanted))
    run = Counted()
    assert spacing.sample_until_spaced(run, 9) == 4
    assert run.drawn == 4 * 9


def refused(model, *words):
    with pytest.raises(infer.ModelError) as caught:
        infer.calibrate(model, **FEW)
    for word in words:
        assert word in str(caught.value)


def test_a_site_without_a_prior_is_named():
    def flat(site, y):
        level = site.param("level", bj.Real())
        site.observe("y", dist.Normal(level, 1.0), y)

    refused(infer.model(flat, y=np.zeros(2)), "level: ", "no prior")


def test_a_prior_known_by_its_score_is_named():
    def scored(site, y):
        level = site("level", infer.ScorePrior(lambda x: -x))
        site.observe("y", dist.Normal(level, 1.0), y)

    refused(infer.model(scored, y=np.zeros(2)), "level: ", "score alone")


def test_a_factor_is_named():
    def weighed(site, y):
        level = site("level", dist.Normal(0.0, 1.0))
        site.factor("penalty", -(level**4))
        site.observe("y", dist.Normal(level, 1.0), y)

    refused(infer.model(weighed, y=np.zeros(2)), "penalty: ", "factor")


def test_a_prior_that_is_cut_off_is_named():
    def cut(site, y):
        level = site("level", dist.Normal(0.0, 1.0), constraint=bj.Positive())
        site.observe("y", dist.Normal(level, 1.0), y)

    refused(infer.model(cut, y=np.zeros(2)), "level: ", "TruncatedDistribution")


def test_an_observation_that_cannot_be_drawn_is_named():
    refused(LINE.view(likelihood=0.5), "y: ", "view")
    refused(LINE.condition(slope=1.0), "slope: ", "new data cannot be drawn")
    refused(infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real()}), "x: ", "no prior")

    def silent(site):
        site("level", dist.Normal(0.0, 1.0))

    refused(infer.model(silent), "observes nothing")


def test_missing_entries_are_named():
    def gappy(site, y, gone):
        level = site("level", dist.Normal(0.0, 1.0))
        site.observe("y", dist.Normal(level, 1.0), y, missing=gone)

    gone = infer.static(np.array([False, True]))
    refused(infer.model(gappy, y=np.zeros(2), gone=gone), "y.missing: ", "missing=None")


def test_a_frozen_site_must_not_depend_on_drawn_sites():
    def groups(site, y):
        spread = site("spread", dist.HalfNormal(1.0))
        level = site("level", dist.Normal(0.0, spread), shape=(3,))
        site.observe("y", dist.Normal(level, 1.0), y)

    model = infer.model(groups, y=np.zeros(3))
    refused(model.freeze(level=np.ones(3)), "level: ", "model.free")
    few = FEW | {"simulations": 2, "draws": 3, "thin": 1}
    assert "spread" not in infer.calibrate(model.freeze(spread=2.0), **few).ranks


def test_invalid_numbers_are_refused():
    with pytest.raises(infer.RunError, match="chains"):
        infer.calibrate(LINE, draws=99, chains=2)
    with pytest.raises(infer.RunError, match="thin"):
        infer.calibrate(LINE, thin=0)
    with pytest.raises(infer.EngineError, match=r"infer\.fit"):
        infer.calibrate(LINE, infer.ADVI())


def test_simulations_that_overflow_are_named():
    def wild(site, y):
        rate = site("rate", dist.LogNormal(0.0, 1e3))
        site.observe("y", dist.Normal(rate, 1.0), y)

    refused(infer.model(wild, y=np.zeros(2)), "rate: ", "non-finite")


DATA = {"x": X, "y": np.zeros(3)}


def rows(values, data):
    return dist.Normal(values["slope"] * data["x"], values["noise"]).log_prob(data["y"])


def log_density(values, data):
    prior = dist.Normal(0.0, 1.0).log_prob(values["slope"])
    prior += dist.LogNormal(0.0, 0.5).log_prob(values["noise"])
    return prior + rows(values, data).sum()


def simulate(key, values, data):
    return {"y": dist.Normal(values["slope"] * data["x"], values["noise"]).sample(key)}


SUPPORTS = {"slope": bj.Real(), "noise": bj.Positive()}


def declare(density=log_density, **functions):
    return infer.declared(density, SUPPORTS, data=DATA, **functions)


@pytest.mark.slow
def test_a_log_density_with_rows_and_a_simulator_is_calibrated():
    found = infer.calibrate(declare(rows=rows, simulate=simulate), **FEW)
    assert set(found.ranks) == {"slope", "noise", "log_prior", "log_likelihood"}
    own = {name: np.asarray(found.truths[name]) for name in SUPPORTS}
    expected = stats.norm.logpdf(own["slope"]) + stats.lognorm(0.5).logpdf(own["noise"])
    np.testing.assert_allclose(found.truths["log_prior"], expected, rtol=1e-9, atol=1e-9)
    assert found.uniform, str(found)


@pytest.mark.slow
def test_true_values_of_a_log_density_are_drawn_from_its_prior():
    """Slope and log noise are normal under the prior: a false alarm in 10^4."""
    found = infer.calibrate(declare(rows=rows, simulate=simulate), **FEW | {"simulations": 300})
    for z in (found.truths["slope"], np.log(found.truths["noise"]) / 0.5):
        assert stats.kstest(np.asarray(z), "norm").pvalue > 5e-5


def test_a_log_density_needs_rows_and_a_simulator():
    for functions in ({}, {"rows": rows}, {"simulate": simulate}):
        refused(declare(**functions), "slope: ", "rows= and simulate=")
    refused(declare(rows=rows, simulate=simulate).view(posterior=0.5), "view")


def test_an_improper_prior_is_refused():
    model = declare(lambda v, d: rows(v, d).sum(), rows=rows, simulate=simulate)
    refused(model, "prior: ", "R-hat")


@pytest.mark.slow
def test_a_wrong_likelihood_of_a_log_density_is_detected():
    narrow = lambda v, d: log_density(v, d) + rows(v, d).sum()  # noqa: E731
    doubled = lambda v, d: 2 * rows(v, d)  # noqa: E731
    found = infer.calibrate(declare(narrow, rows=doubled, simulate=simulate), **MANY)
    assert not found.uniform


def schools(site, error, effect):
    mu, tau = site("mu", dist.Normal(0.0, 5.0)), site("tau", dist.HalfNormal(5.0))
    theta = site("theta", dist.Normal(mu, tau), shape=(8,), centered=False)
    site.observe("effect", dist.Normal(theta, error), effect)


def levels(site, error, effect):
    """Warm-up centers the effects with small errors, and not those with large ones."""
    mu, tau = site("mu", dist.Normal(0.0, 2.0)), site("tau", dist.HalfNormal(1.0))
    theta = site("theta", dist.Normal(mu, tau), shape=(6,))
    width = site("width", dist.LogNormal(theta[0], tau))
    site.observe("effect", dist.Normal(theta + 0.1 * jnp.log(width), error), effect)


def counts(site, x, y):
    """A Poisson regression with a simplex, and a support that depends on a site."""
    shares = site("shares", dist.Dirichlet(jnp.array([1.0, 2.0, 3.0])))
    top = site("top", dist.Gamma(4.0, 2.0))
    slope = site("slope", dist.Uniform(0.0, top))
    site.observe("y", dist.Poisson(jnp.exp(0.5 + slope * (x @ shares))), y)


def hierarchy(site, group, y):
    """Correlated effects of groups, and ordered levels of two kinds of rows."""
    root = site("root", dist.LKJCholesky(2, 2.0))
    spread = site("spread", dist.HalfNormal(1.0), shape=(2,))
    prior = dist.MultivariateNormal(jnp.zeros(2), scale_tril=spread[:, None] * root)
    effect = site("effect", prior, shape=(6,), centered=False)
    ordered = dist.TransformedDistribution(
        dist.Normal(0.0, 1.0).expand([2]), dist.transforms.OrderedTransform()
    )
    level = site("level", ordered)
    site.observe("y", dist.Normal(effect[group] + level, 0.7), y)


MODELS = {
    "schools": infer.model(schools, error=np.array([15.0, 10, 16, 11, 9, 11, 10, 18]), effect=None),
    "levels": infer.model(levels, error=np.geomspace(0.05, 5.0, 6), effect=None),
    "counts": infer.model(counts, x=np.random.default_rng(0).normal(size=(12, 3)), y=None),
    "hierarchy": infer.model(hierarchy, group=infer.data(np.repeat(np.arange(6), 3)), y=None),
}
MANY = {"simulations": 200, "false_alarm": 1e-3, "key": 0, "progress": False}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_nuts_is_calibrated(name):
    found = infer.calibrate(MODELS[name], infer.NUTS(), **MANY)
    assert found.uniform, str(found)


@pytest.mark.slow
def test_hmc_is_calibrated():
    found = infer.calibrate(MODELS["counts"], infer.HMC(), **MANY)
    assert found.uniform, str(found)


class WithoutJacobian(infer.NUTS):
    """Samples the density without the log-determinants of its maps."""

    @property
    def needs(self):
        return super().needs._replace(jacobian=False)


@pytest.mark.slow
def test_a_tree_with_a_simulator_can_be_calibrated():
    priors = {"slope": dist.Normal(0.0, 1.0), "noise": dist.LogNormal(0.0, 0.5)}
    tree = infer.tree_model(
        {"slope": 0.0, "noise": 1.0}, rows, priors, data=DATA, simulate=simulate
    )
    found = infer.calibrate(tree, **FEW)
    assert {"noise", "slope", "log_likelihood"} <= set(found.ranks.data_vars)


@pytest.mark.slow
def test_a_missing_log_determinant_is_detected():
    """On eight schools; the other two models would be improper without it."""
    found = infer.calibrate(MODELS["schools"], WithoutJacobian(), **MANY)
    assert found.p_value < 1e-6, str(found)
