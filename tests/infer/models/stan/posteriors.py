"""Posteriors that every library has, in Stan and in JAX; written for these tests."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import bijectors as bj
import infer

_random = np.random.default_rng(7)
_level = _random.integers(1, 6, 40)
_floor = _random.integers(0, 2, 40).astype(float)
_columns = _random.normal(size=(30, 3))


def _log_returns(count):
    made = [0.1]
    for noise in _random.normal(size=count - 1):
        made.append(noise * np.sqrt(0.1 + 0.3 * made[-1] ** 2))
    return np.array(made)


_SCHOOLS_DATA = """
data {
  int J;
  vector[J] y;
  vector<lower=0>[J] sigma;
}
"""
_SCHOOLS = {
    "J": 8,
    "y": np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]),
    "sigma": np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]),
}


def _schools(centered):
    def model(site, y, sigma):
        mu = site("mu", dist.Normal(0, 5))
        tau = site("tau", dist.HalfCauchy(5))
        effects = dist.Normal(mu, tau) if centered else dist.Normal(0, 1)
        theta = site("theta", effects.expand([8]))
        site.observe("y", dist.Normal(theta if centered else mu + tau * theta, sigma), y)

    return infer.model(model, y=_SCHOOLS["y"], sigma=_SCHOOLS["sigma"])


def _radon(site, y, floor, county):
    mean = site("mean", dist.Normal(0, 10))
    spread = site("spread", dist.HalfNormal(1))
    slope = site("slope", dist.Normal(0, 10))
    level = site("level", dist.Normal(mean, spread).expand([5]))
    noise = site("noise", dist.Exponential(1.0))
    site.observe("y", dist.Normal(level[county] + slope * floor, noise), y)


def _logistic(site, columns, y):
    beta = site("beta", dist.StudentT(4.0, 0, 2.5).expand([3]))
    site.observe("y", dist.Bernoulli(logits=columns @ beta), y)


def _garch(values, y):
    mu, a0, a1, b1 = (values[name] for name in ("mu", "a0", "a1", "b1"))
    variance, total = jnp.asarray(0.5), -0.5 * mu**2 - a0
    for before, now in zip(y[:-1], y[1:], strict=True):
        variance = a0 + a1 * (before - mu) ** 2 + b1 * variance
        total = total - 0.5 * jnp.log(variance) - 0.5 * (now - mu) ** 2 / variance
    return total


def _mixture(site, y):
    weights = site("weights", dist.Dirichlet(jnp.array([2.0, 3.0])))
    mu = site("mu", dist.Normal(0, 2).expand([2]), constraint=bj.Ordered())
    sigma = site("sigma", dist.HalfNormal(2).expand([2]))
    parts = dist.Normal(mu, sigma)
    site.observe("y", dist.MixtureSameFamily(dist.Categorical(probs=weights), parts), y)


_radon_data = {
    "y": _random.normal(size=40), "floor": _floor, "county": _level,
}  # fmt: skip
_labels = (_random.uniform(size=30) < 0.5).astype(int)
_returns, _clusters = _log_returns(25), _random.normal(size=20) * 2

# A program, its data, and the same posterior in JAX.
POSTERIORS = {
    "centered schools": (
        _SCHOOLS_DATA + """
parameters { real mu; real<lower=0> tau; vector[J] theta; }
model {
  mu ~ normal(0, 5); tau ~ cauchy(0, 5);
  theta ~ normal(mu, tau); y ~ normal(theta, sigma);
}
""",
        _SCHOOLS,
        _schools(centered=True),
    ),
    "non-centered schools": (
        _SCHOOLS_DATA + """
parameters { real mu; real<lower=0> tau; vector<multiplier=1>[J] theta; }
model {
  mu ~ normal(0, 5); tau ~ cauchy(0, 5);
  theta ~ std_normal(); y ~ normal(mu + tau * theta, sigma);
}
""",
        _SCHOOLS,
        _schools(centered=False),
    ),
    "radon": (
        """
data { int N; vector[N] y; vector[N] floor; array[N] int county; }
parameters { real mean; real<lower=0> spread; real slope; vector[5] level; real<lower=0> noise; }
model {
  mean ~ normal(0, 10); spread ~ normal(0, 1); slope ~ normal(0, 10);
  level ~ normal(mean, spread); noise ~ exponential(1);
  y ~ normal(level[county] + slope * floor, noise);
}
""".replace("floor", "ground"),
        {"N": 40, "y": _radon_data["y"], "ground": _floor, "county": _level},
        infer.model(_radon, y=_radon_data["y"], floor=_floor, county=_level - 1),
    ),
    "logistic regression": (
        """
data { int N; matrix[N, 3] X; array[N] int<lower=0, upper=1> y; }
parameters { vector[3] beta; }
model { beta ~ student_t(4, 0, 2.5); y ~ bernoulli_logit(X * beta); }
""",
        {"N": 30, "X": _columns, "y": _labels},
        infer.model(_logistic, columns=_columns, y=_labels),
    ),
    "GARCH(1, 1)": (
        """
data { int T; vector[T] y; }
parameters { real mu; real<lower=0> a0; real<lower=0, upper=1> a1; real<lower=0, upper=1 - a1> b1; }
model {
  real variance = 0.5;
  mu ~ std_normal(); a0 ~ exponential(1);
  for (t in 2:T) {
    variance = a0 + a1 * square(y[t - 1] - mu) + b1 * variance;
    y[t] ~ normal(mu, sqrt(variance));
  }
}
""",
        {"T": 25, "y": _returns},
        infer.declared(
            _garch,
            {
                "mu": bj.Real(), "a0": bj.Positive(), "a1": bj.Interval(0.0, 1.0),
                "b1": lambda values: bj.Interval(0.0, 1.0 - values["a1"]),
            },
            data=_returns,
        ),
    ),
    "mixture": (
        """
data { int N; vector[N] y; }
parameters { simplex[2] weights; ordered[2] mu; vector<lower=0>[2] sigma; }
model {
  weights ~ dirichlet([2, 3]'); mu ~ normal(0, 2); sigma ~ normal(0, 2);
  for (n in 1:N)
    target += log_mix(weights[1], normal_lpdf(y[n] | mu[1], sigma[1]),
                      normal_lpdf(y[n] | mu[2], sigma[2]));
}
""",
        {"N": 20, "y": _clusters},
        infer.model(_mixture, y=_clusters),
    ),
}  # fmt: skip
