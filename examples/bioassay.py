"""A bioassay: MAP, ADVI and NUTS side by side, and what each says of a skewed posterior.

Data: Racine, Grieve, Fluehler & Smith (1986), as in Gelman et al., Bayesian Data Analysis,
3.7: deaths among five animals at each of four doses.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import infer

LOG_DOSE = np.array([-0.86, -0.30, -0.05, 0.73])
DEATHS = np.array([0.0, 1.0, 3.0, 5.0])
ANIMALS = 5


def bioassay(site, log_dose, deaths, animals):
    intercept = site("intercept", dist.Normal(0.0, 10.0))
    slope = site("slope", dist.HalfNormal(30.0))
    logits = intercept + slope * log_dose
    site.observe("deaths", dist.Binomial(animals, logits=logits), deaths, dims="dose")


def main(draws: int = 2000) -> None:
    model = infer.model(bioassay, log_dose=LOG_DOSE, deaths=DEATHS, animals=ANIMALS)
    modes = {
        space: infer.maximize(model, infer.MAP(space), starts=8)
        for space in ("constrained", "unconstrained")
    }
    fits = {family: infer.fit(model, infer.ADVI(family)) for family in ("mean_field", "full_rank")}
    posterior = infer.sample(model, infer.NUTS(), draws=draws)
    for mode in modes.values():
        print(mode)
    draws = {f"ADVI {name}": fit.sample(4000) for name, fit in fits.items()} | {"NUTS": posterior}
    for name, idata in draws.items():
        sites = {n: np.asarray(idata["posterior"][n]).ravel() for n in ("intercept", "slope")}
        moments = ", ".join(f"{n} {a.mean():.2f} ± {a.std():.2f}" for n, a in sites.items())
        print(f"{name:16s} {moments}")
    for name, fit in fits.items():
        print(f"{name}: Pareto k {fit.khat:.2f}, ELBO {fit.elbo:.2f} nats")
    plot(draws, modes)


def plot(draws, modes) -> None:
    """Draw the posterior of each method over the same axes."""
    figure, axes = plt.subplots(
        1, 3, figsize=(9, 3.4), sharex=True, sharey=True, layout="constrained"
    )
    for axis, (name, idata) in zip(axes, draws.items(), strict=True):
        values = [np.asarray(idata["posterior"][n]).ravel()[:4000] for n in ("intercept", "slope")]
        axis.plot(*values, ".", markersize=1.5, alpha=0.4)
        for space, mode in modes.items():
            axis.plot(
                mode.values["intercept"],
                mode.values["slope"],
                "+",
                markersize=12,
                markeredgewidth=2,
                label=f"MAP, {space}",
            )
        axis.set(title=name, xlabel="intercept", xlim=(-4, 9), ylim=(0, 50))
    axes[0].set_ylabel("slope")
    axes[0].legend()
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    main()
