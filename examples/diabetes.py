"""Progression of diabetes: a robust regression with five kinds of constraint.

How much of the variance the ten predictors explain is itself a parameter (an interval), how
they share it a simplex, and outliers are met by a Student t whose degrees of freedom are
bounded below.

Data: Efron, Hastie, Johnstone & Tibshirani (2004), Least angle regression; 442 patients,
bundled with scikit-learn. Prior: Zhang et al. (2022), R2-D2, arXiv 1609.00046.
"""

import arviz as az
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from sklearn.datasets import load_diabetes

import bijectors as bj
import infer


def standardized(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(0)) / values.std(0)


def regression(site, x, y):
    noise = site("noise", dist.HalfNormal(1.0))
    explained = site("explained", dist.Beta(1.0, 1.0))
    share = site("share", dist.Dirichlet(jnp.full(x.shape[1], 0.5)), dims="predictor")
    degrees = site("degrees", dist.Gamma(2.0, 0.1), constraint=bj.GreaterThan(2.0))
    intercept = site("intercept", dist.Normal(0.0, 1.0))
    scale = noise * jnp.sqrt(share * explained / (1 - explained))
    slope = site("slope", dist.Normal(0.0, scale), dims="predictor", centered=False)
    mean = intercept + x @ slope
    site.observe("y", dist.StudentT(degrees, mean, noise), y, dims="patient")


def main() -> None:
    data = load_diabetes(scaled=False)
    model = infer.model(
        regression,
        x=standardized(data.data),
        y=standardized(data.target),
        coords={"predictor": list(data.feature_names)},
    )
    posterior = infer.sample(model, infer.NUTS(target_acceptance=0.95), key=1)
    names = ["noise", "explained", "degrees", "intercept", "slope"]
    print(az.summary(posterior, var_names=names).to_string())
    divergences = int(posterior["sample_stats"]["diverging"].sum())
    print(f"{divergences} divergences; why not native: {posterior.attrs['why_not_native']!r}")
    slope = posterior["posterior"]["slope"].mean(("chain", "draw"))
    strongest = str(slope["predictor"][int(abs(slope).argmax())].values)
    print(f"The strongest predictor is {strongest}.")


if __name__ == "__main__":
    main()
