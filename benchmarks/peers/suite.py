"""The nine models, written in NumPyro, PyMC and Stan, with their data.

Ours, NumPyro and BlackJAX take the NumPyro program; PyMC, nutpie and owalnuts take the PyMC one,
and stanli and walnutpie the Stan one. All have the same priors, the same parametrization and the
same names.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .stan_programs import PROGRAMS


class Stan(NamedTuple):
    """A Stan program.

    Attributes:
        code: Its text.
        data: Makes its data, or names a JSON file that holds them.
    """

    code: str
    data: Callable[[], Mapping[str, Any]] | str


class Case(NamedTuple):
    """One model.

    Attributes:
        data: Makes the data.
        numpyro: The NumPyro program, called with the data by name.
        pymc: Fills a PyMC model's context, called with the data by name.
        sites: Latent sites whose effective sample sizes are compared.
        declare: Makes our model, if it is not read from the NumPyro program.
        stan: The Stan program, if there is one.
    """

    data: Callable[[], Mapping[str, Any]]
    numpyro: Callable[..., None]
    pymc: Callable[..., None]
    sites: tuple[str, ...]
    declare: Callable[[], Any] | None = None
    stan: Stan | None = None


def schools_data():
    return {
        "error": np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]),
        "effect": np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]),
    }


def schools_numpyro(error, effect):
    import numpyro
    import numpyro.distributions as dist

    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(5))
    z = numpyro.sample("z", dist.Normal(0, 1).expand([8]).to_event(1))
    numpyro.sample("effect", dist.Normal(mu + tau * z, error), obs=effect)


def schools_pymc(error, effect):
    import pymc as pm

    mu = pm.Normal("mu", 0, 5)
    tau = pm.HalfCauchy("tau", 5)
    z = pm.Normal("z", 0, 1, shape=8)
    pm.Normal("effect", mu + tau * z, error, observed=effect)


def radon_data():
    rng = np.random.default_rng(1)
    # Few counties hold most of the houses, as in Minnesota.
    shares = rng.dirichlet(np.full(85, 0.6))
    county = np.sort(np.concatenate([np.arange(85), rng.choice(85, 919 - 85, p=shares)]))
    floor = (rng.random(919) < 0.17).astype(float)
    intercept = rng.normal(1.4, 0.3, 85)
    y = intercept[county] - 0.7 * floor + rng.normal(0, 0.75, 919)
    return {"county": county, "floor": floor, "y": y}


def radon_numpyro(county, floor, y):
    import numpyro
    import numpyro.distributions as dist

    mu = numpyro.sample("mu", dist.Normal(0, 10))
    tau = numpyro.sample("tau", dist.HalfNormal(1))
    a: Any = numpyro.sample("a", dist.Normal(mu, tau).expand([85]).to_event(1))
    b = numpyro.sample("b", dist.Normal(0, 10))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1))
    numpyro.sample("y", dist.Normal(a[county] + b * floor, sigma), obs=y)


def radon_pymc(county, floor, y):
    import pymc as pm

    mu = pm.Normal("mu", 0, 10)
    tau = pm.HalfNormal("tau", 1)
    a = pm.Normal("a", mu, tau, shape=85)
    b = pm.Normal("b", 0, 10)
    sigma = pm.HalfNormal("sigma", 1)
    pm.Normal("y", a[county] + b * floor, sigma, observed=y)


def logistic_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 24))
    odds = np.exp(-x @ rng.normal(size=24) / np.sqrt(24))
    return {"x": x, "y": (rng.random(1000) < 1 / (1 + odds)).astype(int)}


def logistic_numpyro(x, y):
    import numpyro
    import numpyro.distributions as dist

    a = numpyro.sample("a", dist.Normal(0, 1))
    b = numpyro.sample("b", dist.Normal(0, 1).expand([24]).to_event(1))
    numpyro.sample("y", dist.Bernoulli(logits=a + x @ b), obs=y)


def logistic_pymc(x, y):
    import pymc as pm

    a = pm.Normal("a", 0, 1)
    b = pm.Normal("b", 0, 1, shape=24)
    pm.Bernoulli("y", logit_p=a + x @ b, observed=y)


def normal_data():
    lag = np.abs(np.subtract.outer(np.arange(100), np.arange(100)))
    return {"precision": np.linalg.inv(0.95**lag)}


def normal_numpyro(precision):
    import numpyro
    import numpyro.distributions as dist

    real = dist.ImproperUniform(dist.constraints.real_vector, (), (100,))
    x = numpyro.sample("x", real)
    numpyro.factor("normal", -0.5 * x @ (precision @ x))


def normal_pymc(precision):
    import pymc as pm

    x = pm.Flat("x", shape=100)
    pm.Potential("normal", -0.5 * pm.math.dot(x, pm.math.dot(precision, x)))


def irt_data():
    rng = np.random.default_rng(2)
    ability, easy = rng.normal(size=(200, 1)), rng.normal(size=20)
    sharp = np.exp(0.5 * rng.normal(size=20))
    right = rng.random((200, 20)) < 1 / (1 + np.exp(-sharp * (ability - easy)))
    return {"right": right.astype(int)}


def irt_numpyro(right):
    import numpyro
    import numpyro.distributions as dist

    theta: Any = numpyro.sample("theta", dist.Normal(0, 1).expand([200]).to_event(1))
    a = numpyro.sample("a", dist.LogNormal(0, 0.5).expand([20]).to_event(1))
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfNormal(2))
    b = numpyro.sample("b", dist.Normal(mu, tau).expand([20]).to_event(1))
    numpyro.sample("right", dist.Bernoulli(logits=a * (theta[:, None] - b)), obs=right)


def irt_pymc(right):
    import pymc as pm

    theta = pm.Normal("theta", 0, 1, shape=200)
    a = pm.LogNormal("a", 0, 0.5, shape=20)
    mu = pm.Normal("mu", 0, 5)
    tau = pm.HalfNormal("tau", 2)
    b = pm.Normal("b", mu, tau, shape=20)
    pm.Bernoulli("right", logit_p=a * (theta[:, None] - b), observed=right)


def volatility_data():
    rng = np.random.default_rng(3)
    h = np.cumsum(rng.normal(0, 0.15, 200)) - 1
    return {"returns": np.exp(h) * rng.standard_t(8, 200)}


def volatility_numpyro(returns):
    import numpyro
    import numpyro.distributions as dist

    sigma = numpyro.sample("sigma", dist.Exponential(10))
    nu = numpyro.sample("nu", dist.Exponential(0.1))
    steps: Any = numpyro.sample("steps", dist.Normal(0, 1).expand([200]).to_event(1))
    h = -1 + sigma * steps.cumsum()
    numpyro.sample("returns", dist.StudentT(nu, 0, _exp(h)), obs=returns)


def _exp(h):
    import jax.numpy as jnp

    return jnp.exp(h)


def volatility_pymc(returns):
    import pymc as pm

    sigma = pm.Exponential("sigma", 10)
    nu = pm.Exponential("nu", 0.1)
    steps = pm.Normal("steps", 0, 1, shape=200)
    h = -1 + sigma * steps.cumsum()
    pm.StudentT("returns", nu, 0, sigma=pm.math.exp(h), observed=returns)


def process_data():
    rng = np.random.default_rng(4)
    x = np.sort(rng.uniform(0, 10, 40))
    return {"x": x, "y": np.sin(x) + 0.2 * rng.normal(size=40)}


def process_numpyro(x, y):
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    length = numpyro.sample("length", dist.InverseGamma(5, 5))
    height = numpyro.sample("height", dist.HalfNormal(2))
    noise = numpyro.sample("noise", dist.HalfNormal(1))
    square = ((x[:, None] - x) / length) ** 2
    covariance = height**2 * jnp.exp(-0.5 * square) + noise**2 * jnp.eye(len(x))
    numpyro.sample("y", dist.MultivariateNormal(0.0, covariance), obs=y)


def process_pymc(x, y):
    import pymc as pm

    length = pm.InverseGamma("length", 5, 5)
    height = pm.HalfNormal("height", 2)
    noise = pm.HalfNormal("noise", 1)
    square = ((x[:, None] - x) / length) ** 2
    covariance = height**2 * pm.math.exp(-0.5 * square) + noise**2 * np.eye(len(x))
    pm.MvNormal("y", np.zeros(len(x)), cov=covariance, observed=y)


def funnel_data():
    return {}


def funnel_numpyro():
    import numpyro
    import numpyro.distributions as dist

    v = numpyro.sample("v", dist.Normal(0, 3))
    z = numpyro.sample("z", dist.Normal(0, 1).expand([9]).to_event(1))
    numpyro.deterministic("x", _exp(v / 2) * z)


def funnel_pymc():
    import pymc as pm

    v = pm.Normal("v", 0, 3)
    z = pm.Normal("z", 0, 1, shape=9)
    pm.Deterministic("x", pm.math.exp(v / 2) * z)


def horseshoe_data():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(100, 20))
    slopes = np.where(np.arange(20) < 4, 2.0, 0.0)
    return {"x": x, "y": x @ slopes + rng.normal(size=100)}


def horseshoe_numpyro(x, y):
    import numpyro
    import numpyro.distributions as dist

    tau = numpyro.sample("tau", dist.HalfCauchy(0.1))
    lam = numpyro.sample("lam", dist.HalfCauchy(1).expand([20]).to_event(1))
    z = numpyro.sample("z", dist.Normal(0, 1).expand([20]).to_event(1))
    sigma = numpyro.sample("sigma", dist.HalfNormal(2))
    numpyro.sample("y", dist.Normal(x @ (z * lam * tau), sigma), obs=y)


def horseshoe_pymc(x, y):
    import pymc as pm

    tau = pm.HalfCauchy("tau", 0.1)
    lam = pm.HalfCauchy("lam", 1, shape=20)
    z = pm.Normal("z", 0, 1, shape=20)
    sigma = pm.HalfNormal("sigma", 2)
    pm.Normal("y", x @ (z * lam * tau), sigma, observed=y)


_CASES = {
    "eight schools": Case(schools_data, schools_numpyro, schools_pymc, ("mu", "tau", "z")),
    "radon": Case(radon_data, radon_numpyro, radon_pymc, ("mu", "tau", "a", "b", "sigma")),
    "logistic": Case(logistic_data, logistic_numpyro, logistic_pymc, ("a", "b")),
    "correlated normal": Case(normal_data, normal_numpyro, normal_pymc, ("x",)),
    "item response": Case(irt_data, irt_numpyro, irt_pymc, ("theta", "a", "mu", "tau", "b")),
    "volatility": Case(
        volatility_data, volatility_numpyro, volatility_pymc, ("sigma", "nu", "steps")
    ),
    "Gaussian process": Case(
        process_data, process_numpyro, process_pymc, ("length", "height", "noise")
    ),
    "funnel": Case(funnel_data, funnel_numpyro, funnel_pymc, ("v", "z")),
    "horseshoe": Case(
        horseshoe_data, horseshoe_numpyro, horseshoe_pymc, ("tau", "lam", "z", "sigma")
    ),
}


def _with_stan(name: str, case: Case) -> Case:
    def data() -> dict[str, Any]:
        arrays = dict(case.data())
        return arrays | {f"rows_{key}": len(array) for key, array in arrays.items()}

    return case._replace(stan=Stan(PROGRAMS[name], data))


SUITE: dict[str, Case] = {name: _with_stan(name, case) for name, case in _CASES.items()}
