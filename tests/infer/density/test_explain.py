"""A log density is explained term by term, and a failure names the terms at fault."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer

Y = np.array([1.0, 2.5, 0.3])


def normal(site, y):
    mu = site("mu", dist.Normal(1.0, 2.0))
    sigma = site("sigma", dist.Gamma(2.0, 1.5))
    shift = site.param("shift", bj.Interval(0.0, 2.0))
    site.derive("double", 2 * mu)
    site.factor("shrink", -0.1 * mu**2)
    site.observe("y", dist.Normal(mu + shift, sigma), y)


MODEL = infer.model(normal, y=Y)
VALUES = {"mu": 0.4, "sigma": 0.7, "shift": 1.5}


def test_every_term_is_explained():
    table = infer.explain(MODEL, VALUES)
    found = {line.name: (line.role, line.shape, line.value, line.log_det) for line in table.lines}
    expected = {
        "mu": ("prior", (), dist.Normal(1.0, 2.0).log_prob(0.4), 0.0),
        "sigma": ("prior", (), dist.Gamma(2.0, 1.5).log_prob(0.7), np.log(0.7)),
        "shift": ("flat", (), 0.0, np.log(1.5 * 0.5 / 2.0)),
        "shrink": ("factor", (), -0.1 * 0.16, None),
        "y": ("likelihood", (3,), dist.Normal(1.9, 0.7).log_prob(Y).sum(), None),
    }
    assert list(found) == list(expected)
    for name, (role, shape, value, log_det) in expected.items():
        assert found[name][:2] == (role, shape)
        np.testing.assert_allclose(found[name][2], value, rtol=1e-12)
        assert (found[name][3] is None) == (log_det is None)
        np.testing.assert_allclose(found[name][3] or 0.0, log_det or 0.0, rtol=1e-12)
    assert all(line.finite for line in (*table.lines, table.total))
    assert {n: float(v) for n, v in table.values.items()} == pytest.approx(VALUES | {"double": 0.8})


@pytest.mark.parametrize("jacobian", [True, False])
def test_the_total_is_the_log_density(jacobian):
    density = infer.log_density(MODEL, jacobian=jacobian)
    position = density.unconstrain(VALUES)
    table = infer.explain(MODEL, position, jacobian=jacobian)
    value, gradient = density.evaluate(position)
    np.testing.assert_allclose(table.total.value + (table.total.log_det or 0.0), value, rtol=1e-12)
    np.testing.assert_allclose(table.total.gradient, np.linalg.norm(gradient), rtol=1e-12)
    assert (table.total.log_det is None) == (not jacobian)
    assert table.view == density.view


def test_gradients_are_those_of_each_term_with_its_map():
    density = infer.log_density(MODEL)
    position = density.unconstrain(VALUES)
    table = infer.explain(MODEL, position)
    for line in table.lines:
        alone = infer.log_density(MODEL.view(line.name), jacobian=False) if line.value else None
        gradient = jax.grad(alone)(position) if alone else jnp.zeros(3)
        # Of sigma = exp(y) the log-determinant is y, of the logistic map log s(y) + log s(-y).
        own = {"sigma": [0, 1, 0], "shift": [0, 0, 1 - 2 * 0.75]}.get(line.name, [0, 0, 0])
        np.testing.assert_allclose(line.gradient, np.linalg.norm(gradient + np.array(own)), 1e-10)


def test_an_explanation_prints_as_a_table():
    lines = str(infer.explain(MODEL, VALUES)).splitlines()
    assert lines[0].startswith("posterior, unconstrained, at mu=0.4, sigma=0.7, shift=1.5, double")
    assert lines[1].split() == ["term", "role", "shape", "value", "log-det", "gradient", "finite"]
    sigma, y = dist.Gamma(2.0, 1.5).log_prob(0.7), dist.Normal(1.9, 0.7).log_prob(Y).sum()
    assert lines[3].split()[:5] == ["sigma", "prior", "[]", f"{sigma:.4g}", "-0.3567"]
    assert lines[6].split()[:4] == ["y", "likelihood", "[3]", f"{y:.4g}"]
    assert lines[7].split()[0] == "total"
    assert (
        "[40] from 0 to 39"
        in infer.explain(
            infer.declared(lambda v: -(v["x"] ** 2).sum(), {"x": bj.Real(shape=(40,))}),
            np.arange(40.0),
        ).point
    )


def test_views_and_starts_are_explained():
    table = infer.explain(MODEL.view(likelihood=0.5))
    assert table.view == "prior * likelihood^0.5 * factor, unconstrained"
    assert infer.explain(MODEL.view("y")).line_of("mu").role == "left out"
    assert (np.abs(np.asarray(infer.log_density(MODEL).unconstrain(
        {name: table.values[name] for name in VALUES}
    ))) < 2).all()  # fmt: skip
    with pytest.raises(infer.ModelError, match="at: the point has shape .2,.*mu, sigma, shift"):
        infer.explain(MODEL, np.zeros(2))
    with pytest.raises(infer.StartError, match="'nowhere' is unknown"):
        infer.explain(MODEL, "nowhere")


def broken(site, y):
    site("mu", dist.Normal(0.0, 1.0))
    scale = site("scale", dist.HalfNormal(1.0))
    site.factor("root", jnp.sqrt(scale - scale))
    site.observe("y", dist.Uniform(0.0, scale), y)
    site.observe("z", dist.Normal(scale, 1.0), 0.0)


def test_terms_that_are_not_finite_are_distinguished():
    """The square root at zero has an infinite slope, which must not spoil other terms."""
    model = infer.model(broken, y=np.array([0.5, 2.0, 3.0]))
    table = infer.explain(model, np.zeros(2))
    assert {line.name: line.trouble for line in table.lines} == {
        "mu": "",
        "scale": "",
        "root": "gradient is not finite along scale",
        "y": "log density is -inf in 2 of 3 rows, first at [1]",
        "z": "",
    }
    np.testing.assert_allclose(table.line_of("z").gradient, 1.0)
    assert table.total.trouble == "root, y"
    assert "no: gradient is not finite along scale" in str(table)


def test_a_start_that_is_not_finite_names_every_term_at_fault_with_the_values():
    def hopeless(site, y):
        mu = site("mu", dist.Normal(0.0, 1.0))
        site.factor("impossible", jnp.log(-jnp.abs(mu)))
        site.factor("y", jnp.where(y > 5.0, 0.0, -jnp.inf))

    model = infer.model(hopeless, y=np.array([7.0, 1.0, 3.0]))
    with pytest.raises(infer.StartError) as caught:
        infer.sample(model)
    error = caught.value
    assert error.where == "impossible"
    assert "its log density is nan, at the first of 100 starts tried: mu=" in error.found
    assert error.found.endswith("; also not finite: y")
    assert "infer.explain" in error.mend
    with pytest.raises(infer.StartError, match=r"y: its log density is -inf in 2 of 3 rows, "
        r"first at \[1\], at the start mu=0.5\."):  # fmt: skip
        infer.sample(model.view("mu", "y"), starts={"mu": 0.5})


def test_an_observed_value_outside_the_support_is_named():
    def counted(site, y):
        rate = site("rate", dist.Gamma(1.0, 1.0))
        site.observe("y", dist.Poisson(rate), y)

    text = r"1.5 at \[1\] is outside the support of Poisson, .*\. Correct this value"
    with pytest.raises(infer.StartError, match=text):
        infer.sample(infer.model(counted, y=np.array([1.0, 1.5])))


def test_a_map_that_is_not_finite_is_named():
    model = infer.declared(lambda v: -v["s"], {"s": bj.Positive()})
    trouble = infer.explain(model, np.array([-np.inf])).line_of("s").trouble
    assert trouble == "map has the log-determinant -inf"
