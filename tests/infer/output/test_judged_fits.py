"""A fit says what is wrong with it, weighs its draws, and lets a sampler begin from them."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.numerics.families.full_rank import make_normal
from infer.numerics.families.mean_field import IndependentNormal
from infer.output.fitted.ratios import Ratios, choose_candidates
from infer.output.fitted.shortcomings import has_heavy_tail

from ..targets import COVARIANCE, MEAN, normal

FACTOR = np.linalg.cholesky(COVARIANCE)
SDS = np.sqrt(np.diag(COVARIANCE))
# The factor of a covariance with a correlation of 0.999.
RIDGE = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.999, 0.0, 0.0447]])


def approximation(factor, mean=MEAN, model=None):
    """An approximation of the normal of three dimensions by another one."""
    distribution = make_normal(jnp.asarray(mean), jnp.asarray(factor))
    density = infer.log_density(normal() if model is None else model)
    return infer.Approximation(density, distribution, "full_rank", np.zeros(1), 0.0, True, {})


@pytest.fixture(scope="module")
def exact():
    return approximation(FACTOR)


def test_a_repr_draws_nothing_and_tells_what_is_known(exact):
    assert repr(exact) == repr(exact)
    assert "elbo" not in repr(exact)
    assert "first_ratios" not in vars(exact)
    assert exact.findings == ()
    assert f"converged, elbo={exact.elbo:.6g}, khat={exact.khat:.2f}" in repr(exact)


def test_an_exact_approximation_has_no_findings(exact):
    assert exact.findings == ()
    assert exact.khat < 0.2
    assert exact.ratios.ess > 0.999


@pytest.mark.parametrize(
    ("factor", "mean", "said"),
    [
        (1.5 * FACTOR, MEAN, "its sd by a factor of 0.6"),
        (FACTOR / 1.5, MEAN, "its sd by a factor of 1."),
        (FACTOR, MEAN + 0.5 * SDS, "its mean by -0."),
    ],
    ids=["wide", "narrow", "shifted"],
)
def test_a_failed_audit_names_what_departed(factor, mean, said):
    fit = approximation(factor, mean)
    (finding,) = fit.findings
    assert finding.kind == "failed_audit"
    # Only the first draws are weighed, until k-hat is asked for.
    assert "ratios" not in vars(fit)
    assert said in finding
    assert finding.sites == ("x",)


def test_a_target_that_is_narrow_in_one_direction_is_told_by_the_step():
    sd = jnp.asarray(np.linalg.norm(RIDGE, axis=1))
    density = infer.log_density(normal(np.zeros(3), RIDGE @ RIDGE.T))
    fit = infer.Approximation(
        density, IndependentNormal(jnp.zeros(3), sd), "mean_field", np.zeros(1), 0.0, True, {}
    )
    assert fit.departures
    assert fit.departures.shrinkage < 0.35
    assert fit.findings[0].kind == "failed_audit"


def test_resampled_draws_have_the_moments_of_the_posterior():
    wide = approximation(1.5 * FACTOR, MEAN + 0.3 * SDS)
    drawn = wide.sample(4000, key=3, resample="psis")
    draws = np.asarray(drawn["posterior"]["x"])[0]
    # 40,000 draws of an ESS of 40 % and systematic resampling: standard errors of 0.01.
    np.testing.assert_allclose((draws.mean(0) - MEAN) / SDS, 0, atol=0.06)
    np.testing.assert_allclose(draws.std(0) / SDS, 1, atol=0.06)
    assert drawn.attrs["resampled_khat"] < 0.7


def test_resampling_with_heavy_ratios_warns():
    narrow = approximation(FACTOR / 10)
    with pytest.warns(infer.FitWarning, match="importance weights rest on few"):
        narrow.sample(100, resample="psis")


def test_resampling_is_refused_by_an_unknown_name(exact):
    with pytest.raises(infer.RunError, match='Choose "psis"'):
        exact.sample(10, resample="sir")


def test_resampling_chooses_each_draw_by_its_weight():
    log_ratios = np.log([1.0, 2.0, 5.0])
    chosen = Ratios(log_ratios, 0.0).resample(8000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(chosen) / 1000, [1, 2, 5], atol=0.002)


def test_ratios_that_are_not_finite_have_no_weight():
    ratios = Ratios(np.array([-np.inf, 0.0, np.nan, 0.0]), 0.0)
    assert set(ratios.resample(100, np.random.default_rng(0)).tolist()) == {1, 3}
    assert ratios.ess == 0.5


@pytest.mark.parametrize(("size", "candidates"), [(10, 10_000), (10**5, 1000), (10**4, 6710)])
def test_candidates_for_resampling_fit_in_memory(size, candidates):
    assert choose_candidates(1000, size) == candidates
    assert choose_candidates(1, 10) == 2000


def test_the_tail_of_few_ratios_is_unknown():
    assert Ratios(np.linspace(0.0, 1.0, 24), 0.0).khat == np.inf
    assert Ratios(np.linspace(0.0, 1.0, 100), 0.0).khat < np.inf


def test_starts_are_distinct_draws_with_constrained_values(exact):
    starts = exact.starts(chains=6)
    assert starts["x"].shape == (6, 3)
    assert len(np.unique(starts["x"][:, 0])) == 6


def test_there_are_as_many_starts_as_chains(exact):
    assert exact.starts(chains=2500)["x"].shape == (2500, 3)


def test_weights_that_are_lost_to_rounding_are_told():
    jax.config.update("jax_enable_x64", False)
    try:
        model = infer.declared(
            lambda v: -0.5 * (v["x"] ** 2).sum() + 3e7, {"x": bj.Real(shape=(3,))}
        )
        # So narrow that few of the draws hold nearly all weight.
        distribution = IndependentNormal(jnp.zeros(3), jnp.full(3, 0.05))
        density = infer.log_density(model)
        fit = infer.Approximation(density, distribution, "mean_field", np.zeros(1), 0.0, True, {})
        with pytest.warns(infer.FitWarning, match="lost to rounding"):
            drawn = fit.sample(100, resample="psis")
        assert np.isnan(drawn.attrs["resampled_khat"])
        ratios = fit.ratios
        assert ratios is not None
        assert has_heavy_tail(ratios)
        assert [finding.kind for finding in fit.findings] == ["unknown_khat"]
    finally:
        jax.config.update("jax_enable_x64", True)


def test_no_draw_is_effective_if_no_ratio_is_finite():
    assert Ratios(np.full(30, -np.inf), 0.0).ess == 0.0


def test_the_metric_of_a_tuning_whitens_the_approximation():
    tuning = approximation(RIDGE, np.zeros(3)).tuning(infer.NUTS())
    rows = np.random.default_rng(0).normal(size=(4000, 3)) @ RIDGE.T
    whitened, _ = tuning.metric.whiten(rows, rows)
    # Directions stretched by less than sqrt(2) are left unchanged.
    variances = np.linalg.eigvalsh(np.cov(whitened.T))
    assert variances.min() > 0.45
    assert variances.max() < 2.2


def test_an_engine_without_a_metric_takes_no_tuning(exact):
    with pytest.raises(infer.EngineError, match="no metric"):
        exact.tuning(infer.ADVI())


def levels(site, centered):
    tau = site("tau", dist.HalfNormal(1.0))
    site("theta", dist.Normal(0.0, tau), shape=(2,), centered=centered)


@pytest.mark.parametrize("centered", [True, "auto", False])
def test_a_failed_fit_of_centered_effects_advises_to_center_them_otherwise(centered):
    density = infer.log_density(infer.model(levels, centered=centered))
    far = IndependentNormal(jnp.full(density.size, 0.1), jnp.full(density.size, 0.1))
    fit = infer.Approximation(density, far, "mean_field", np.zeros(1), 0.0, True, {})
    assert [finding.kind for finding in fit.findings] == ["failed_audit"]
    advised = "The scale of theta depends on other sites: write it non-centered (centered=False"
    assert (advised in fit.findings[0]) == (centered is not False)
