"""C5: trees whose parameters carry their constraint and prior, as in GPJax."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.distributions import biject_to, constraints

import bijectors as bj
import infer

paramax = pytest.importorskip("paramax")


class Hidden:
    """Hides a prior from JAX's pytrees, so that it is not trained."""

    def __init__(self, distribution):
        self.distribution = distribution


class Parameter(paramax.AbstractUnwrappable):
    """A number stored unconstrained, with a hidden prior."""

    _hidden: Any = eqx.field(static=True)
    _unconstrained: Any
    _constraint = constraints.softplus_positive

    def __init__(self, value, prior=None):
        self._unconstrained = biject_to(self._constraint).inv(jnp.asarray(value))
        self._hidden = None if prior is None else Hidden(prior)

    @property
    def prior(self):
        return None if self._hidden is None else self._hidden.distribution

    def unwrap(self):
        return biject_to(self._constraint)(self._unconstrained)


def number(parameter):
    """Read a parameter as its library does, wrapped or not."""
    return paramax.unwrap(parameter)


class RBF(eqx.Module):
    lengthscale: Any
    variance: Any

    def __call__(self, a, b):
        scaled = (a - b) / number(self.lengthscale)
        return number(self.variance) * jnp.exp(-0.5 * scaled**2)


class Process(eqx.Module):
    kernel: RBF
    noise: Any


X = np.linspace(0.0, 4.0, 12)
DATA = {"x": X, "y": np.sin(X)}
LENGTHSCALE, VARIANCE = dist.LogNormal(0.0, 0.5), dist.Gamma(2.0, 2.0)


def process():
    kernel = RBF(Parameter(1.0, LENGTHSCALE), Parameter(1.0, VARIANCE))
    return Process(kernel, paramax.non_trainable(Parameter(0.3)))


def marginal(process, data):
    x = data["x"]
    covariance = process.kernel(x[:, None], x) + number(process.noise) ** 2 * jnp.eye(x.size)
    return dist.MultivariateNormal(0.0, covariance).log_prob(data["y"])


def by_hand(x, y):
    lengthscale = numpyro.sample("kernel.lengthscale", LENGTHSCALE)
    variance = numpyro.sample("kernel.variance", VARIANCE)
    same = RBF(lengthscale, variance)(x[:, None], x) + 0.09 * jnp.eye(x.size)
    numpyro.sample("y", dist.MultivariateNormal(0.0, same), obs=y)


def test_c5_constraint_prior_and_frozen_state_are_discovered():
    """`tree_model` without any rules for leaves, in place of `from_pytree`."""
    model = infer.tree_model(process(), marginal, {}, data=DATA)
    rows = {row.name: row for row in model.table().rows}
    assert (rows["kernel.lengthscale"].set, rows["kernel.lengthscale"].prior) == (
        "Positive",
        "LogNormal",
    )
    assert rows["kernel.variance"].prior == "Gamma"
    assert (rows["noise"].role, rows["noise"].set, rows["noise"].prior) == (
        "frozen",
        "Positive",
        "flat",
    )
    np.testing.assert_allclose(model.frozen["noise"], 0.3, rtol=1e-6)


def test_c5_the_density_equals_that_of_the_model_written_in_numpyro():
    """The maps are the same, so both are compared at the same unconstrained points."""
    ours = infer.tree_model(process(), marginal, {}, data=DATA)
    theirs = infer.from_numpyro(by_hand, **DATA)
    one, two = infer.log_density(ours), infer.log_density(theirs)
    points = jax.random.normal(jax.random.key(0), (20, 2))
    evaluate = jax.jit(jax.vmap(lambda density, q: density.evaluate(q), in_axes=(None, 0)))
    values, wanted = evaluate(one, points), evaluate(two, points)
    np.testing.assert_allclose(values[0], wanted[0], rtol=1e-9)
    np.testing.assert_allclose(values[1], wanted[1], rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_c5_quantiles_agree_with_those_of_numpyro():
    """Three quantiles of 4 x 2000 draws, within 0.1 sd (5 standard errors); false alarm 1e-5."""
    model = infer.tree_model(process(), marginal, {}, data=DATA)
    posterior = infer.sample(model, draws=2000, key=0, progress=False)["posterior"]
    sampler = numpyro.infer.MCMC(
        numpyro.infer.NUTS(by_hand), num_warmup=500, num_samples=8000, progress_bar=False
    )
    sampler.run(jax.random.key(1), **DATA)
    for name, theirs in sampler.get_samples().items():
        ours = np.asarray(posterior[name]).ravel()
        grid = [0.1, 0.5, 0.9]
        miss = np.quantile(np.log(ours), grid) - np.quantile(np.log(theirs), grid)
        assert (np.abs(miss) < 0.1 * np.log(ours).std()).all()


def test_c5_draws_come_back_in_wrappers():
    model = infer.tree_model(process(), marginal, {}, data=DATA)
    values = {"kernel.lengthscale": np.full((2, 3), 0.7), "kernel.variance": np.full((2, 3), 1.3)}
    back = infer.tree_of(model, values)
    assert isinstance(back.kernel.lengthscale, Parameter)
    assert back.kernel.lengthscale._unconstrained.shape == (2, 3)
    np.testing.assert_allclose(number(back.kernel.lengthscale), 0.7, rtol=1e-9)
    np.testing.assert_allclose(number(back.noise), 0.3, rtol=1e-6)


def test_c5_rules_of_the_user_are_merged_with_those_of_the_parameter():
    leaves = {"kernel.lengthscale": infer.Leaf(bijector="softplus"), "noise": dist.HalfNormal(1.0)}
    model = infer.tree_model(process(), marginal, leaves, data=DATA)
    site = infer.log_density(model).latent[0]
    assert (site.prior, site.bijector) == ("LogNormal", "Softplus")
    row = {row.name: row for row in model.table().rows}["noise"]
    assert (row.role, row.prior) == ("frozen", "HalfNormal")
    assert infer.log_density(model.free("noise")).size == 3
    assert isinstance(infer.log_density(model).model.rules, type(bj.RULES))
