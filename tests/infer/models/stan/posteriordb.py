"""Stan programs for posteriors of posteriordb, written for these tests, with little data."""

from typing import Any, NamedTuple

import numpy as np

from .posteriors import POSTERIORS

RNG = np.random.default_rng(13)


class Program(NamedTuple):
    """A program, its data, and the posterior of posteriordb that it follows."""

    posterior: str
    code: str
    data: dict[str, Any]


def _autoregressive(count: int, phi: float) -> np.ndarray:
    made = [0.0]
    for noise in RNG.normal(0, 0.5, count - 1):
        made.append(0.3 + phi * made[-1] + noise)
    return np.array(made)


WELLS = """
data { int<lower=0> N; array[N] int<lower=0, upper=1> switched; vector[N] dist; }
transformed data { vector[N] dist100 = dist / 100; }
parameters { vector[2] beta; }
model { switched ~ bernoulli_logit(beta[1] + beta[2] * dist100); }
"""

KIDS = """
data { int<lower=0> N; vector[N] kid_score; vector[N] mom_iq; }
parameters { vector[2] beta; real<lower=0> sigma; }
model {
  sigma ~ cauchy(0, 2.5);
  kid_score ~ normal(beta[1] + beta[2] * mom_iq, sigma);
}
"""

AUTOREGRESSION = """
data { int<lower=0> K; int<lower=0> T; array[T] real y; }
parameters { real alpha; array[K] real beta; real<lower=0> sigma; }
model {
  alpha ~ normal(0, 10); beta ~ normal(0, 10); sigma ~ cauchy(0, 2.5);
  for (t in (K + 1):T) {
    real mu = alpha;
    for (k in 1:K) mu += beta[k] * y[t - k];
    y[t] ~ normal(mu, sigma);
  }
}
"""

MOVING_AVERAGE = """
data { int<lower=1> T; array[T] real y; }
parameters { real mu; real phi; real theta; real<lower=0> sigma; }
model {
  real err = y[1] - (mu + phi * mu);
  mu ~ normal(0, 10); phi ~ normal(0, 2); theta ~ normal(0, 2); sigma ~ cauchy(0, 2.5);
  err ~ normal(0, sigma);
  for (t in 2:T) {
    err = y[t] - (mu + phi * y[t - 1] + theta * err);
    err ~ normal(0, sigma);
  }
}
"""

PROCESS = """
data { int<lower=1> N; array[N] real x; vector[N] y; }
parameters { real<lower=0> rho; real<lower=0> alpha; real<lower=0> sigma; }
model {
  matrix[N, N] cov = gp_exp_quad_cov(x, alpha, rho) + diag_matrix(rep_vector(square(sigma), N));
  rho ~ gamma(25, 4); alpha ~ normal(0, 2); sigma ~ normal(0, 1);
  y ~ multi_normal_cholesky(rep_vector(0, N), cholesky_decompose(cov));
}
"""

MIXTURE = """
data { int<lower=0> N; vector[N] y; }
parameters { ordered[2] mu; array[2] real<lower=0> sigma; real<lower=0, upper=1> theta; }
model {
  sigma ~ normal(0, 2); mu ~ normal(0, 2); theta ~ beta(5, 5);
  for (n in 1:N)
    target += log_mix(theta, normal_lpdf(y[n] | mu[1], sigma[1]),
                      normal_lpdf(y[n] | mu[2], sigma[2]));
}
"""

HIDDEN_MARKOV = """
data { int<lower=1> N; array[N] real y; }
parameters { simplex[2] theta1; simplex[2] theta2; positive_ordered[2] mu; }
model {
  array[2] vector[2] theta = {theta1, theta2};
  vector[2] reached;
  mu[1] ~ normal(3, 1); mu[2] ~ normal(10, 1);
  for (k in 1:2) reached[k] = normal_lpdf(y[1] | mu[k], 1);
  for (t in 2:N) {
    vector[2] moved;
    for (k in 1:2)
      moved[k] = log_sum_exp(reached[1] + log(theta[1, k]), reached[2] + log(theta[2, k]))
                 + normal_lpdf(y[t] | mu[k], 1);
    reached = moved;
  }
  target += log_sum_exp(reached);
}
"""

_iq = RNG.normal(100, 15, 40)
_dist = RNG.uniform(5, 300, 50)
_switched = (RNG.random(50) < 1 / (1 + np.exp(0.7 * _dist / 100 - 0.8))).astype(int)
_x = np.linspace(-5, 5, 11)
_states = np.array([0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1])


def _known(name: str, posterior: str) -> Program:
    code, data, _ = POSTERIORS[name]
    return Program(posterior, code, data)


PROGRAMS = {
    "eight_schools": _known("non-centered schools", "eight_schools-eight_schools_noncentered"),
    "radon": _known("radon", "radon_mn-radon_variable_intercept_centered"),
    "garch": _known("GARCH(1, 1)", "garch-garch11"),
    "wells": Program(
        "wells_data-wells_dist", WELLS, {"N": 50, "switched": _switched, "dist": _dist}
    ),
    "kid_scores": Program(
        "kidiq-kidscore_momiq",
        KIDS,
        {"N": 40, "kid_score": 26 + 0.6 * _iq + RNG.normal(0, 18, 40), "mom_iq": _iq},
    ),
    "autoregression": Program(
        "arK-arK", AUTOREGRESSION, {"K": 2, "T": 40, "y": _autoregressive(40, 0.6)}
    ),
    "moving_average": Program(
        "arma-arma11", MOVING_AVERAGE, {"T": 40, "y": _autoregressive(40, 0.4)}
    ),
    "gaussian_process": Program(
        "gp_pois_regr-gp_regr",
        PROCESS,
        {"N": 11, "x": _x, "y": np.sin(_x) + 0.3 * RNG.normal(size=11)},
    ),
    "mixture": Program(
        "low_dim_gauss_mix-low_dim_gauss_mix",
        MIXTURE,
        {"N": 40, "y": np.where(np.arange(40) < 15, -2.5, 2.5) + RNG.normal(size=40)},
    ),
    "hidden_markov": Program(
        "hmm_example-hmm_example",
        HIDDEN_MARKOV,
        {"N": 16, "y": np.where(_states, 9.5, 3.2) + RNG.normal(size=16)},
    ),
}
