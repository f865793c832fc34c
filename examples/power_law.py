"""A power law: fitted in log space, by a module that knows nothing of sets or priors.

Data: semi-major axis and period of the eight planets (NASA planetary fact sheet), for which
Kepler's third law says period = axis^(3/2) in units of the Earth's.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import bijectors as bj
import infer

# Astronomical units, and days.
AXIS = np.array([0.387, 0.723, 1.000, 1.52, 5.20, 9.57, 19.17, 30.18])
PERIOD = np.array([88.0, 224.7, 365.2, 687.0, 4331.0, 10747.0, 30589.0, 59800.0])


class PowerLaw(eqx.Module):
    """y = amplitude * x^power."""

    amplitude: float
    power: float

    def __call__(self, x):
        return self.amplitude * x**self.power


class Orbits(eqx.Module):
    """A power law, and the standard deviation of the logarithms about it."""

    law: PowerLaw
    scatter: float


def log_likelihood(orbits, data):
    log_period = jnp.log(jax.vmap(orbits.law)(data["axis"]))
    return dist.Normal(log_period, orbits.scatter).log_prob(jnp.log(data["period"]))


LEAVES = {
    "law.amplitude": infer.Leaf(prior=dist.LogNormal(jnp.log(300.0), 1.0)),
    "law.power": infer.Leaf(constraint=bj.Interval(0.0, 5.0)),
    "scatter": infer.Leaf(prior=dist.HalfNormal(0.1)),
}


def make_model(orbits):
    data = {"axis": AXIS, "period": PERIOD}
    return infer.tree_model(orbits, log_likelihood, LEAVES, data=data)


def main() -> None:
    model = make_model(Orbits(PowerLaw(300.0, 1.0), 0.05))
    print(model.table())
    for finding in infer.check(model):
        print(finding.passed, finding.question)
    optimum = infer.maximize(model, infer.MAP("constrained"), starts=4)
    orbits = infer.tree_of(model, optimum)
    print(f"mode: period = {orbits.law.amplitude:.1f} days * axis^{orbits.law.power:.4f}")

    # A value outside its set is refused as soon as the tree is used again.
    try:
        make_model(eqx.tree_at(lambda o: o.law.power, orbits, -1.0))
    except infer.ModelError as error:
        print(error)

    posterior = infer.sample(model, infer.NUTS(), draws=1000, key=0, progress=False)
    power = np.asarray(posterior["posterior"]["law.power"])
    print(f"posterior: power {power.mean():.4f} ± {power.std():.4f}, Kepler's 1.5")
    assert abs(power.mean() - 1.5) < 3 * power.std()
    # All draws at once, in the user's own type: what would be the period of a planet at 2.77 au?
    ceres = infer.map_trees(lambda orbits: orbits.law(2.77), model, posterior)
    print(f"period at 2.77 au: {ceres.mean():.0f} ± {ceres.std():.0f} days")
    plot(model, posterior, power)


def plot(model, posterior, power) -> None:
    """Draw the periods, divided by Kepler's law, and the posterior of the power."""
    grid = np.geomspace(0.3, 40.0, 60)
    curves = infer.map_trees(lambda orbits: jax.vmap(orbits.law)(grid), model, posterior)
    band = np.quantile(curves / (365.25 * grid**1.5), [0.05, 0.95], axis=(0, 1))
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    left.fill_between(grid, *band, color="C1", alpha=0.4)
    left.plot(AXIS, PERIOD / (365.25 * AXIS**1.5), "o")
    left.set(xscale="log", xlabel="axis, au", ylabel="period / Kepler's law")
    right.hist(power.ravel(), 60, color="C1", alpha=0.6)
    right.axvline(1.5)
    right.set(xlabel="power", yticks=[], xticks=[1.494, 1.498, 1.502])
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
