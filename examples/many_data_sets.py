"""Two hundred patients: how fast each absorbs a drug and gets rid of it, in one call.

Each patient is a data set of eight blood samples, with a posterior of its own, its own chains and
its own diagnostics. The program is compiled once. Since the patients are simulated from the prior,
their true rates should lie in nine of ten 90 % intervals.

Model: one compartment with absorption, as in Gibaldi & Perrier (1982), Pharmacokinetics, 1.3.
"""

from pathlib import Path

import arviz as az
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import infer

HOURS = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0])
DOSE, PATIENTS = 320.0, 200
NAMES = ["absorption", "elimination", "volume"]
# Medians in 1/h, 1/h and liters, and standard deviations of the logarithms.
TYPICAL, SPREAD = np.array([1.5, 0.1, 30.0]), np.array([0.4, 0.3, 0.3])


def concentration(parameters, hours):
    """Return mg of the drug per liter of blood, after some hours."""
    absorption, elimination, volume = parameters
    ratio = DOSE / volume * absorption / (absorption - elimination)
    return ratio * (jnp.exp(-elimination * hours) - jnp.exp(-absorption * hours))


def patient(site, hours, measured):
    prior = dist.LogNormal(jnp.log(TYPICAL), SPREAD)
    parameters = site("parameters", prior, dims="parameter")
    noise = site("noise", dist.LogNormal(jnp.log(0.15), 0.3))
    expected = jnp.log(concentration(parameters, hours))
    site.observe("measured", dist.LogNormal(expected, noise), measured, dims="sample")


def simulate(rng):
    """Draw the parameters of each patient, and what is measured."""
    truth = TYPICAL * np.exp(SPREAD * rng.normal(size=(PATIENTS, 3)))
    noise = 0.15 * np.exp(0.3 * rng.normal(size=(PATIENTS, 1)))
    expected = np.stack([concentration(parameters, HOURS) for parameters in truth])
    return truth, expected * np.exp(noise * rng.normal(size=expected.shape))


def main() -> None:
    truth, measured = simulate(np.random.default_rng(0))
    coords = {"parameter": NAMES}
    first = infer.model(patient, hours=HOURS, measured=measured[0], coords=coords)
    models = [first.with_data(measured=row) for row in measured]
    result = infer.sample(models, infer.NUTS(), draws=500, key=0, progress=False)
    values = result["posterior"]["parameters"]
    low, high = values.quantile([0.05, 0.95], ("chain", "draw")).values
    inside = ((low < truth) & (truth < high)).sum(0)
    for name, number in zip(NAMES, inside, strict=True):
        print(f"{name}: the true value is in {number} of {PATIENTS} intervals of 90 %")
    print(f"largest R-hat of all patients: {float(az.rhat(result)['parameters'].max()):.3f}")
    # Each number is binomial; all three are within 4 standard deviations but once in 5000.
    assert (abs(inside - 0.9 * PATIENTS) < 4 * np.sqrt(0.9 * 0.1 * PATIENTS)).all()
    plot(values, truth, measured)


def plot(values, truth, measured) -> None:
    """Draw three patients, and the interval of each patient's elimination with the truth."""
    figure, (curves, all_of_them) = plt.subplots(1, 2, layout="constrained")
    grid = np.linspace(0.05, 24.0, 100)
    stacked = values.stack(draws=("chain", "draw")).transpose("dataset", "parameter", "draws")
    for color, number in enumerate((0, 1, 2)):
        own = stacked.values[number, :, ::10]
        paths = concentration(own[:, :, None], grid)
        band = np.quantile(paths, [0.05, 0.95], axis=0)
        curves.fill_between(grid, *band, color=f"C{color}", alpha=0.3)
        curves.plot(HOURS, measured[number], "o", color=f"C{color}", markersize=4)
    curves.set(xlabel="hours", ylabel="concentration, mg per liter")
    order = np.argsort(truth[:, 1])
    low, high = np.quantile(stacked.values[order, 1], [0.05, 0.95], axis=1)
    inside = (low < truth[order, 1]) & (truth[order, 1] < high)
    colors = np.where(inside, "C0", "C1")
    all_of_them.vlines(np.arange(PATIENTS), low, high, colors=colors, alpha=0.6, linewidth=1)
    all_of_them.plot(truth[order, 1], color="C3", linewidth=1)
    all_of_them.set(xlabel="patients, by their true rate", ylabel="elimination, 1/h", yscale="log")
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
