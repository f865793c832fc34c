"""A large regression: 50,000 rows, fitted from 1000 at a time.

Each step of the fit sees 1000 rows, drawn at random, a fiftieth of the data. With so many rows the
posterior is a normal around the mode. Newton's method on all rows finds both, to compare with.

Data: simulated.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
from scipy.special import expit

import infer

ROWS, COLUMNS = 50_000, 8
PRIOR = 2.0


def regression(site, x, y):
    slope = site("slope", dist.Normal(0.0, PRIOR), dims="column")
    with site.plate("row", x.shape[0], minibatch=1000) as rows:
        site.observe("y", dist.Bernoulli(logits=x[rows] @ slope), y[rows])


def simulate(rng):
    """Draw correlated columns, the first one constant, and what happened."""
    mixed = rng.normal(size=(ROWS, COLUMNS)) @ (np.eye(COLUMNS) + 0.3)
    x = np.concatenate([np.ones((ROWS, 1)), mixed[:, 1:] / mixed[:, 1:].std(0)], 1)
    slope = np.linspace(-1.0, 1.0, COLUMNS)
    return x, rng.binomial(1, expit(x @ slope))


def newton(x, y):
    """Return the mode and the covariance of the normal around it."""
    slope = np.zeros(COLUMNS)
    for _ in range(10):
        p = expit(x @ slope)
        hessian = x.T @ (x * (p * (1 - p))[:, None]) + np.eye(COLUMNS) / PRIOR**2
        slope = slope + np.linalg.solve(hessian, x.T @ (y - p) - slope / PRIOR**2)
    return slope, np.linalg.inv(hessian)


def main() -> None:
    x, y = simulate(np.random.default_rng(0))
    mode, covariance = newton(x, y)
    model = infer.model(regression, x=x, y=y, coords={"column": np.arange(COLUMNS)})
    fit = infer.fit(model, infer.ADVI("full_rank"), key=0, progress=False)
    print(fit)
    slope = fit.sample(4000, key=1)["posterior"]["slope"].values.reshape(-1, COLUMNS)
    sd = np.sqrt(np.diag(covariance))
    off = abs(slope.mean(0) - mode) / sd
    scale = slope.std(0) / sd
    print(f"means differ by {off.max():.2f} standard deviations at most")
    print(f"standard deviations are {scale.min():.2f} to {scale.max():.2f} times those of Newton")
    assert off.max() < 0.2
    assert scale.min() > 0.8
    assert scale.max() < 1.25
    plot(fit, slope, mode, covariance)


def plot(fit, slope, mode, covariance) -> None:
    """Draw the loss of each epoch, and two correlated slopes with the ellipse of Newton."""
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    left.plot(fit.trace.epoch, np.asarray(fit.trace.elbo) / ROWS)
    left.set(xlabel="epochs of 50 steps", ylabel="ELBO, nats per row")
    right.plot(slope[:, 1], slope[:, 2], ".", markersize=2, alpha=0.4, label="fit from minibatches")
    turn = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.cos(turn), np.sin(turn)]) * np.sqrt(-2 * np.log(0.1))
    ellipse = mode[1:3, None] + np.linalg.cholesky(covariance[1:3, 1:3]) @ circle
    right.plot(*ellipse, color="C1", label="90 %, all rows")
    right.set(xlabel="slope 1", ylabel="slope 2")
    right.locator_params(axis="x", nbins=4)
    right.legend()
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
