"""Stan programs of the posteriors, by the name of the model file, written for this comparison.

The simplest and the exact ones, and those that need a solver, have none.
"""

_REGRESSION = """
data { int<lower=0> N; %s }
transformed data {
  vector[N] y = %s;
  matrix[N, %d] x;
  for (n in 1:N) x[n] = [%s];
}
parameters { vector[%d] beta; real<lower=0> sigma; }
model { %s y ~ normal(x * beta, sigma); }
"""
_CAUCHY = "sigma ~ cauchy(0, 2.5);"


def _regress(variables: str, response: str, columns: tuple[str, ...], prior: str = "") -> str:
    declared = " ".join(f"vector[N] {name};" for name in variables.split())
    count = len(columns)
    return _REGRESSION % (declared, response, count, ", ".join(columns), count, prior)


def _kids(columns: str, prior: str = "", variables: str = "kid_score mom_hs mom_iq") -> str:
    return _regress(variables, "kid_score", ("1", *columns.split()), prior)


def _earn(columns: str, response: str, variables: str = "earn height male") -> str:
    return _regress(variables, response, ("1", *columns.split()))


_CENTERED = "mom_hs[n]-mean(mom_hs) mom_iq[n]-mean(mom_iq)"
_HALF = "mom_hs[n]-0.5 mom_iq[n]-100"
_SCALED = "(mom_hs[n]-mean(mom_hs))/(2*sd(mom_hs)) (mom_iq[n]-mean(mom_iq))/(2*sd(mom_iq))"
_TALL = "(height[n]-mean(height))/sd(height)"


def _with_product(columns: str) -> str:
    return f"{columns} {'*'.join(f'({column})' for column in columns.split())}"


_SCHOOLS = """
data { int<lower=0> J; vector[J] y; vector<lower=0>[J] sigma; }
parameters { vector[J] %s; real mu; real<lower=0> tau; }
model {
  mu ~ normal(0, 5); tau ~ cauchy(0, 5);
  %s
}
"""

PROGRAMS: dict[str, str] = {
    "kidscore_interaction": _kids(_with_product("mom_hs[n] mom_iq[n]"), _CAUCHY),
    "kidscore_interaction_c": _kids(_with_product(_CENTERED)),
    "kidscore_interaction_c2": _kids(_with_product(_HALF)),
    "kidscore_interaction_z": _kids(_with_product(_SCALED)),
    "kidscore_momhs": _kids("mom_hs[n]", _CAUCHY, "kid_score mom_hs"),
    "kidscore_momiq": _kids("mom_iq[n]", _CAUCHY, "kid_score mom_iq"),
    "kidscore_momhsiq": _kids("mom_hs[n] mom_iq[n]", _CAUCHY),
    "kidscore_mom_work": _kids(
        "mom_work[n]==2 mom_work[n]==3 mom_work[n]==4", "", "kid_score mom_work"
    ),
    "earn_height": _earn("height[n]", "earn", "earn height"),
    "log10earn_height": _earn("height[n]", "log10(earn)", "earn height"),
    "logearn_height": _earn("height[n]", "log(earn)", "earn height"),
    "logearn_height_male": _earn("height[n] male[n]", "log(earn)"),
    "logearn_interaction": _earn("height[n] male[n] height[n]*male[n]", "log(earn)"),
    "logearn_interaction_z": _earn(f"{_TALL} male[n] {_TALL}*male[n]", "log(earn)"),
    "logearn_logheight_male": _earn("log(height[n]) male[n]", "log(earn)"),
    "nes": _regress(
        "partyid7 real_ideo race_adj age_discrete educ1 gender income",
        "partyid7",
        (
            "1",
            "real_ideo[n]",
            "race_adj[n]",
            *(f"age_discrete[n]=={age}" for age in (2, 3, 4)),
            "educ1[n]",
            "gender[n]",
            "income[n]",
        ),
    ),
    "blr": """
data { int<lower=0> N; int<lower=0> D; matrix[N, D] X; vector[N] y; }
parameters { vector[D] beta; real<lower=0> sigma; }
model { beta ~ normal(0, 10); sigma ~ normal(0, 10); y ~ normal(X * beta, sigma); }
""",
    "diamonds": """
data { int<lower=1> N; int<lower=1> K; vector[N] Y; matrix[N, K] X; }
transformed data {
  matrix[N, K - 1] x;
  for (k in 2:K) x[, k - 1] = X[, k] - mean(X[, k]);
}
parameters { vector[K - 1] b; real Intercept; real<lower=0> sigma; }
model {
  b ~ normal(0, 1); Intercept ~ student_t(3, 8, 10); sigma ~ student_t(3, 0, 10);
  Y ~ normal(Intercept + x * b, sigma);
}
""",
    "arK": """
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
""",
    "eight_schools_centered": _SCHOOLS
    % ("theta", "theta ~ normal(mu, tau); y ~ normal(theta, sigma);"),
    "eight_schools_noncentered": _SCHOOLS
    % ("theta_trans", "theta_trans ~ normal(0, 1); y ~ normal(mu + tau * theta_trans, sigma);"),
    "gp_regr": """
data { int<lower=1> N; array[N] real x; vector[N] y; }
parameters { real<lower=0> rho; real<lower=0> alpha; real<lower=0> sigma; }
model {
  matrix[N, N] cov = gp_exp_quad_cov(x, alpha, rho) + diag_matrix(rep_vector(sigma, N));
  rho ~ gamma(25, 4); alpha ~ normal(0, 2); sigma ~ normal(0, 1);
  y ~ multi_normal_cholesky(rep_vector(0, N), cholesky_decompose(cov));
}
""",
    "hmm_example": """
data { int<lower=0> N; int<lower=0> K; array[N] real y; }
parameters { simplex[K] theta1; simplex[K] theta2; positive_ordered[K] mu; }
model {
  array[N] vector[K] reached;
  mu[1] ~ normal(3, 1); mu[2] ~ normal(10, 1);
  for (k in 1:K) reached[1, k] = normal_lpdf(y[1] | mu[k], 1);
  for (t in 2:N)
    for (k in 1:K)
      reached[t, k] = log_sum_exp(reached[t - 1, 1] + log(theta1[k]),
                                  reached[t - 1, 2] + log(theta2[k]))
                      + normal_lpdf(y[t] | mu[k], 1);
  target += log_sum_exp(reached[N]);
}
""",
    "low_dim_gauss_mix": """
data { int<lower=0> N; vector[N] y; }
parameters { ordered[2] mu; array[2] real<lower=0> sigma; real<lower=0, upper=1> theta; }
model {
  sigma ~ normal(0, 2); mu ~ normal(0, 2); theta ~ beta(5, 5);
  for (n in 1:N)
    target += log_mix(theta, normal_lpdf(y[n] | mu[1], sigma[1]),
                      normal_lpdf(y[n] | mu[2], sigma[2]));
}
""",
    "dugongs_model": """
data { int<lower=0> N; array[N] real x; array[N] real Y; }
parameters { real alpha; real beta; real<lower=0.5, upper=1> lambda; real<lower=0> tau; }
model {
  alpha ~ normal(0, 1000); beta ~ normal(0, 1000); tau ~ gamma(0.0001, 0.0001);
  for (n in 1:N) Y[n] ~ normal(alpha - beta * pow(lambda, x[n]), 1 / sqrt(tau));
}
""",
    "Rate_2_model": """
data { int<lower=1> n1; int<lower=1> n2; int<lower=0> k1; int<lower=0> k2; }
parameters { real<lower=0, upper=1> theta1; real<lower=0, upper=1> theta2; }
model {
  theta1 ~ beta(1, 1); theta2 ~ beta(1, 1);
  k1 ~ binomial(n1, theta1); k2 ~ binomial(n2, theta2);
}
""",
    "radon_hierarchical_intercept_noncentered": """
data {
  int<lower=0> N; int<lower=1> J; array[N] int<lower=1, upper=J> county_idx;
  vector[N] log_uppm; vector[N] floor_measure; vector[N] log_radon;
}
parameters {
  vector[J] alpha_raw; vector[2] beta; real mu_alpha;
  real<lower=0> sigma_alpha; real<lower=0> sigma_y;
}
model {
  vector[J] alpha = mu_alpha + sigma_alpha * alpha_raw;
  sigma_alpha ~ normal(0, 1); sigma_y ~ normal(0, 1); mu_alpha ~ normal(0, 10);
  beta ~ normal(0, 10); alpha_raw ~ normal(0, 1);
  log_radon ~ normal(alpha[county_idx] + beta[1] * log_uppm + beta[2] * floor_measure, sigma_y);
}
""",
}
