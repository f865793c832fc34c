"""Earthquakes: calm and restless years as the hidden states of a Markov chain.

The number of large earthquakes of a year is a Poisson variable, whose rate depends on a state that
nobody sees. The states are summed out by the forward recursion, and drawn afterwards.

Data: Zucchini & MacDonald (2009), Hidden Markov Models for Time Series, Table 1.1: earthquakes of
magnitude 7 or more, 1900 to 2006. Their estimates by maximum likelihood are in section 3.3.
"""

from pathlib import Path

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import bijectors as bj
import infer

YEARS = np.arange(1900, 2007)
QUAKES = np.array([
    13, 14, 8, 10, 16, 26, 32, 27, 18, 32, 36, 24, 22, 23, 22, 18, 25, 21, 21, 14, 8, 11,
    14, 23, 18, 17, 19, 20, 22, 19, 13, 26, 13, 14, 22, 24, 21, 22, 26, 21, 23, 24, 27, 41,
    31, 27, 35, 26, 28, 36, 39, 21, 17, 22, 17, 19, 15, 34, 10, 15, 22, 18, 15, 20, 15, 22,
    19, 16, 30, 27, 29, 23, 20, 16, 21, 21, 25, 16, 18, 15, 18, 14, 10, 15, 8, 15, 6, 11,
    8, 7, 18, 16, 13, 12, 13, 20, 15, 16, 12, 18, 15, 16, 13, 15, 16, 11, 11,
])  # fmt: skip
# Rates of two states, by maximum likelihood.
KNOWN = (15.47, 26.12)


def earthquakes(site, quakes):
    rate = site("rate", dist.LogNormal(3.0, 0.5), dims="state", constraint=bj.PositiveOrdered())
    change = site("change", dist.Dirichlet(1.0 + 8.0 * jnp.eye(2)), dims=("state", "next"))

    def year(site, before, quakes):
        now = site("restless", dist.Categorical(change[before]), sum_out=True)
        site.observe("quakes", dist.Poisson(rate[now]), quakes)
        return now, None

    first = site("first", dist.Categorical(jnp.array([0.5, 0.5])), sum_out=True)
    site.scan(year, first, quakes, dim="year")


def main() -> None:
    names = ["calm", "restless"]
    coords = {"year": YEARS, "state": names, "next": names}
    model = infer.model(earthquakes, quakes=QUAKES, coords=coords)
    result = infer.sample(model, key=0, progress=False)
    posterior = infer.recover(model, result, key=1)["posterior"]
    for name, known in zip(names, KNOWN, strict=True):
        rate = posterior["rate"].sel(state=name)
        stay = float(posterior["change"].sel(state=name, next=name).mean())
        print(
            f"{name}: {float(rate.mean()):.1f} ± {float(rate.std()):.1f} a year, stays {stay:.2f}"
        )
        assert abs(float(rate.mean()) - known) < float(rate.std()), name
    plot(posterior)


def plot(posterior) -> None:
    """Draw the counts, the rate of each year, and the probability that it was restless."""
    restless = posterior["restless"].mean(("chain", "draw"))
    rate = posterior["rate"].isel(state=posterior["restless"]).mean(("chain", "draw"))
    figure, axis = plt.subplots(layout="constrained")
    axis.bar(YEARS, 45 * restless, 1.0, color="C1", alpha=0.25, label="probably restless")
    axis.plot(YEARS, QUAKES, "o", markersize=3, label="earthquakes")
    axis.plot(YEARS, rate, color="C1", label="rate")
    axis.set(ylim=(0, 45), xlim=(1899, 2007), ylabel="earthquakes a year")
    figure.legend(loc="outside upper center", ncols=3)
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
