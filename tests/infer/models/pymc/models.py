"""Models after PyMC's documentation and example gallery, on data small enough to read.

Each says which page it follows.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt

RNG = np.random.default_rng(7)
EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
COUNTY = np.array([0, 0, 1, 2, 2, 2, 3, 3])
FLOOR = np.array([0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0])
RADON = RNG.normal(1.0, 0.7, 8)
X = np.linspace(-1.0, 1.0, 6)
DISASTERS = np.array([4, 5, 4, 0, 1, 4, 1, 0])


def eight_schools():
    """The page "Diagnosing biased inference with divergences": the centered form."""
    with pm.Model(coords={"school": list("ABCDEFGH")}) as model:
        mu = pm.Normal("mu", 0, sigma=5)
        tau = pm.HalfCauchy("tau", 5)
        theta = pm.Normal("theta", mu, tau, dims="school")
        pm.Normal("obs", theta, ERRORS, observed=EFFECTS, dims="school")
    return model


def radon():
    """The page "A primer on Bayesian methods for multilevel modeling": varying both."""
    coords = {"county": ["A", "B", "C", "D"], "home": range(8), "param": ["level", "slope"]}
    with pm.Model(coords=coords) as model:
        floor = pm.Data("floor", FLOOR, dims="home")
        county = pm.Data("county_index", COUNTY, dims="home")
        radon = pm.Data("log_radon", RADON, dims="home")
        mean = pm.Normal("mean", 0.0, 5.0, dims="param")
        spread = pm.HalfNormal("spread", [1.0, 0.5], dims="param")
        effect = pm.Normal("effect", mean, spread, dims=("county", "param"))
        fitted = pm.Deterministic(
            "fitted", effect[county, 0] + effect[county, 1] * floor, dims="home"
        )
        sigma = pm.Exponential("sigma", 1.0)
        pm.Normal("y", fitted, sigma, observed=radon, dims="home")
    return model


def logistic():
    """The page "Bayesian logistic models": a linear predictor and counts of successes."""
    with pm.Model(coords={"obs_id": range(6)}) as model:
        x = pm.Data("x", X, dims="obs_id")
        beta0 = pm.Normal("beta0", 0, sigma=1)
        beta1 = pm.Normal("beta1", 0, sigma=1)
        p = pm.Deterministic("p", pm.math.invlogit(beta0 + beta1 * x), dims="obs_id")
        pm.Binomial("y", n=20, p=p, observed=[2, 5, 8, 12, 15, 18], dims="obs_id")
    return model


def robust():
    """The page "GLM: Robust linear regression": Student-t noise."""
    with pm.Model() as model:
        nu = pm.Gamma("nu", alpha=2, beta=0.1)
        sigma = pm.InverseGamma("sigma", 3.0, 2.0)
        slope, level = pm.Laplace("slope", 0, 1), pm.Logistic("level", 0, 2)
        pm.StudentT("y", nu, level + slope * X, sigma=sigma, observed=3 * X + RNG.normal(size=6))
    return model


def counts():
    """The page "GLM: Negative binomial regression"."""
    with pm.Model() as model:
        rate = pm.LogNormal("rate", 1.0, [0.5, 0.7])
        alpha = pm.Weibull("alpha", 2.0, 3.0)
        index = np.array([0, 0, 1, 1])
        pm.NegativeBinomial("y", mu=rate[index], alpha=alpha, observed=[1, 4, 2, 9])
    return model


def mixture():
    """The page "Gaussian mixture model": weights, ordered means, marginalized labels."""
    with pm.Model(coords={"cluster": range(3)}) as model:
        means = pm.Normal(
            "means", 0, 5, transform=pm.distributions.transforms.ordered,
            initval=[-4, 0, 4], dims="cluster",
        )  # fmt: skip
        sigma = pm.HalfNormal("sigma", sigma=1, dims="cluster")
        weights = pm.Dirichlet("weights", np.ones(3), dims="cluster")
        pm.NormalMixture("x", w=weights, mu=means, sigma=sigma, observed=[-3.0, 0.2, 0.4, 3.8])
    return model


def ordered_logistic():
    """The page "Regression models with ordered categorical outcomes"."""
    with pm.Model() as model:
        cuts = pm.Normal(
            "cuts", 0, 2, shape=3, transform=pm.distributions.transforms.ordered,
            initval=[-1.0, 0.0, 1.0],
        )  # fmt: skip
        slope = pm.Normal("slope", 0, 1)
        pm.OrderedLogistic("y", eta=slope * X, cutpoints=cuts, observed=[0, 1, 1, 2, 3, 3])
    return model


def covariance():
    """The page "LKJ Cholesky covariance priors for multivariate normal models"."""
    with pm.Model(coords={"axis": ["x", "y", "z"]}) as model:
        chol, _, _ = pm.LKJCholeskyCov("chol", n=3, eta=2.0, sd_dist=pm.Exponential.dist(1.0))
        mu = pm.Normal("mu", 0.0, sigma=1.5, dims="axis")
        pm.MvNormal("obs", mu, chol=chol, observed=RNG.normal(size=(5, 3)))
    return model


def correlation():
    """The docstring of `LKJCorr`."""
    with pm.Model() as model:
        pm.LKJCorr("corr", eta=4, n=3)
        pm.Normal("x", 0, 1)
    return model


def gaussian_process():
    """The page "Marginal likelihood implementation"."""
    with pm.Model() as model:
        scale = pm.Gamma("scale", alpha=2, beta=1)
        eta = pm.HalfCauchy("eta", beta=5)
        kernel = eta**2 * pm.gp.cov.Matern52(1, scale)
        gp = pm.gp.Marginal(cov_func=kernel)
        sigma = pm.HalfCauchy("sigma", beta=5)
        gp.marginal_likelihood("y", X=X[:, None], y=np.sin(3 * X), sigma=sigma)
    return model


def latent_process():
    """The page "Gaussian processes: latent variable implementation", with its Cholesky factor."""
    with pm.Model() as model:
        scale = pm.InverseGamma("scale", 5.0, 5.0)
        gp = pm.gp.Latent(cov_func=pm.gp.cov.ExpQuad(1, scale))
        f = gp.prior("f", X=X[:, None], reparameterize=False, jitter=1e-4)
        pm.Bernoulli("y", logit_p=f, observed=[0, 0, 1, 0, 1, 1])
    return model


def volatility():
    """The page "Stochastic volatility model": a random walk of log volatilities."""
    with pm.Model(coords={"time": range(6)}) as model:
        step = pm.Exponential("step", 10.0)
        walk = pm.GaussianRandomWalk(
            "walk", sigma=step, init_dist=pm.Normal.dist(0, 100), dims="time"
        )
        nu = pm.Exponential("nu", 0.1)
        pm.StudentT("returns", nu=nu, lam=np.exp(-2 * walk), observed=X / 10, dims="time")
    return model


def autoregression():
    """The docstring of `AR`."""
    with pm.Model() as model:
        rho = pm.Uniform("rho", -1, 1, shape=2)
        sigma = pm.HalfStudentT("sigma", 4, 1.0)
        pm.AR("y", rho, sigma=sigma, init_dist=pm.Normal.dist(0, 2), observed=np.cos(4 * X))
    return model


def censored():
    """The page "Bayesian regression with truncated or censored data"."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 1.0, 2.0)
        sigma = pm.HalfNormal("sigma", 2.0)
        start = pm.TruncatedNormal("start", mu, 1.0, lower=-1.0, upper=3.0)
        low = pm.TruncatedNormal("low", 0.0, 1.0, upper=mu + 4)
        pm.Censored("y", pm.Normal.dist(mu, sigma), -1.0, 2.0, observed=[-1.0, 0.3, 2.0, 1.1])
        pm.Truncated("z", pm.Normal.dist(start + low, sigma), lower=0.0, observed=[0.5, 1.0])
    return model


def missing():
    """The page "Missing data imputation": entries that are NaN."""
    y = np.array([[0.1, np.nan], [0.7, 1.2], [np.nan, -0.4]])
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1, shape=2)
        sigma = pm.Exponential("sigma", 1)
        pm.Normal("y", mu, sigma, observed=np.ma.masked_invalid(y))
    return model


def zero_sum():
    """The docstring of `ZeroSumNormal`, with two axes and with one."""
    coords = {"region": range(3), "answer": range(2), "home": range(4)}
    with pm.Model(coords=coords) as model:
        sigma = pm.HalfNormal("sigma", 1.0)
        both = pm.ZeroSumNormal("both", sigma, dims=("region", "answer"), n_zerosum_axes=2)
        one = pm.ZeroSumNormal("one", 1.0, dims=("answer", "home"))
        pm.Normal("y", both[:, 0][:, None] + one[0], 1.0, observed=np.ones((3, 4)))
    return model


def dirichlet_multinomial():
    """The page "Dirichlet mixtures of multinomials"."""
    counts = np.array([[3, 2, 5], [6, 1, 3]])
    with pm.Model(coords={"tree": ["a", "b", "c"], "forest": range(2)}) as model:
        share = pm.Dirichlet("share", a=np.ones(3), dims="tree")
        concentration = pm.LogNormal("concentration", mu=1, sigma=1)
        pm.DirichletMultinomial(
            "counts", n=10, a=share * concentration, observed=counts, dims=("forest", "tree")
        )
    return model


def survival():
    """The page "Censored data models": a potential for what was censored."""
    with pm.Model() as model:
        alpha, beta = pm.Beta("alpha", 2.0, 3.0), pm.HalfFlat("beta")
        shift = pm.Flat("shift")
        pm.Weibull("time", alpha + 1, beta, observed=[1.0, 2.5, 0.3])
        pm.Potential("censored", -((pt.as_tensor([4.0, 5.0]) / beta) ** (alpha + 1)))
        pm.Potential("identified", -(shift**2))
    return model


def angles():
    """The docstring of `VonMises`, and a few other distributions that NumPyro lacks."""
    with pm.Model() as model:
        direction = pm.VonMises("direction", 0.5, 2.0)
        pm.SkewNormal("skew", alpha=2.0)
        pm.ExGaussian("ex", 0.0, sigma=1.0, nu=2.0)
        pm.Kumaraswamy("share", 2.0, 3.0)
        pm.Triangular("slope", lower=-1, c=0.2, upper=2)
        pm.VonMises("wind", direction, 1.5, observed=[0.1, -3.0])
    return model


CONTINUOUS = (
    eight_schools, radon, logistic, robust, counts, mixture, ordered_logistic, covariance,
    correlation, gaussian_process, latent_process, volatility, autoregression, censored, missing,
    zero_sum, dirichlet_multinomial, survival, angles,
)  # fmt: skip


def labels():
    """The page "Marginalized Gaussian mixture model", before it is marginalized."""
    with pm.Model() as model:
        weights = pm.Dirichlet("weights", np.ones(2))
        label = pm.Categorical("label", weights, shape=4)
        means = pm.Normal("means", [-2.0, 2.0], 1.0, shape=2)
        pm.Normal("y", means[label], 1.0, observed=[-3.0, 0.2, 0.4, 3.8])
    return model


def disasters():
    """The page "Introductory overview of PyMC": a switch point between two rates."""
    years = np.arange(8)
    with pm.Model() as model:
        switch = pm.DiscreteUniform("switch", lower=0, upper=7)
        early, late = pm.Exponential("early", 1.0), pm.Exponential("late", 1.0)
        rate = pm.math.switch(switch >= years, early, late)
        pm.Poisson("disasters", rate, observed=DISASTERS)
    return model


def inflated():
    """A zero-inflated count with its indicators."""
    with pm.Model() as model:
        p = pm.Beta("p", 1.0, 1.0)
        here = pm.Bernoulli("here", p, shape=3)
        found = pm.Binomial("found", n=4, p=0.4)
        rate = pm.Exponential("rate", 1.0)
        pm.Poisson("y", here * rate + 1e-3, observed=[0, 2, 0])
        pm.Poisson("z", rate + found, observed=3)
    return model


DISCRETE = (labels, disasters, inflated)
