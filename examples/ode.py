"""Hares and lynxes: the rates of a differential equation of predators and their prey.

The equation of Lotka and Volterra is solved inside the model, by the method of Runge and Kutta,
and its gradient with it. Its four rates, the two first populations and the errors of measurement
are all unknown.

Data: pelts of the Hudson's Bay Company, 1900 to 1920, in thousands, from Howard (2009). Model and
estimates: Carpenter (2018), Predator-Prey Population Dynamics: the Lotka-Volterra model in Stan.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import infer

HARE = [
    30.0, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22.0, 25.4, 27.1,
    40.3, 57.0, 76.6, 52.3, 19.5, 11.2, 7.6, 14.6, 16.2, 24.7,
]  # fmt: skip
LYNX = [
    4.0, 6.1, 9.8, 35.2, 59.4, 41.7, 19.0, 13.0, 8.3, 9.1, 7.4,
    8.0, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7, 10.1, 8.6,
]  # fmt: skip
PELTS = np.stack([HARE, LYNX], 1)
YEARS, ANIMALS = np.arange(1900, 1921), ["hare", "lynx"]
RATES = ["birth of hares", "death by lynxes", "death of lynxes", "birth by hares"]
# The posterior means of the case study.
KNOWN = np.array([0.55, 0.028, 0.80, 0.024])
STEPS = 5


def slope(log_populations, rates):
    """Return the change of the logarithms of both populations, in a year."""
    hare, lynx = jnp.exp(log_populations)
    return jnp.stack([rates[0] - rates[1] * lynx, rates[3] * hare - rates[2]])


def solve(first, rates, years, steps=STEPS):
    """Solve the equation for the logarithms of the populations; return them year by year."""
    h = 1.0 / steps

    def step(now, _):
        k1 = slope(now, rates)
        k2 = slope(now + h / 2 * k1, rates)
        k3 = slope(now + h / 2 * k2, rates)
        k4 = slope(now + h * k3, rates)
        now = now + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return now, now

    _, path = jax.lax.scan(step, first, None, length=years * steps)
    return jnp.concatenate([first[None], path[steps - 1 :: steps]])


def predators(site, pelts):
    typical = jnp.array([1.0, 0.05, 1.0, 0.05])
    rates = site("rates", dist.TruncatedNormal(typical, typical / 2, low=0.0), dims="rate")
    first = site("first", dist.LogNormal(jnp.log(10.0), 1.0), dims="animal")
    noise = site("noise", dist.LogNormal(-1.0, 1.0), dims="animal")
    mean = site.derive("mean", solve(jnp.log(first), rates, 20), dims=("year", "animal"))
    site.observe("pelts", dist.LogNormal(mean, noise), pelts, dims=("year", "animal"))


def main() -> None:
    coords = {"rate": RATES, "animal": ANIMALS, "year": YEARS}
    model = infer.model(predators, pelts=PELTS, coords=coords)
    posterior = infer.sample(model, infer.NUTS(), draws=500, key=0, progress=False)["posterior"]
    mean = posterior["rates"].mean(("chain", "draw")).values
    sd = posterior["rates"].std(("chain", "draw")).values
    for row in zip(RATES, mean, sd, KNOWN, strict=True):
        print("{}: {:.3f} ± {:.3f}, by Stan {:.3f}".format(*row))
    assert (abs(mean - KNOWN) < 0.3 * sd + 0.001).all()
    finer = solve(jnp.log(PELTS[0]), mean, 20, 40) - solve(jnp.log(PELTS[0]), mean, 20)
    print(f"error of the solver: {100 * float(abs(finer).max()):.2f} %")
    plot(posterior)


def plot(posterior) -> None:
    """Draw the populations with their uncertainty, and the cycle that they go round."""
    figure, (series, cycle) = plt.subplots(1, 2, layout="constrained", width_ratios=[2, 1])
    mean = np.exp(posterior["mean"])
    for number, name in enumerate(ANIMALS):
        low, middle, high = np.quantile(mean[..., number], [0.05, 0.5, 0.95], axis=(0, 1))
        series.fill_between(YEARS, low, high, color=f"C{number}", alpha=0.3)
        series.plot(YEARS, middle, color=f"C{number}", label=name)
        series.plot(YEARS, PELTS[:, number], "o", color=f"C{number}", markersize=4)
    series.set(ylabel="pelts, thousands", xticks=YEARS[::5])
    series.legend()
    for path in mean.stack(draws=("chain", "draw")).values.T[::100]:
        cycle.plot(*path, color="C2", alpha=0.25, linewidth=1)
    cycle.plot(*PELTS.T, "o", color="C2", markersize=4)
    cycle.set(xlabel="hares", ylabel="lynxes")
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
