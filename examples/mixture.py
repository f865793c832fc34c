"""Velocities of 82 galaxies: a mixture of three normals, with the kind of each galaxy summed out.

An order of the means chooses one of six equal modes. Which galaxy belongs where is drawn
afterwards, exactly, by `infer.recover`.

Data: Roeder (1990), Density estimation with confidence sets exemplified by superclusters and voids
in the galaxies; the velocities of galaxies in the Corona Borealis region, in 1000 km/s.
"""

from pathlib import Path

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
from scipy.stats import norm

import bijectors as bj
import infer

VELOCITY = np.array([
    9172, 9350, 9483, 9558, 9775, 10227, 10406, 16084, 16170, 18419, 18552, 18600, 18927,
    19052, 19070, 19330, 19343, 19349, 19440, 19473, 19529, 19541, 19547, 19663, 19846, 19856,
    19863, 19914, 19918, 19973, 19989, 20166, 20175, 20179, 20196, 20215, 20221, 20415, 20629,
    20795, 20821, 20846, 20875, 20986, 21137, 21492, 21701, 21814, 21921, 21960, 22185, 22209,
    22242, 22249, 22314, 22374, 22495, 22746, 22747, 22888, 22914, 23206, 23241, 23263, 23484,
    23538, 23542, 23666, 23706, 23711, 24129, 24285, 24289, 24366, 24717, 24990, 25633, 26690,
    26995, 32065, 32789, 34279,
]) / 1000  # fmt: skip


def mixture(site, velocity):
    weight = site("weight", dist.Dirichlet(jnp.ones(3)), dims="kind")
    mean = site("mean", dist.Normal(20.0, 10.0), dims="kind", constraint=bj.Ordered())
    sd = site("sd", dist.LogNormal(0.0, 0.5), dims="kind")
    kind = site("member", dist.Categorical(weight), dims="galaxy", sum_out=True)
    site.observe("velocity", dist.Normal(mean[kind], sd[kind]), velocity, dims="galaxy")


def main() -> None:
    coords = {"kind": ["near", "middle", "far"], "galaxy": np.arange(VELOCITY.size)}
    model = infer.model(mixture, velocity=VELOCITY, coords=coords)
    result = infer.sample(model, infer.Tempered(), draws=500, key=0, progress=False)
    posterior = infer.recover(model, result, key=1)["posterior"]
    members = [(posterior["member"] == kind).mean(("chain", "draw")).values for kind in range(3)]
    for name in coords["kind"]:
        mean = posterior["mean"].sel(kind=name)
        share = 100 * float(posterior["weight"].sel(kind=name).mean())
        print(f"{name}: {float(mean.mean()):.2f} ± {float(mean.std()):.2f}, {share:.0f} %")
    # The two small groups are so far from the others that nobody doubts who belongs to them.
    for kind, count in ((0, 7), (2, 3)):
        group = members[kind] > 0.5
        assert group.sum() == count
        center = float(posterior["mean"][..., kind].mean())
        assert abs(center - VELOCITY[group].mean()) < 0.5, center
    plot(posterior, members)


def plot(posterior, members) -> None:
    """Draw the density with its uncertainty, and to which kind each galaxy belongs."""
    grid = np.linspace(5.0, 40.0, 300)
    weight, mean, sd = (posterior[n].values.reshape(-1, 3)[::20] for n in ("weight", "mean", "sd"))
    density = (weight * norm.pdf(grid[:, None, None], mean, sd)).sum(-1)
    low, middle, high = np.quantile(density, [0.05, 0.5, 0.95], axis=1)
    figure, axis = plt.subplots(layout="constrained")
    axis.hist(VELOCITY, 35, range=(5, 40), density=True, alpha=0.25)
    axis.fill_between(grid, low, high, color="C1", alpha=0.3)
    axis.plot(grid, middle, color="C1")
    for kind, probability in enumerate(members):
        sizes, color = 60 * probability, f"C{2 + kind}"
        axis.scatter(VELOCITY, np.full(82, -0.01), sizes, color=color, marker="|")
    axis.set(xlabel="velocity, 1000 km/s", ylabel="density")
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
