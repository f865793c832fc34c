"""Priors of which only the score is known have gradients but no values."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer

PRIOR = dist.Normal(3.0, 0.5)


def score(x):
    return jax.grad(PRIOR.log_prob)(x)


def conjugate(site, prior, y):
    x = site("x", prior)
    site.observe("y", dist.Normal(x, 1.0), y)


def scored():
    return infer.model(conjugate, prior=infer.static(infer.ScorePrior(score)), y=1.0)


def exact():
    return infer.model(conjugate, prior=infer.static(PRIOR), y=1.0)


def gradient(model, position):
    return jax.jit(infer.log_density(model).evaluate)(np.asarray(position))[1]


def test_a_score_has_a_gradient_and_no_value():
    density, position = infer.log_density(scored()), jnp.array([0.7])
    assert not density.has_value
    assert density.offers == {"gradient"}
    assert density.unvalued == ("x",)
    value, slope = jax.jit(density.evaluate)(position)
    assert np.isnan(value)
    np.testing.assert_allclose(slope, gradient(exact(), position))
    assert np.isnan(density.terms(position)["x"])
    with pytest.raises(infer.ModelError, match="x: its prior is known by its score alone"):
        density(position)


def test_components_separate_terms_with_and_without_a_value():
    position = np.array([0.7])
    here = jax.jit(infer.log_density(scored()).components)(position)
    np.testing.assert_allclose(here.value, dist.Normal(0.7, 1.0).log_prob(1.0))
    np.testing.assert_allclose(here.gradient, gradient(exact(), position))
    np.testing.assert_allclose(here.unvalued_gradient, [score(0.7)])
    whole = jax.jit(infer.log_density(exact()).components)(position)
    np.testing.assert_allclose(whole.value, jax.jit(infer.log_density(exact()))(position))
    np.testing.assert_array_equal(whole.unvalued_gradient, 0.0)


def test_second_derivatives_of_a_score_prior_are_right():
    density = infer.log_density(scored())
    slope = lambda q: density.evaluate(q)[1]  # noqa: E731
    np.testing.assert_allclose(jax.jit(jax.jacfwd(slope))(np.array([0.7])), [[-5.0]])


def test_every_front_end_takes_a_score_prior():
    def theirs(prior, y=None):
        with numpyro.plate("n", 2):
            x = numpyro.sample("x", prior)
            numpyro.sample("y", dist.Normal(x, 1.0), obs=y)

    y, position = np.array([1.0, 2.0]), [0.7, -0.3]
    want = [float(score(q)) + float(a) - q for q, a in zip(position, y, strict=True)]
    prior = infer.ScorePrior(score)
    native = infer.model(
        lambda site, y: site.observe("y", dist.Normal(site("x", prior, shape=(2,)), 1.0), y), y=y
    )
    leaves = {"x": infer.Leaf(prior=prior)}
    rows = lambda tree, y: dist.Normal(tree["x"], 1.0).log_prob(y)  # noqa: E731
    tree = infer.tree_model({"x": np.zeros(2)}, rows, leaves, data=y)
    for model in (native, tree, infer.from_numpyro(theirs, infer.static(prior), y=y)):
        assert infer.log_density(model).unvalued == ("x",)
        np.testing.assert_allclose(gradient(model, position), want, rtol=1e-12)


def test_numpyros_masks_and_scales_reach_the_score():
    def theirs(y):
        with numpyro.plate("n", 2), numpyro.handlers.scale(scale=3.0):
            x = numpyro.sample("x", infer.ScorePrior(score).mask(jnp.array([True, False])))
        numpyro.sample("y", dist.Normal(x.sum(), 1.0), obs=y)

    density = infer.log_density(infer.from_numpyro(theirs, 1.0))
    want = [3 * float(score(0.7)), 0.0]
    np.testing.assert_allclose(jax.jit(density.unvalued_gradient)(np.array([0.7, 0.2])), want)


def test_the_score_of_a_frozen_site_is_left_out():
    def two(site, y):
        x = site("x", infer.ScorePrior(score))
        site.observe("y", dist.Normal(x + site("z", dist.Normal(0.0, 1.0)), 1.0), y)

    model = infer.model(two, y=1.0)
    assert not infer.log_density(model).has_value
    density = infer.log_density(model.freeze(x=0.5))
    assert density.has_value
    want = dist.Normal(0.0, 1.0).log_prob(0.2) + dist.Normal(0.7, 1.0).log_prob(1.0)
    np.testing.assert_allclose(density(jnp.array([0.2])), want)


def test_a_temperature_is_passed_to_the_score_and_is_data():
    noisy = lambda x, sigma: -x / (1 + sigma**2)  # noqa: E731

    def model(site, sigma):
        site("x", infer.ScorePrior(noisy, temperature=sigma))

    for sigma in (0.0, 2.0):
        want = [-1 / (1 + sigma**2)]
        np.testing.assert_allclose(gradient(infer.model(model, sigma=sigma), [1.0]), want)


def test_jacobian_true_adds_the_jacobian_of_pre():
    """A score of log x, whose density is standard normal, is that of a log-normal of x."""
    prior = infer.ScorePrior(lambda z: -z, pre=jnp.log, jacobian=True, support=bj.Positive())
    slope = jax.jit(jax.grad(lambda x: prior.log_prob(x)))(1.7)
    np.testing.assert_allclose(slope, jax.jit(jax.grad(dist.LogNormal(0.0, 1.0).log_prob))(1.7))
    plain = infer.ScorePrior(lambda z: -z, pre=jnp.log, support=bj.Positive())
    np.testing.assert_allclose(jax.grad(lambda x: plain.log_prob(x))(1.7), -np.log(1.7) / 1.7)


def refuses(model, *words, engine=None):
    with pytest.raises((infer.ModelError, infer.EngineError)) as caught:
        infer.start(model, engine or infer.ADVI(), chains=1)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("held", ["closed over", "inside"])
def test_a_score_that_depends_on_another_site_is_refused(held):
    """The gradient of its normalizer, which depends on that site, is unknown."""

    def model(site):
        tau = site("tau", dist.HalfNormal(1.0))
        by_tau = lambda x: -x / tau**2  # noqa: E731
        wrapped = eqx.Partial(lambda tau, x: -x / tau**2, tau)
        site("x", infer.ScorePrior(by_tau if held == "closed over" else wrapped))

    refuses(infer.model(model), "x:", "depends on another latent site", "Freeze")


def test_errors_about_scores_say_what_is_wrong():
    wrong = lambda site: site("x", infer.ScorePrior(lambda x: x.sum(), (2,)))  # noqa: E731
    refuses(infer.model(wrong), "ScorePrior:", "shape () for a value of shape (2,)")
    observed = lambda site, y: site.observe("y", infer.ScorePrior(score), y)  # noqa: E731
    refuses(infer.model(observed, y=1.0), "y:", "observed", "score alone")
    with pytest.raises(infer.ModelError, match="cannot be called"):
        infer.ScorePrior(3.0)
    with pytest.raises(infer.ModelError, match="x: .*no prior draw exists"):
        infer.start(scored(), infer.ADVI(), starts="prior")


def test_numpyro_does_not_take_a_score_prior_for_a_flat_one():
    assert np.isnan(infer.ScorePrior(score).log_prob(0.3))
    with pytest.raises(infer.ModelError, match="gives no draws"):
        infer.ScorePrior(score).sample(jax.random.key(0))


def test_check_and_explain_report_score_priors():
    findings = infer.check(scored())
    assert all(finding.passed for finding in findings), "\n".join(map(str, findings))
    explained = infer.explain(scored(), {"x": 0.7})
    line = explained.line_of("x")
    assert line.finite
    assert np.isnan(line.value)
    np.testing.assert_allclose(line.gradient, 9.2)
    assert "unknown" in str(explained)
    assert "no:" not in str(explained)


def test_a_view_without_the_score_has_a_value():
    density = infer.log_density(scored().view("likelihood"))
    np.testing.assert_allclose(density(jnp.array([0.7])), dist.Normal(0.7, 1.0).log_prob(1.0))
    half = infer.log_density(scored().view(prior=0.5))
    assert not half.has_value
    np.testing.assert_allclose(half.unvalued_gradient(jnp.array([0.7])), [0.5 * score(0.7)])
