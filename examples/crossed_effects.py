"""Penicillin: effects of 24 plates and 6 samples that cross, and their separate variances.

Each sample of penicillin was tried on each plate, and kills the bacteria in a zone of some
diameter. Plates differ, samples differ, and one variance would not do for both.

Data: Davies & Goldsmith (1972), Statistical methods in research and production, as in the package
lme4 for R; diameters in mm.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import infer

DIAMETER = np.array([
    [27, 23, 26, 23, 23, 21], [27, 23, 26, 23, 23, 21], [25, 21, 25, 24, 24, 20],
    [26, 23, 25, 23, 23, 20], [25, 22, 26, 22, 23, 20], [24, 22, 25, 23, 22, 19],
    [24, 20, 23, 21, 22, 19], [26, 22, 26, 24, 24, 21], [24, 21, 24, 22, 22, 20],
    [24, 21, 24, 23, 22, 19], [26, 23, 26, 24, 24, 21], [25, 22, 26, 24, 24, 20],
    [26, 24, 26, 24, 25, 22], [26, 23, 26, 23, 23, 20], [26, 23, 25, 24, 24, 22],
    [25, 22, 25, 23, 23, 20], [25, 21, 24, 23, 23, 20], [25, 22, 24, 23, 23, 19],
    [24, 21, 23, 21, 21, 19], [26, 23, 26, 24, 24, 21], [25, 21, 24, 22, 22, 18],
    [25, 22, 25, 22, 22, 20], [24, 21, 24, 22, 24, 19], [24, 21, 24, 22, 21, 18],
], float)  # fmt: skip
# By lme4::lmer(diameter ~ 1 + (1 | plate) + (1 | sample)).
LMER = {"mean": 22.97, "plate_sd": 0.847, "noise": 0.550}


def penicillin(site, diameter):
    mean = site("mean", dist.Normal(20.0, 10.0))
    plate_sd = site("plate_sd", dist.HalfNormal(3.0))
    sample_sd = site("sample_sd", dist.HalfNormal(3.0))
    plate = site("plate_effect", dist.Normal(0.0, plate_sd), dims="plate")
    sample = site("sample_effect", dist.Normal(0.0, sample_sd), dims="sample")
    noise = site("noise", dist.HalfNormal(1.0))
    location = mean + plate[:, None] + sample
    site.observe("diameter", dist.Normal(location, noise), diameter, dims=("plate", "sample"))


def main() -> None:
    coords = {"plate": list("abcdefghijklmnopqrstuvwx"), "sample": list("ABCDEF")}
    model = infer.model(penicillin, diameter=DIAMETER, coords=coords)
    posterior = infer.sample(model, infer.NUTS(target_acceptance=0.95), key=0, progress=False)[
        "posterior"
    ]
    for name, expected in LMER.items():
        mean, sd = float(posterior[name].mean()), float(posterior[name].std())
        print(f"{name}: {mean:.2f} ± {sd:.2f}, by lme4 {expected}")
        assert abs(mean - expected) < sd, name
    print(f"sample_sd: {float(posterior['sample_sd'].median()):.2f}, by lme4 1.932")
    plot(posterior)


def plot(posterior) -> None:
    """Draw the effects of plates and of samples on one scale, and the three standard deviations."""
    width = {"width_ratios": [3, 1, 2]}
    figure, axes = plt.subplots(1, 3, layout="constrained", gridspec_kw=width)
    for axis, dim in zip(axes, ("plate", "sample"), strict=False):
        effect = posterior[f"{dim}_effect"]
        effect = effect.sortby(effect.mean(("chain", "draw")))
        low, middle, high = np.quantile(effect, [0.05, 0.5, 0.95], axis=(0, 1))
        axis.vlines(effect[dim], low, high, alpha=0.5, linewidth=3)
        axis.plot(effect[dim], middle, "o", markersize=3)
        axis.set(xlabel=dim, ylim=(-4.5, 4.5))
    axes[0].set_ylabel("effect, mm")
    for name in ("sample_sd", "plate_sd", "noise"):
        values = np.ravel(posterior[name])
        axes[2].hist(
            values, 60, range=(0, 4), density=True, histtype="stepfilled", alpha=0.6, label=name
        )
    axes[2].set(xlabel="standard deviation, mm", yticks=[])
    axes[2].legend()
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
