"""Progression of diabetes: a robust regression with five kinds of constraint.

The share of the variance that the ten predictors explain is itself a parameter, in an interval;
its division among them lies in a simplex. The noise is a Student t, whose degrees of freedom are
bounded below, to be robust to outliers.

Data: Efron, Hastie, Johnstone & Tibshirani (2004), Least angle regression; 442 patients,
bundled with scikit-learn. Prior: Zhang et al. (2022), R2-D2, arXiv 1609.00046.
"""

from pathlib import Path

import arviz as az
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
from sklearn.datasets import load_diabetes

import bijectors as bj
import infer


def standardize(values: np.ndarray) -> np.ndarray:
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


def main(draws: int = 1000, warmup: int | None = None) -> None:
    data = load_diabetes(scaled=False)
    model = infer.model(
        regression,
        x=standardize(data.data),
        y=standardize(data.target),
        coords={"predictor": list(data.feature_names)},
    )
    engine = infer.NUTS(target_acceptance=0.95)
    posterior = infer.sample(model, engine, draws=draws, warmup=warmup, key=1)
    names = ["noise", "explained", "degrees", "intercept", "slope"]
    print(az.summary(posterior, var_names=names).to_string())
    divergences = int(posterior["sample_stats"]["diverging"].sum())
    print(f"{divergences} divergences; why not native: {posterior.attrs['why_not_native']!r}")
    slope = posterior["posterior"]["slope"].mean(("chain", "draw"))
    strongest = str(slope["predictor"][int(abs(slope).argmax())].values)
    print(f"The strongest predictor is {strongest}.")
    assert strongest in ("bmi", "s5")
    plot(posterior["posterior"])


def plot(posterior) -> None:
    """Draw the slope of each predictor, and the share of the variance that all explain."""
    figure, (slopes, share) = plt.subplots(1, 2, layout="constrained", width_ratios=[2, 1])
    low, middle, high = np.quantile(posterior["slope"], [0.05, 0.5, 0.95], axis=(0, 1))
    names = posterior["slope"]["predictor"].values
    slopes.hlines(names, low, high, linewidth=3, alpha=0.6)
    slopes.plot(middle, names, "o")
    slopes.axvline(0.0, alpha=0.3)
    slopes.set(xlabel="slope, in standard deviations")
    share.hist(np.ravel(posterior["explained"]), 60, color="C1", alpha=0.6)
    share.set(xlabel="share of the variance", yticks=[])
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
