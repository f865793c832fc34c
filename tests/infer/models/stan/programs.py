"""Stan programs for the tests, and their data."""

SCHOOLS = """
data {
  int<lower=0> J;  // number of { schools
  array[J] real y;
  array[J] real<lower=0> sigma;
}
parameters {
  real mu;
  real<lower=0> tau;
  vector[J] theta_raw;
}
transformed parameters {
  vector[J] theta = mu + tau * theta_raw;
}
model {
  mu ~ normal(0, 5);
  tau ~ cauchy(0, 5);
  theta_raw ~ std_normal();
  y ~ normal(theta, sigma);
}
generated quantities {
  array[J] real y_new = normal_rng(theta, sigma);
  vector[J] log_lik;
  for (j in 1:J) log_lik[j] = normal_lpdf(y[j] | theta[j], sigma[j]);
}
"""
SCHOOLS_DATA = {
    "J": 8,
    "y": [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0],
    "sigma": [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0],
}
SCALE = """
data {
  real y;
}
parameters {
  real<lower=0> scale;
}
model {
  target += exponential_lpdf(scale | 1) + normal_lpdf(y | 0, scale);
}
"""
