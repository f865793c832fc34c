"""Five questions of the Law School Admission Test: a Rasch model of a thousand people.

Whether a person answers a question depends on the difference of the person's ability and the
question's difficulty. Abilities have a normal distribution, whose standard deviation is learned.

Data: Bock & Lieberman (1970), Fitting a response model for n dichotomously scored items, as in the
package ltm for R: how many of 1000 people gave each of the 32 patterns of answers. Difficulties by
maximum likelihood are those of `ltm::rasch(LSAT)`, in units of that standard deviation.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
from scipy.special import expit

import infer

# How many people gave each pattern, from 00000 to 11111.
COUNTS = np.array([
    3, 6, 2, 11, 1, 1, 3, 4, 1, 8, 0, 16, 0, 3, 2, 15,
    10, 29, 14, 81, 3, 28, 15, 80, 16, 56, 21, 173, 11, 61, 28, 298,
])  # fmt: skip
PATTERNS = (np.arange(32)[:, None] >> np.arange(4, -1, -1)) & 1
ANSWERS = np.repeat(PATTERNS, COUNTS, axis=0)
KNOWN = np.array([-3.615, -1.322, -0.318, -1.730, -2.780])


def rasch(site, answers):
    spread = site("spread", dist.HalfNormal(2.0))
    ability = site("ability", dist.Normal(0.0, 1.0), dims="person")
    difficulty = site("difficulty", dist.Normal(0.0, 3.0), dims="question")
    logits = spread * (ability[:, None] - difficulty)
    site.observe("answers", dist.Bernoulli(logits=logits), answers, dims=("person", "question"))


def main() -> None:
    coords = {"person": np.arange(1000), "question": [f"Q{number}" for number in range(1, 6)]}
    model = infer.model(rasch, answers=ANSWERS, coords=coords)
    posterior = infer.sample(model, key=0, progress=False)["posterior"]
    difficulty = posterior["difficulty"]
    mean, sd = difficulty.mean(("chain", "draw")).values, difficulty.std(("chain", "draw")).values
    for row in zip(coords["question"], mean, sd, KNOWN, strict=True):
        print("{}: difficulty {:.2f} ± {:.2f}, by likelihood {:.2f}".format(*row))
    assert (abs(mean - KNOWN) < sd).all()
    plot(posterior)


def plot(posterior) -> None:
    """Draw the probability of each answer, and the ability of people by their number of answers."""
    ability = np.linspace(-4, 3, 100)
    spread = posterior["spread"].values.ravel()[::10]
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    for number, name in enumerate(posterior["question"].values):
        difficulty = posterior["difficulty"][..., number].values.ravel()[::10]
        curves = expit(spread * (ability[:, None] - difficulty))
        left.fill_between(ability, *np.quantile(curves, [0.05, 0.95], axis=1), alpha=0.3)
        left.plot(ability, curves.mean(1), label=name)
    left.set(xlabel="ability", ylabel="probability of a right answer")
    left.legend()
    scores = ANSWERS.sum(1)
    for score in range(6):
        drawn = posterior["ability"].values[..., scores == score]
        low, middle, high = np.quantile(drawn, [0.05, 0.5, 0.95])
        right.vlines(score, low, high, color="C0", alpha=0.5, linewidth=6)
        right.plot(score, middle, "o", color="C0")
    right.set(xlabel="right answers of a person", ylabel="ability")
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
