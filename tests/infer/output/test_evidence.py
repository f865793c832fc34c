"""The evidence of models with a closed form, and what is refused."""

import warnings

import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import bijectors as bj
import infer
from infer.output.data.arviz import make_dataset
from infer.output.data.versions import as_arviz, groups_of

COUNTS, Y = np.array([3, 1, 4, 1, 5]), np.array([0.3, 1.9, 1.1])


def conjugate(site, counts, y):
    rate = site("rate", dist.Gamma(2.0, 1.0))
    site.observe("counts", dist.Poisson(rate), counts)
    mean = site("mean", dist.Normal(0.0, 3.0))
    site.observe("y", dist.Normal(mean, 1.0), y)


MODEL = infer.model(conjugate, counts=COUNTS, y=Y)
# A gamma-Poisson mixture, one count after the other, and a multivariate normal.
EXACT = sum(
    stats.nbinom(2 + COUNTS[:i].sum(), (1 + i) / (2 + i)).logpmf(count)
    for i, count in enumerate(COUNTS)
) + stats.multivariate_normal(np.zeros(3), np.eye(3) + 9).logpdf(Y)


@pytest.fixture(scope="module")
def result():
    return infer.sample(MODEL, draws=500, key=0, progress=False)


@pytest.fixture(scope="module")
def found(result):
    return infer.evidence(MODEL, result)


def test_the_evidence_of_a_conjugate_model_is_its_closed_form(found):
    assert found.method == "warp-III bridge sampling"
    assert abs(found.log_evidence - EXACT) < 4 * found.standard_error < 0.04
    assert not found.assumes
    assert "log evidence -" in str(found)


def test_draws_read_from_a_file_give_the_same_evidence(result, found):
    again = infer.evidence(MODEL, as_arviz(groups_of(result), {}))
    assert again.log_evidence == pytest.approx(found.log_evidence, abs=1e-9)


def test_draws_of_another_posterior_are_refused(result):
    other = infer.model(conjugate, counts=COUNTS + 1, y=Y)
    with pytest.raises(infer.RunError, match="differs from the one recorded"):
        infer.evidence(other, result)


def test_draws_of_several_models_are_refused(result):
    """Also if they hardly differ; otherwise they would count as draws of one posterior."""
    groups = {name: group.expand_dims(dataset=2, axis=2)
              for name, group in groups_of(result).items() if name == "posterior"}  # fmt: skip
    both = as_arviz(groups, {})
    with pytest.raises(infer.RunError, match=r"several models.*sel\(dataset=i\)"):
        infer.evidence(MODEL, both)
    infer.evidence(MODEL, as_arviz({"posterior": groups["posterior"].sel(dataset=1)}, {}))


def test_draws_of_another_size_are_refused(result):
    other = infer.model(lambda site: site("x", dist.Normal(0, 1)))
    with pytest.raises(infer.RunError, match="2 free numbers, and the model has 1"):
        infer.evidence(other, result)


def test_too_few_draws_are_refused(result):
    few = {name: group.isel(draw=slice(2)) for name, group in groups_of(result).items()
           if name in ("posterior",)}  # fmt: skip
    with pytest.raises(infer.RunError, match="no regular covariance"):
        infer.evidence(MODEL, as_arviz({"posterior": few["posterior"].isel(chain=[0])}, {}))


def test_methods_that_do_not_fit_are_refused(result):
    with pytest.raises(infer.RunError, match="smc"):
        infer.evidence(MODEL, result, "smc")
    with pytest.raises(infer.RunError, match="Choose from bridge"):
        infer.evidence(MODEL, result, "harmonic")
    with pytest.raises(infer.RunError, match="several models"):
        infer.evidence([MODEL, MODEL], result)


def test_a_site_without_a_prior_is_refused(result):
    flat = infer.model(
        lambda site: site.observe("y", dist.Normal(site.param("x", bj.Real()), 1.0), 1.0)
    )
    with pytest.raises(infer.ModelError, match="x: it has a constraint and no prior"):
        infer.evidence(flat, result)


def test_the_spread_of_runs_of_smc_is_their_error():
    def group(value):
        stat = np.full((16, 5), value)
        data = make_dataset({}, {}, {"log_marginal_likelihood": stat})
        return as_arviz({"sample_stats": data}, {})

    values = np.log([0.9, 1.0, 1.1])
    many = infer.evidence(MODEL, [group(value) for value in values])
    assert many.log_evidence == pytest.approx(0.0)
    assert many.standard_error == pytest.approx(0.1 / np.sqrt(3))
    assert np.isnan(infer.evidence(MODEL, group(1.0)).standard_error)


def test_runs_of_nested_sampling_have_their_own_errors():
    def group(value, error):
        stats = {"log_marginal_likelihood": np.full((50, 1), value)}
        stats["log_marginal_likelihood_error"] = np.full((50, 1), error)
        return as_arviz({"sample_stats": make_dataset({}, {}, stats)}, {})

    one = infer.evidence(MODEL, group(-3.0, 0.1))
    assert (one.log_evidence, one.standard_error) == pytest.approx((-3.0, 0.1))
    both = infer.evidence(MODEL, [group(-3.0, 0.3), group(-2.0, 0.4)])
    assert (both.log_evidence, both.standard_error) == pytest.approx((-2.5, 0.25))
    with pytest.raises(infer.RunError, match="nested_slice"):
        infer.evidence(MODEL, as_arviz({"sample_stats": make_dataset({}, {}, {})}, {}), "nested")


@pytest.mark.slow
def test_a_truncated_prior_is_told_and_off_by_the_logarithm_of_its_mass():
    def half(site):
        x = site("x", dist.Normal(0, 1), constraint=bj.Positive())
        site.observe("y", dist.Normal(x, 1.0), 0.5)

    model = infer.model(half)
    drawn = infer.sample(model, draws=500, key=0, progress=False)
    with pytest.warns(infer.ModelWarning, match="not renormalized"):
        found = infer.evidence(model, drawn)
    exact = stats.norm(0, np.sqrt(2)).logpdf(0.5) + stats.norm(0.25, np.sqrt(0.5)).logsf(0)
    assert abs(found.log_evidence - exact) < 4 * found.standard_error < 0.05
    assert found.assumes


@pytest.mark.slow
def test_the_evidence_of_a_unit_vector_needs_its_flat_draws():
    model = infer.declared(lambda values: 0 * values["x"].sum(), {"x": bj.UnitVector(3)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        drawn = infer.sample(model, draws=500, include="unconstrained_posterior", progress=False)
    found = infer.evidence(model, as_arviz(groups_of(drawn), {}))
    assert abs(found.log_evidence - np.log(4 * np.pi)) < 4 * found.standard_error < 0.15
    without = {n: g for n, g in groups_of(drawn).items() if n != "unconstrained_posterior"}
    with pytest.raises(infer.RunError, match="unit vectors"):
        infer.evidence(model, as_arviz(without, {}))
