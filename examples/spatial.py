"""Lip cancer in Scotland: rates of 56 counties, of which neighbors resemble each other (BYM2).

The effect of a county has a smooth part, which varies little between neighbors, and a rough part
of its own. The model learns the size of the effects and how much of their variance is smooth.
Rates of small counties, which are mostly chance, are drawn towards those of their neighbors.

Data: Clayton & Kaldor (1987), with the neighbors of Breslow & Clayton (1993): cases, cases
expected from the ages of the population, and the percentage of people who work outdoors. Model:
Riebler et al. (2016), arXiv 1601.01180.
"""

from pathlib import Path

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import bijectors as bj
import infer

CASES = np.array([
    9, 39, 11, 9, 15, 8, 26, 7, 6, 20, 13, 5, 3, 8, 17, 9, 2, 7, 9, 7, 16, 31, 11, 7, 19, 15, 7, 10,
    16, 11, 5, 3, 7, 8, 11, 9, 11, 8, 6, 4, 10, 8, 2, 6, 19, 3, 2, 3, 28, 6, 1, 1, 1, 1, 0, 0,
])  # fmt: skip
EXPECTED = np.array([
    1.4, 8.7, 3.0, 2.5, 4.3, 2.4, 8.1, 2.3, 2.0, 6.6, 4.4, 1.8, 1.1, 3.3, 7.8, 4.6, 1.1, 4.2, 5.5,
    4.4, 10.5, 22.7, 8.8, 5.6, 15.5, 12.5, 6.0, 9.0, 14.4, 10.2, 4.8, 2.9, 7.0, 8.5, 12.3, 10.1,
    12.7, 9.4, 7.2, 5.3, 18.8, 15.8, 4.3, 14.6, 50.7, 8.2, 5.6, 9.3, 88.7, 19.6, 3.4, 3.6, 5.7,
    7.0, 4.2, 1.8,
])  # fmt: skip
OUTDOORS = np.array([
    16, 16, 10, 24, 10, 24, 10, 7, 7, 16, 7, 16, 10, 24, 7, 16, 10, 7, 7, 10, 7, 16, 10, 7, 1, 1, 7,
    7, 10, 10, 7, 24, 10, 7, 7, 0, 10, 1, 16, 0, 1, 16, 16, 0, 1, 7, 1, 1, 0, 1, 1, 0, 1, 1, 16, 10,
])  # fmt: skip
# Each county with those of its neighbors that come later.
NEIGHBORS = """
1:5,9,11,19 2:7,10 3:6,12 4:18,20,28 5:11,12,13,19 6:8 7:10,13,16,17 9:11,17,19,23,29 10:16,22
11:12 13:17,19 14:31,32,35 15:25,29,50 16:17,21,22,29 17:19,29 18:20,28,33,55,56 20:55 21:29,50
23:29,34,36,37,39 24:27,30,31,44,47,48,55,56 25:26,29 26:29,42,43 27:31,32,55 28:33,45
29:34,43,50 30:38,42,44,45,56 31:32,35,46,47 32:35 33:45,56 34:39,40,42,43,51,52,54 35:37,46
36:37,39,41 37:41,46 38:42,44,49,51,54 39:40,41 40:41,49,52 41:46,49,53 42:43,51 44:48,49 45:56
46:47,53 47:48,49,53 48:49 49:52,53,54 51:54 52:54 55:56
"""
EDGES = np.array([
    (int(county) - 1, int(other) - 1)
    for county, others in (entry.split(":") for entry in NEIGHBORS.split())
    for other in others.split(",")
]).T  # fmt: skip


def typical_variance(edges) -> float:
    """Return the geometric mean of the variances of the smooth part, before it is scaled."""
    laplacian = np.zeros((56, 56))
    for a, b in edges.T:
        laplacian[[a, b], [a, b]] += 1
        laplacian[[a, b], [b, a]] -= 1
    return float(np.exp(np.log(np.diag(np.linalg.pinv(laplacian))).mean()))


def bym2(site, cases, expected, outdoors, edges, variance):
    intercept = site("intercept", dist.Normal(0.0, 1.0))
    slope = site("slope", dist.Normal(0.0, 1.0))
    spread = site("spread", dist.HalfNormal(1.0))
    share = site("share", dist.Beta(0.5, 0.5))
    smooth = site.param("smooth", bj.ZeroSum(), dims="county")
    site.factor("neighbors", -0.5 * jnp.square(smooth[edges[0]] - smooth[edges[1]]))
    rough = site("rough", dist.Normal(0.0, 1.0), dims="county")
    effect = spread * (jnp.sqrt(share / variance) * smooth + jnp.sqrt(1 - share) * rough)
    risk = site.derive("risk", jnp.exp(intercept + slope * outdoors + effect), dims="county")
    site.observe("cases", dist.Poisson(expected * risk), cases, dims="county")


def main() -> None:
    data = {"cases": CASES, "expected": EXPECTED, "outdoors": OUTDOORS / 10}
    data |= {"edges": EDGES, "variance": typical_variance(EDGES)}
    model = infer.model(bym2, **data, coords={"county": np.arange(1, 57)})
    engine = infer.NUTS(target_acceptance=0.9)
    posterior = infer.sample(model, engine, key=0, progress=False)["posterior"]
    for name in ("intercept", "slope", "spread", "share"):
        print(f"{name}: {float(posterior[name].mean()):.2f} ± {float(posterior[name].std()):.2f}")
    check(posterior)
    plot(posterior)


def check(posterior) -> None:
    """Check Stein's identity: under the posterior, the mean of each slope of its log is zero."""
    left = CASES - posterior["risk"].values * EXPECTED
    for name, factor in (("intercept", np.ones(56)), ("slope", OUTDOORS / 10)):
        slopes = (left * factor).sum(-1) - posterior[name].values
        # Eight batches of each chain are nearly independent.
        batches = slopes.reshape(32, -1).mean(1)
        error = batches.std(ddof=1) / np.sqrt(32)
        print(f"slope of the log posterior along {name}: {slopes.mean():.2f} ± {error:.2f}")
        assert abs(slopes.mean()) < 4 * error, name


def plot(posterior) -> None:
    """Draw raw and smoothed rates, and how rates follow the work outdoors."""
    risk = posterior["risk"]
    order = np.argsort(risk.mean(("chain", "draw")).values)
    low, middle, high = np.quantile(risk.values[..., order], [0.05, 0.5, 0.95], axis=(0, 1))
    figure, (rates, trend) = plt.subplots(1, 2, layout="constrained", width_ratios=[2, 1])
    rates.vlines(np.arange(56), low, high, color="C1", alpha=0.5, linewidth=3)
    rates.plot(middle, "o", color="C1", markersize=3, label="smoothed")
    rates.plot((CASES / EXPECTED)[order], "o", color="C0", markersize=3, label="cases / expected")
    rates.set(xlabel="counties", ylabel="relative risk", ylim=(0, 7))
    rates.legend()
    grid = np.linspace(0.0, 24.0, 50)
    slope, intercept = (np.ravel(posterior[name])[::10] for name in ("slope", "intercept"))
    band = np.quantile(np.exp(intercept + slope * grid[:, None] / 10), [0.05, 0.95], axis=1)
    trend.fill_between(grid, *band, color="C1", alpha=0.3)
    trend.scatter(OUTDOORS, CASES / EXPECTED, 3 * EXPECTED, color="C0", alpha=0.5)
    trend.set(xlabel="outdoors, % of people", ylim=(0, 7))
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
