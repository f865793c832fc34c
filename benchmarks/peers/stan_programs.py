"""The nine models as Stan programs; `rows_y` is the length of the array y in the data."""

PROGRAMS: dict[str, str] = {
    "eight schools": """
data { int rows_effect; vector[rows_effect] effect; vector[rows_effect] error; }
parameters { real mu; real<lower=0> tau; vector[rows_effect] z; }
model {
  mu ~ normal(0, 5); tau ~ cauchy(0, 5); z ~ normal(0, 1);
  effect ~ normal(mu + tau * z, error);
}
""",
    "radon": """
data {
  int rows_y; array[rows_y] int county; vector[rows_y] floor; vector[rows_y] y;
}
transformed data {
  array[rows_y] int place;
  for (n in 1:rows_y) place[n] = county[n] + 1;
}
parameters { real mu; real<lower=0> tau; vector[85] a; real b; real<lower=0> sigma; }
model {
  mu ~ normal(0, 10); tau ~ normal(0, 1); a ~ normal(mu, tau);
  b ~ normal(0, 10); sigma ~ normal(0, 1);
  y ~ normal(a[place] + b * floor, sigma);
}
""",
    "logistic": """
data { int rows_y; matrix[rows_y, 24] x; array[rows_y] int y; }
parameters { real a; vector[24] b; }
model { a ~ normal(0, 1); b ~ normal(0, 1); y ~ bernoulli_logit(a + x * b); }
""",
    "correlated normal": """
data { int rows_precision; matrix[rows_precision, rows_precision] precision; }
parameters { vector[rows_precision] x; }
model { target += -0.5 * quad_form(precision, x); }
""",
    "item response": """
data { int rows_right; array[rows_right, 20] int right; }
parameters {
  vector[rows_right] theta; vector<lower=0>[20] a; real mu; real<lower=0> tau; vector[20] b;
}
model {
  theta ~ normal(0, 1); a ~ lognormal(0, 0.5);
  mu ~ normal(0, 5); tau ~ normal(0, 2); b ~ normal(mu, tau);
  for (i in 1:20) right[, i] ~ bernoulli_logit(a[i] * (theta - b[i]));
}
""",
    "volatility": """
data { int rows_returns; vector[rows_returns] returns; }
parameters { real<lower=0> sigma; real<lower=0> nu; vector[rows_returns] steps; }
model {
  sigma ~ exponential(10); nu ~ exponential(0.1); steps ~ normal(0, 1);
  returns ~ student_t(nu, 0, exp(-1 + sigma * cumulative_sum(steps)));
}
""",
    "Gaussian process": """
data { int rows_y; array[rows_y] real x; vector[rows_y] y; }
parameters { real<lower=0> length; real<lower=0> height; real<lower=0> noise; }
model {
  matrix[rows_y, rows_y] covariance = add_diag(gp_exp_quad_cov(x, height, length), noise^2);
  length ~ inv_gamma(5, 5); height ~ normal(0, 2); noise ~ normal(0, 1);
  y ~ multi_normal_cholesky(rep_vector(0, rows_y), cholesky_decompose(covariance));
}
""",
    "funnel": """
parameters { real v; vector[9] z; }
model { v ~ normal(0, 3); z ~ normal(0, 1); }
generated quantities { vector[9] x = exp(v / 2) * z; }
""",
    "horseshoe": """
data { int rows_y; matrix[rows_y, 20] x; vector[rows_y] y; }
parameters { real<lower=0> tau; vector<lower=0>[20] lam; vector[20] z; real<lower=0> sigma; }
model {
  tau ~ cauchy(0, 0.1); lam ~ cauchy(0, 1); z ~ normal(0, 1); sigma ~ normal(0, 2);
  y ~ normal(x * (z .* lam * tau), sigma);
}
""",
}
