"""Models, densities and runs print as one line, even if something is wrong with them."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import bijectors as bj
import infer
from tests.compilations import list_compilations


def groups(site, error, effect):
    mu, tau = site("mu", dist.Normal(0, 5)), site("tau", dist.HalfCauchy(5))
    theta = site("theta", dist.Normal(mu, tau), dims="school", centered=False)
    site.derive("twice", 2 * theta)
    site.observe("y", dist.Normal(theta, error), effect)


def model():
    coords = {"school": list("ABC")}
    return infer.model(groups, error=2.0, effect=np.arange(3.0), coords=coords)


def test_a_model_is_shown_in_a_line():
    made = model()
    rest = "derived twice[3]; observed y[3]; data effect[3], error"
    assert repr(made) == f"Model(mu, tau, theta[3]; {rest})"
    assert repr(made.freeze(tau=1.0)) == f"Model(mu, theta[3]; frozen tau; {rest})"
    stacked = jax.vmap(lambda y: made.with_data(effect=y))(jnp.ones((4, 3)))
    assert repr(stacked) == "4 x Model(data effect[4, 3], error[4])"
    assert repr(infer.log_density(made)) == f"LogDensity({made!r}, jacobian=True)"


def test_a_run_is_shown_in_a_line():
    run = infer.start(model(), infer.HMC(), chains=2, warmup=10, progress=False)
    assert repr(run) == f"Run({run.engine!r}, 2 chains, warming up)"


def test_showing_a_model_computes_nothing_and_never_fails():
    def broken(site, y):
        site("x", dist.Normal(jnp.ones(2), jnp.ones(3)))

    shown = infer.model(broken, y=np.zeros(2))
    assert repr(shown) == "Model(...)"
    assert shown._repr_html_() == "<div><strong>Model(...)</strong></div>"
    made, compiled = model(), list_compilations(own_thread=True)
    repr(made), made._repr_html_()
    assert not compiled


def test_many_sites_are_not_all_named():
    supports = {f"x{i}": bj.Real() for i in range(100)}
    made = infer.declared(lambda v: -sum(x**2 for x in v.values()), supports)
    assert repr(made).endswith("x6, x7 and 92 more)")


def test_a_notebook_shows_a_table():
    shown = model()._repr_html_()
    assert shown.count("<tr>") == 1 + 5
    assert "<td>tau</td>" in shown
    assert "HalfCauchy" in shown
