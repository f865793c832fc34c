"""Eight schools: a hierarchical model from declaration to diagnostics on one page.

Data: Rubin (1981), Estimation in parallel randomized experiments; effects of coaching in
eight schools with their standard errors, as in Gelman et al., Bayesian Data Analysis, 5.5.
"""

import time
from pathlib import Path

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import infer

SCHOOLS = ["A", "B", "C", "D", "E", "F", "G", "H"]
EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def eight_schools(site, error, effect):
    mu = site("mu", dist.Normal(0, 5))
    tau = site("tau", dist.HalfCauchy(5))
    theta = site("theta", dist.Normal(mu, tau), dims="school", centered=False)
    site.observe("effect", dist.Normal(theta, error), effect, dims="school")


def main() -> None:
    began = time.perf_counter()
    model = infer.model(
        eight_schools, error=ERROR, effect=EFFECT, coords={"school": SCHOOLS}
    )  # fmt: skip
    posterior = infer.sample(model, infer.NUTS(), chains=4, draws=2500, key=0)
    whole = time.perf_counter() - began

    summary = az.summary(posterior, var_names=["mu", "tau", "theta"])
    print(summary.to_string())
    print(f"\n{posterior.attrs['engine']}, 4 chains of 2500 draws")
    for part in ("starts", "trace", "compile", "warmup", "sampling"):
        print(f"  {part:9s} {posterior.attrs[part + '_seconds']:6.2f} s")
    print(f"  {'total':9s} {whole:6.2f} s")

    check(posterior, summary)
    plot(posterior)


def plot(posterior) -> None:
    """Draw what each school reported, and what the schools know together."""
    theta = posterior["posterior"]["theta"].stack(draws=("chain", "draw"))
    low, middle, high = theta.quantile([0.05, 0.5, 0.95], "draws").values
    rows = np.arange(len(SCHOOLS))
    figure, axis = plt.subplots(layout="constrained")
    axis.errorbar(EFFECT, rows - 0.15, xerr=1.645 * ERROR, fmt="o", alpha=0.5, label="reported")
    axis.hlines(rows + 0.15, low, high, color="C1", linewidth=3, label="posterior, 90 %")
    axis.plot(middle, rows + 0.15, "o", color="C1")
    axis.axvline(float(posterior["posterior"]["mu"].mean()), color="C1", alpha=0.4)
    axis.set(yticks=rows, yticklabels=SCHOOLS, xlabel="effect of coaching, points")
    axis.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=2)
    path = Path(__file__).with_suffix(".png")
    figure.savefig(path, dpi=100)
    print(f"Plot: {path.name}, beside the script")


def check(posterior, summary) -> None:
    """Exit with an error if the posterior is not the known one."""
    mean = {name: float(posterior["posterior"][name].mean()) for name in ("mu", "tau")}
    worst = float(summary["r_hat"].astype(float).max())
    if abs(mean["mu"] - 4.4) > 0.3 or abs(mean["tau"] - 3.6) > 0.3 or worst >= 1.01:
        raise SystemExit(f"unexpected posterior: {mean}, R-hat {worst}")


if __name__ == "__main__":
    main()
