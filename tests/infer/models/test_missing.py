"""Missing entries of an observation are latent; NaN in data is an error."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import infer

Y = np.array([1.0, 99.0, -0.5, 99.0])
GONE = np.array([False, True, False, True])


def gappy(site, y, gone):
    mu = site("mu", dist.Normal(0.0, 2.0))
    y = site.observe("y", dist.Normal(mu, 1.5), y, missing=gone)
    site.derive("total", y.sum())


def model(mask=GONE, y=Y):
    return infer.model(gappy, y=y, gone=infer.static(mask))


def test_the_log_density_equals_that_of_the_filled_in_data():
    density = infer.log_density(model())
    position = jnp.array([0.3, 2.0, -1.0])
    filled = np.array([1.0, 2.0, -0.5, -1.0])
    truth = stats.norm.logpdf(0.3, 0, 2) + stats.norm.logpdf(filled, 0.3, 1.5).sum()
    np.testing.assert_allclose(density(position), truth, rtol=1e-12)
    values = density.constrain(position)
    np.testing.assert_allclose(values["y.missing"], [2.0, -1.0])
    np.testing.assert_allclose(values["total"], filled.sum())
    terms = density.terms(position)
    seen = stats.norm.logpdf(filled[~GONE], 0.3, 1.5).sum()
    np.testing.assert_allclose(terms["y"], seen, rtol=1e-12)
    assert density.labels() == ["mu", "y.missing[0]", "y.missing[1]"]
    np.testing.assert_array_equal(density.observed()["y"], [1.0, np.nan, -0.5, np.nan])


def test_missing_entries_keep_their_own_bounds():
    high = np.array([1.0, 2.0, 3.0, 4.0])

    def bounded(site, y, gone):
        top = site("top", dist.HalfNormal(1.0))
        site.observe("y", dist.Uniform(0.0, top * high), y, missing=gone)

    y = np.array([0.1, 0.0, 0.2, 0.0])
    density = infer.log_density(infer.model(bounded, y=y, gone=infer.static(GONE)))
    values = density.constrain(jnp.array([0.5, 0.0, 0.0]))
    np.testing.assert_allclose(values["y.missing"], 0.5 * np.exp(0.5) * high[GONE])
    latent = {name: values[name] for name in ("top", "y.missing")}
    np.testing.assert_allclose(density.unconstrain(latent), [0.5, 0.0, 0.0], atol=1e-12)


def test_an_event_is_missing_as_a_whole():
    rows = np.random.default_rng(0).normal(size=(3, 2))

    def vectors(site, y, gone):
        mean = site("mean", dist.Normal(jnp.zeros(2), 1.0))
        site.observe("y", dist.MultivariateNormal(mean, jnp.eye(2)), y, missing=gone)

    gone = np.array([False, True, False])
    density = infer.log_density(infer.model(vectors, y=rows, gone=infer.static(gone)))
    assert density.size == 4
    filled = np.where(gone[:, None], [0.4, -0.2], rows)
    truth = stats.norm.logpdf([0.1, 0.2]).sum() + stats.norm.logpdf(filled - [0.1, 0.2]).sum()
    np.testing.assert_allclose(density(jnp.array([0.1, 0.2, 0.4, -0.2])), truth, rtol=1e-12)


def test_missing_entries_have_the_conditional_posterior():
    """4 chains of 500 draws; means and sds within 5 standard errors."""
    posterior = infer.sample(model(), draws=500, key=0, progress=False)["posterior"]
    precision = 1 / 4 + 2 / 1.5**2
    sd = np.sqrt(1 / precision + 1.5**2)
    missing = np.asarray(posterior["y.missing"]).reshape(-1, 2)
    np.testing.assert_allclose(missing.mean(0), 0.5 / 1.5**2 / precision, atol=0.25)
    np.testing.assert_allclose(missing.std(0), sd, rtol=0.12)


def test_a_mask_without_missing_entries_adds_no_site():
    density = infer.log_density(model(np.zeros(4, bool)))
    assert [site.name for site in density.latent] == ["mu"]


def test_missing_entries_start_at_prior_draws():
    density = infer.log_density(model())
    assert density.draw_prior(infer.numerics.keys.make_key(0)).shape == (3,)


@pytest.mark.parametrize(
    ("mask", "y", "words"),
    [
        (GONE, np.where(GONE, np.nan, Y), "y: the data hold 2 NaN"),
        (GONE[:3], Y, r"y: missing has dtype bool and shape \(3,\).*\(4,\)"),
        (GONE.astype(int), Y, "y: missing has dtype int"),
    ],
)
def test_a_wrong_mask_is_refused(mask, y, words):
    with pytest.raises(infer.ModelError, match=words):
        infer.log_density(model(mask, y))


def test_a_traced_mask_is_refused():
    with pytest.raises(infer.ModelError, match=r"y: which entries.*infer.static"):
        infer.log_density(infer.model(gappy, y=Y, gone=GONE))


def test_missing_counts_are_refused():
    def counts(site, y, gone):
        rate = site("rate", dist.HalfNormal(1.0))
        site.observe("y", dist.Poisson(rate), y, missing=gone)

    y = np.array([1, 2, 0, 0])
    with pytest.raises(infer.ModelError, match="y: its missing entries are discrete"):
        infer.log_density(infer.model(counts, y=y, gone=infer.static(GONE)))


def test_missing_entries_in_a_minibatch_are_refused():
    def both(site, y, gone):
        mu = site("mu", dist.Normal(0.0, 1.0))
        with site.plate("row", 4, minibatch=2) as rows:
            site.observe("y", dist.Normal(mu, 1.0), y[rows], missing=gone)

    with pytest.raises(infer.ModelError, match=r"y: entries are missing.*minibatch=None"):
        infer.log_density(infer.model(both, y=Y, gone=infer.static(GONE)))
