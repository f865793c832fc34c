"""Reaction times without sleep: a line for each of 18 people, drawn towards a common one.

Each person has a start and a slope of their own. How much people differ is learned with them, and
decides how far each line is drawn towards the mean: the noisier a line, the more.

Data: Belenky et al. (2003), Patterns of performance degradation and restoration during sleep
restriction; average reaction times on ten days, in ms, as in the package lme4 for R, rounded to
0.1.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import infer

SUBJECTS = [
    308,
    309,
    310,
    330,
    331,
    332,
    333,
    334,
    335,
    337,
    349,
    350,
    351,
    352,
    369,
    370,
    371,
    372,
]
DAYS = np.arange(10.0)
REACTION = np.array([
    [249.6, 258.7, 250.8, 321.4, 356.9, 414.7, 382.2, 290.1, 430.6, 466.4],
    [222.7, 205.3, 203.0, 204.7, 207.7, 216.0, 213.6, 217.7, 224.3, 237.3],
    [199.1, 194.3, 234.3, 232.8, 229.3, 220.5, 235.4, 255.8, 261.0, 247.5],
    [321.5, 300.4, 283.9, 285.1, 285.8, 297.6, 280.2, 318.3, 305.3, 354.0],
    [287.6, 285.0, 301.8, 320.1, 316.3, 293.3, 290.1, 334.8, 293.7, 371.6],
    [234.9, 242.8, 273.0, 309.8, 317.5, 310.0, 454.2, 346.8, 330.3, 253.9],
    [283.8, 289.6, 276.8, 299.8, 297.2, 338.2, 332.0, 348.8, 333.4, 362.0],
    [265.5, 276.2, 243.4, 254.7, 279.0, 284.2, 305.5, 331.5, 335.7, 377.3],
    [241.6, 273.9, 254.5, 270.8, 251.5, 254.6, 245.5, 235.3, 235.8, 237.2],
    [312.4, 313.8, 291.6, 346.1, 365.7, 391.8, 404.3, 416.7, 455.9, 458.9],
    [236.1, 230.3, 238.9, 254.9, 250.7, 269.8, 281.6, 308.1, 336.3, 351.6],
    [256.3, 243.5, 256.2, 255.5, 268.9, 329.7, 379.4, 362.9, 394.5, 389.1],
    [250.5, 300.1, 269.9, 280.6, 271.8, 304.6, 287.7, 266.6, 321.5, 347.6],
    [221.7, 298.2, 326.9, 346.9, 348.7, 352.8, 354.4, 360.4, 375.6, 388.5],
    [271.9, 268.4, 257.2, 277.7, 314.8, 317.2, 298.1, 348.1, 340.3, 366.5],
    [225.3, 234.5, 238.9, 240.5, 267.5, 344.2, 281.1, 347.6, 365.2, 372.2],
    [269.9, 272.4, 277.9, 281.8, 279.2, 284.5, 259.3, 304.6, 350.8, 369.5],
    [269.4, 273.5, 297.6, 310.6, 287.2, 329.6, 334.5, 343.2, 369.1, 364.1],
])  # fmt: skip
# By lme4::lmer(Reaction ~ Days + (Days || Subject)), which maximizes the restricted likelihood.
LMER = {"start": 251.4, "slope": 10.47, "noise": 25.6}


def sleep(site, days, reaction):
    start = site("start", dist.Normal(250.0, 100.0))
    slope = site("slope", dist.Normal(0.0, 50.0))
    spread = site("spread", dist.HalfNormal(np.array([50.0, 20.0])))
    starts = site("starts", dist.Normal(start, spread[0]), dims="subject")
    slopes = site("slopes", dist.Normal(slope, spread[1]), dims="subject")
    noise = site("noise", dist.HalfNormal(50.0))
    mean = starts[:, None] + slopes[:, None] * days
    site.observe("reaction", dist.Normal(mean, noise), reaction, dims=("subject", "day"))


def main() -> None:
    coords = {"subject": SUBJECTS, "day": DAYS}
    model = infer.model(sleep, days=DAYS, reaction=REACTION, coords=coords)
    posterior = infer.sample(model, key=0, progress=False)["posterior"]
    for name, expected in LMER.items():
        mean, sd = float(posterior[name].mean()), float(posterior[name].std())
        print(f"{name}: {mean:.2f} ± {sd:.2f}, by lme4 {expected}")
        assert abs(mean - expected) < 0.5 * sd, name
    plot(posterior)


def plot(posterior) -> None:
    """Draw how far each person's line is drawn in, and the lines of three of them."""
    slopes, starts = np.polyfit(DAYS, REACTION.T, 1)
    means = posterior.mean(("chain", "draw"))
    figure, (pulled, lines) = plt.subplots(1, 2, layout="constrained")
    for each in zip(starts, means["starts"].values, slopes, means["slopes"].values, strict=True):
        pulled.plot(each[:2], each[2:], color="C0", alpha=0.5)
    pulled.plot(starts, slopes, "o", alpha=0.5, label="alone")
    pulled.plot(means["starts"], means["slopes"], "o", label="together")
    pulled.set(xlabel="start, ms", ylabel="slope, ms per day")
    pulled.legend()
    starts, slopes = (posterior[name].values[..., None] for name in ("starts", "slopes"))
    curves = starts + slopes * DAYS
    for color, subject in zip(("C0", "C1", "C2"), (337, 335, 370), strict=True):
        row = SUBJECTS.index(subject)
        low, high = np.quantile(curves[:, :, row], [0.05, 0.95], axis=(0, 1))
        lines.fill_between(DAYS, low, high, color=color, alpha=0.3)
        lines.plot(DAYS, REACTION[row], ".", color=color, label=f"person {subject}")
    lines.set(xlabel="days", ylabel="reaction, ms")
    lines.legend()
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
