"""The strength of pines: which of two models? Evidences, compared with the exact ones.

Strength is a line in the density of the wood, or in the density without its resin. With these
priors the evidence of each has a closed form, which the estimate from draws of the posterior
should meet.

Data: Williams (1959), Regression analysis: 42 pines. Priors and the known log Bayes factor, 8.42
nats: Friel & Pettitt (2008), Marginal likelihood estimation via power posteriors, J. R. Statist.
Soc. B 70, 589.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
from scipy.stats import multivariate_t

import infer

jax.config.update("jax_enable_x64", True)

STRENGTH = np.array([
    3040, 2470, 3610, 3480, 3810, 2330, 1800, 3110, 3670, 2310, 4360, 1880, 3670, 1740, 2250, 2650,
    4970, 2620, 2900, 1670, 2540, 3840, 3800, 4600, 1900, 2530, 2920, 4990, 1670, 3310, 3450, 3600,
    2850, 1590, 3770, 3850, 2480, 3570, 2620, 1890, 3030, 3030,
], float)  # fmt: skip
DENSITY = np.array([
    29.2, 24.7, 32.3, 31.3, 31.5, 24.5, 19.9, 27.3, 32.3, 24.0, 33.8, 21.5, 32.2, 22.5, 27.5, 25.6,
    34.5, 26.2, 26.7, 21.1, 24.1, 30.7, 32.7, 32.6, 22.1, 25.3, 30.8, 38.9, 22.1, 29.2, 30.1, 31.4,
    26.7, 22.1, 30.3, 32.0, 23.2, 30.3, 29.9, 20.8, 33.2, 28.2,
])  # fmt: skip
WITHOUT_RESIN = np.array([
    25.4, 22.2, 32.2, 31.0, 30.9, 23.9, 19.2, 27.2, 29.0, 23.9, 33.2, 21.0, 29.0, 22.0, 23.8, 25.3,
    34.2, 25.7, 26.4, 20.0, 23.9, 30.7, 32.6, 32.5, 20.8, 23.1, 29.8, 38.1, 21.3, 28.5, 29.2, 31.4,
    25.9, 21.4, 29.8, 30.6, 22.6, 30.3, 23.8, 18.4, 29.4, 28.2,
])  # fmt: skip
# Mean of the normal priors, and their precision divided by that of the noise.
LINE, PRECISION = np.array([3000.0, 185.0]), np.array([0.06, 6.0])
SHAPE, RATE = 3.0, 2 * 300.0**2


def pines(site, x, strength):
    precision = site("precision", dist.Gamma(SHAPE, RATE))
    sd = 1 / jnp.sqrt(precision * PRECISION)
    line = site("line", dist.Normal(LINE, sd), dims="part")
    mean = line[0] + line[1] * x
    site.observe("strength", dist.Normal(mean, 1 / jnp.sqrt(precision)), strength, dims="tree")


def exact(x) -> float:
    """Return the log evidence: the strengths have a multivariate Student t distribution."""
    design = np.stack([np.ones_like(x), x], 1)
    covariance = np.eye(x.size) + design / PRECISION @ design.T
    student = multivariate_t(design @ LINE, RATE / SHAPE * covariance, df=2 * SHAPE)
    return float(student.logpdf(STRENGTH))


def main() -> None:
    predictors = {"density": DENSITY, "density without resin": WITHOUT_RESIN}
    predictors = {name: x - x.mean() for name, x in predictors.items()}
    model = infer.model(pines, x=DENSITY, strength=STRENGTH, coords={"part": ["level", "slope"]})
    found, draws = {}, {}
    for name, x in predictors.items():
        own = model.with_data(x=x)
        draws[name] = infer.sample(own, key=0, progress=False)
        found[name] = infer.evidence(own, draws[name])
        estimate, error = found[name].log_evidence, found[name].standard_error
        print(f"{name}: log evidence {estimate:.3f} ± {error:.3f}, exactly {exact(x):.3f}")
        assert abs(estimate - exact(x)) < 4 * error, name
    values = [evidence.log_evidence for evidence in found.values()]
    print(f"log Bayes factor {values[1] - values[0]:.2f}, known 8.42")
    plot(predictors, draws)


def plot(predictors, draws) -> None:
    """Draw both lines with their uncertainty."""
    figure, axes = plt.subplots(1, 2, layout="constrained", sharey=True)
    for axis, (name, x) in zip(axes, predictors.items(), strict=True):
        line = draws[name]["posterior"]["line"].values.reshape(-1, 2)[::10]
        grid = np.linspace(x.min(), x.max(), 50)
        curves = line[:, :1] + line[:, 1:] * grid
        axis.fill_between(grid, *np.quantile(curves, [0.05, 0.95], axis=0), color="C1", alpha=0.4)
        axis.plot(x, STRENGTH, "o", markersize=4)
        axis.set(xlabel=f"{name}, less its mean", title=f"log evidence {exact(x):.1f} nats")
    axes[0].set_ylabel("strength")
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
