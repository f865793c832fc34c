"""Views of one density: which terms, to which powers, in which space."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import bijectors as bj
import infer

Y = np.array([1.0, 2.5, 0.3])


def normal(site, y):
    mu = site("mu", dist.Normal(1.0, 2.0))
    sigma = site("sigma", dist.Gamma(2.0, 1.5))
    site.factor("shrink", -0.1 * mu**2)
    site.observe("y", dist.Normal(mu, sigma), y)


MODEL = infer.model(normal, y=Y)
VALUES = {"mu": 0.4, "sigma": 0.7}
POSITION = jnp.array([0.4, np.log(0.7)])
LOG_DET = np.log(0.7)
# Each term, written out.
TERMS = {
    "mu": stats.norm.logpdf(0.4, 1.0, 2.0),
    "sigma": stats.gamma.logpdf(0.7, 2.0, scale=1 / 1.5),
    "shrink": -0.1 * 0.4**2,
    "y": stats.norm.logpdf(Y, 0.4, 0.7).sum(),
}
PRIOR = TERMS["mu"] + TERMS["sigma"]
POSTERIOR = sum(TERMS.values())

VIEWS = {
    "posterior": (MODEL, POSTERIOR),
    "prior": (MODEL.view("prior"), PRIOR),
    "likelihood": (MODEL.view("likelihood"), TERMS["y"]),
    "factor": (MODEL.view("factor"), TERMS["shrink"]),
    "prior * likelihood": (MODEL.view("prior", "y"), PRIOR + TERMS["y"]),
    "mu": (MODEL.view("mu"), TERMS["mu"]),
    "mu * sigma^0.5": (MODEL.view("m*", "s?gma", sigma=0.5), TERMS["mu"] + 0.5 * TERMS["sigma"]),
    "prior * likelihood^0.25 * factor": (
        MODEL.view(likelihood=0.25),
        POSTERIOR - 0.75 * TERMS["y"],
    ),
    "posterior^0.5": (MODEL.view(posterior=0.5), 0.5 * POSTERIOR),
    "likelihood^0.1": (
        MODEL.view("prior", "y").view("y", y=0.5).view({"**": 0.2}),
        0.1 * TERMS["y"],
    ),
    "prior^2 * factor": (MODEL.view(prior=2.0).view(likelihood=0), POSTERIOR + PRIOR - TERMS["y"]),
}
EVERY = pytest.mark.parametrize("name", VIEWS)


@EVERY
def test_a_view_is_the_sum_of_its_terms_in_both_spaces_with_and_without_jacobian(name):
    model, terms = VIEWS[name]
    for jacobian in (True, False):
        density = infer.log_density(model, jacobian=jacobian)
        expected = terms + LOG_DET * jacobian
        np.testing.assert_allclose(density(POSITION), expected, rtol=1e-12)
        np.testing.assert_allclose(density.of(VALUES), expected, rtol=1e-12)
        np.testing.assert_allclose(sum(density.terms(POSITION).values()), expected, rtol=1e-12)


@EVERY
def test_a_view_describes_itself(name):
    model, _ = VIEWS[name]
    assert infer.log_density(model).view == f"{name}, unconstrained"
    assert infer.log_density(model, jacobian=False).view == f"{name}, constrained"


def test_the_rows_of_a_likelihood_are_single_observations():
    rows = infer.log_density(MODEL.view(likelihood=0.5)).rows(POSITION)
    np.testing.assert_allclose(rows["y"], 0.5 * dist.Normal(0.4, 0.7).log_prob(Y), rtol=1e-12)
    assert {name: row.shape for name, row in rows.items()} == {
        "mu": (), "sigma": (), "shrink": (), "y": (3,)
    }  # fmt: skip


def test_gradients_in_the_two_spaces_differ_by_the_slope_of_the_map():
    """d/dy log p(x(y)) = p'(x)/p(x) dx/dy, with dx/dy = sigma; the Jacobian adds one."""
    plain, whole = (infer.log_density(MODEL, jacobian=jacobian) for jacobian in (False, True))
    constrained = jax.grad(plain.of)(VALUES)
    expected = np.array([constrained["mu"], constrained["sigma"] * 0.7])
    np.testing.assert_allclose(plain.evaluate(POSITION)[1], expected, rtol=1e-10)
    np.testing.assert_allclose(whole.evaluate(POSITION)[1], expected + [0, 1], rtol=1e-10)
    of_values = jax.grad(whole.of)(VALUES)
    np.testing.assert_allclose(of_values["sigma"], constrained["sigma"] + 1 / 0.7, rtol=1e-10)


def test_constrained_values_are_checked():
    density = infer.log_density(MODEL)
    with pytest.raises(infer.ModelError, match="sigma: no value is given"):
        density.of({"mu": 0.4})
    with pytest.raises(infer.ModelError, match=r"mu: the value has shape \(2,\)"):
        density.of({"mu": np.zeros(2), "sigma": 1.0})


def test_a_redundant_map_gives_the_same_density_of_values():
    """The auxiliary density of a unit vector is that of the radius, which values do not have."""
    model = infer.declared(lambda v: v["u"][0], {"u": bj.UnitVector(3)})
    value = {"u": np.array([0.6, 0.8, 0.0])}
    assert float(infer.log_density(model, jacobian=False).of(value)) == 0.6
    whole = infer.log_density(model)
    np.testing.assert_allclose(whole.of(value), whole(whole.unconstrain(value)), rtol=1e-12)


def theirs(y):
    mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)


MODELS = {
    "numpyro": lambda: infer.from_numpyro(theirs, Y),
    "tree": lambda: infer.tree_model(
        {"mu": 0.0},
        lambda tree, y: dist.Normal(tree["mu"], 1.0).log_prob(y),
        {"mu": dist.Normal(0.0, 1.0)},
        data=Y,
    ),
    "frozen": lambda: infer.model(normal, y=Y).freeze(sigma=1.0),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_of_every_front_end_have_views(name):
    model = MODELS[name]()
    parts = [infer.log_density(model.view(r))(jnp.array([0.3])) for r in ("prior", "likelihood")]
    expected = infer.log_density(model)(jnp.array([0.3])) - (-0.1 * 0.3**2) * (name == "frozen")
    np.testing.assert_allclose(sum(parts), expected, rtol=1e-12)


def test_freezing_and_viewing_commute():
    position = jnp.array([0.4])
    one = infer.log_density(MODEL.freeze(sigma=0.7).view("likelihood"))
    two = infer.log_density(MODEL.view("likelihood").freeze(sigma=0.7))
    for density in (one, two):
        np.testing.assert_allclose(density(position), TERMS["y"], rtol=1e-12)
        assert density.view == "likelihood, unconstrained"
    freed = MODEL.freeze(sigma=0.7).view("likelihood").free("sigma")
    assert infer.log_density(freed).size == 2
    moved = MODEL.view("likelihood").with_data(y=Y + 1)
    np.testing.assert_allclose(
        infer.log_density(moved, jacobian=False).of(VALUES),
        dist.Normal(0.4, 0.7).log_prob(Y + 1).sum(),
    )


def test_powers_are_arguments_of_the_program():
    traces = []

    @jax.jit
    def log_density(model):
        traces.append(infer.log_density(model).view)
        return infer.log_density(model)(POSITION)

    cold, warm = (log_density(MODEL.view(likelihood=power)) for power in (0.0, 0.5))
    np.testing.assert_allclose(warm - cold, 0.5 * TERMS["y"], rtol=1e-12)
    assert traces == ["prior * likelihood^traced * factor, unconstrained"]
    slope = jax.grad(lambda b: infer.log_density(MODEL.view(likelihood=b))(POSITION))(0.5)
    np.testing.assert_allclose(slope, TERMS["y"], rtol=1e-12)


def test_meaningless_powers_and_selectors_are_refused():
    terms = r"mu \(prior\), sigma \(prior\), shrink \(factor\), y \(likelihood\)"
    for given, named, message in [
        ((), {}, 'neither terms nor powers.*model.view\\("likelihood"\\)'),
        (("z",), {}, rf"'z': it selects no term.*{terms}"),
        ((), {"likelihod": 0.5}, "'likelihod': it selects no term"),
        ((), {"y": -1.0}, "y: it is raised to the power -1.0"),
        ((), {"y": np.ones(3)}, "y: it is raised to the power"),
        ((), {"y": 0.5, "likelihood": 0.5}, "y: it is given two powers"),
        (("prior",), {"y": 0.5}, "y: it is given a power, but is not among"),
    ]:
        with pytest.raises(infer.ModelError, match=message):
            MODEL.view(*given, **named)
    with pytest.raises(infer.ModelError, match="'likelihood'.*log_density \\(factor\\)"):
        infer.declared(lambda v: -v["x"], {"x": bj.Positive()}).view("likelihood")


def test_the_mode_of_the_likelihood_is_that_of_maximum_likelihood():
    optimum = infer.maximize(MODEL.view("likelihood"), infer.MAP("constrained"), starts=4)
    np.testing.assert_allclose(optimum.values["mu"], Y.mean(), rtol=1e-5)
    np.testing.assert_allclose(optimum.values["sigma"], Y.std(), rtol=1e-5)
    assert optimum.view == "likelihood, constrained"
    assert "view='likelihood, constrained'" in repr(optimum)


def conjugate(site, y):
    mu = site("mu", dist.Normal(0.0, 2.0))
    site.observe("y", dist.Normal(mu, 1.0), y)


def test_hmc_runs_on_a_tempered_posterior():
    """Normal prior of variance 4, three unit observations to the power 0.25.

    4000 draws of HMC are worth far more than 400 independent ones here: five standard errors of
    400 fail a right sampler less than once in a million fixed keys.
    """
    model = infer.model(conjugate, y=Y).view(likelihood=0.25)
    idata = infer.sample(model, infer.HMC(), chains=4, draws=1000, warmup=200, key=2)
    precision = 1 / 4 + 0.25 * 3
    mean, sd = 0.25 * Y.sum() / precision, precision**-0.5
    draws = np.asarray(idata["posterior"]["mu"])
    assert abs(draws.mean() - mean) < 5 * sd / 20
    assert abs(draws.std() / sd - 1) < 5 / np.sqrt(2 * 400)
    assert idata.attrs["view"] == "prior * likelihood^0.25, unconstrained"
    assert idata.attrs["jacobian"] == 1


def scored(tree, y):
    return dist.Normal(tree["mu"], 1.0).log_prob(y)


def test_a_view_scales_the_score_of_a_prior():
    """The gradient of prior^0.5 likelihood is half the score and the likelihood's own."""
    prior = infer.ScorePrior(jax.grad(dist.Normal(3.0, 0.5).log_prob))
    model = infer.tree_model({"mu": 0.5}, scored, {"mu": infer.Leaf(prior=prior)}, data=1.0)
    half = infer.log_density(model.view(prior=0.5))
    np.testing.assert_allclose(half.evaluate(jnp.array([2.0]))[1], [0.5 * 4.0 - 1.0], rtol=1e-12)
    assert (half.view, half.has_value) == ("prior^0.5 * likelihood, unconstrained", False)
    assert np.isnan(half.of({"mu": 2.0}))
    likelihood = infer.log_density(model.view("likelihood"))
    assert likelihood.has_value
    np.testing.assert_allclose(likelihood.of({"mu": 2.0}), dist.Normal(2.0, 1.0).log_prob(1.0))
    table = infer.explain(model, np.array([2.0]))
    assert [line.trouble for line in (*table.lines, table.total)] == ["", "", ""]
    assert "unknown" in str(table)
    np.testing.assert_allclose([line.gradient for line in table.lines], [4.0, 1.0], rtol=1e-12)
    np.testing.assert_allclose(table.total.gradient, 3.0, rtol=1e-12)
    assert all(finding.passed for finding in infer.check(model))
