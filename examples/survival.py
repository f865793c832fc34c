"""Leukemia: how long remissions last with 6-mercaptopurine, with censored times.

Twelve of the patients were still in remission when the trial ended. Of them one knows only that
the time is longer: their term is the log of the probability to survive, instead of the density.
The model is a Weibull regression.

Data: Freireich et al. (1963), as in Gehan (1965), Biometrika 52, 203; weeks of remission. The
estimates by maximum likelihood are those of survreg in the package survival for R.
"""

from pathlib import Path

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import infer

CONTROL = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
ENDED = [6, 6, 6, 7, 10, 13, 16, 22, 23]
CENSORED = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
WEEKS = np.array([*CONTROL, *ENDED, *CENSORED], float)
TREATED = np.arange(42) >= 21
IS_OVER = np.arange(42) < 30
# The logarithm of the factor by which the drug stretches time, and the shape.
KNOWN = {"effect": 1.267, "shape": 1.366}


def remission(site, weeks, treated, is_over):
    shape = site("shape", dist.LogNormal(0.0, 0.5))
    control = site("control", dist.Normal(2.0, 1.0))
    effect = site("effect", dist.Normal(0.0, 2.0))
    scale = jnp.exp(control + effect * treated)
    log_survival = -((weeks / scale) ** shape)
    log_hazard = jnp.log(shape / scale) + (shape - 1) * jnp.log(weeks / scale)
    site.factor("remission", jnp.where(is_over, log_hazard, 0.0) + log_survival)


def main() -> None:
    data = {"weeks": WEEKS, "treated": TREATED.astype(float), "is_over": IS_OVER.astype(float)}
    model = infer.model(remission, **data)
    posterior = infer.sample(model, key=0, progress=False)["posterior"]
    for name, known in KNOWN.items():
        value = posterior[name]
        print(
            f"{name}: {float(value.mean()):.2f} ± {float(value.std()):.2f}, by likelihood {known}"
        )
        assert abs(float(value.mean()) - known) < 0.5 * float(value.std()), name
    factor = np.quantile(np.exp(posterior["effect"]), [0.05, 0.5, 0.95])
    print("remissions last {1:.1f} times as long, 90 % from {0:.1f} to {2:.1f}".format(*factor))
    plot(posterior)


def plot(posterior) -> None:
    """Draw the share in remission: by counting (Kaplan and Meier), and by the model."""
    grid = np.linspace(0.01, 36, 150)
    draws = {name: posterior[name].values.ravel()[::10] for name in ("control", "effect", "shape")}
    figure, axis = plt.subplots(layout="constrained")
    for treated, color, label in ((0, "C0", "placebo"), (1, "C1", "6-mercaptopurine")):
        scale = np.exp(draws["control"] + treated * draws["effect"])
        curves = np.exp(-((grid[:, None] / scale) ** draws["shape"]))
        low, high = np.quantile(curves, [0.05, 0.95], axis=1)
        axis.fill_between(grid, low, high, color=color, alpha=0.3)
        axis.step(*kaplan_meier(treated == TREATED), where="post", color=color, label=label)
        lasting = WEEKS[(treated == TREATED) & ~IS_OVER]
        axis.plot(lasting, np.full(lasting.size, 0.02), "|", color=color)
    axis.set(xlabel="weeks", ylabel="share in remission", ylim=(0, 1.02))
    axis.legend()
    figure.savefig(Path(__file__).with_suffix(".png"))


def kaplan_meier(group) -> tuple[np.ndarray, np.ndarray]:
    """Return the times at which remissions ended, and the share that lasted longer."""
    times = np.unique(WEEKS[group & IS_OVER])
    ended = np.array([(WEEKS[group & IS_OVER] == time).sum() for time in times])
    at_risk = np.array([(WEEKS[group] >= time).sum() for time in times])
    return np.append(0.0, times), np.append(1.0, np.cumprod(1 - ended / at_risk))


if __name__ == "__main__":
    main()
