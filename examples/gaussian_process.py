"""A Gaussian process: an algebra of kernels, whose parts are frozen and freed in turn.

The kernels are small equinox modules that know nothing about inference. A trend, a cycle that may
decay, and noise are fitted to synthetic data. The sum and product of kernels follow Rasmussen &
Williams (2006), Gaussian Processes for Machine Learning, 5.4.3.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
import optax

import infer

# The covariance of close points is singular in single precision.
jax.config.update("jax_enable_x64", True)


class Kernel(eqx.Module):
    """A covariance of two points; kernels can be added and multiplied."""

    def __add__(self, other):
        return Sum(self, other)

    def __mul__(self, other):
        return Product(self, other)


class RBF(Kernel):
    """A smooth curve."""

    variance: float
    lengthscale: float

    def __call__(self, a, b):
        return self.variance * jnp.exp(-0.5 * ((a - b) / self.lengthscale) ** 2)


class Periodic(Kernel):
    """A curve that repeats itself."""

    lengthscale: float
    period: float

    def __call__(self, a, b):
        turn = jnp.sin(jnp.pi * (a - b) / self.period)
        return jnp.exp(-2.0 * (turn / self.lengthscale) ** 2)


class Sum(Kernel):
    """The covariance of the sum of two independent curves."""

    left: Kernel
    right: Kernel

    def __call__(self, a, b):
        return self.left(a, b) + self.right(a, b)


class Product(Kernel):
    """A curve whose covariance is the product of two others."""

    left: Kernel
    right: Kernel

    def __call__(self, a, b):
        return self.left(a, b) * self.right(a, b)


class Process(eqx.Module):
    """A curve, observed with noise."""

    kernel: Kernel
    noise: float

    def log_marginal_likelihood(self, x, y):
        covariance = self.kernel(x[:, None], x) + self.noise**2 * jnp.eye(x.size)
        return dist.MultivariateNormal(0.0, covariance).log_prob(y)

    def condition(self, x, y, at, part):
        """Return mean and variance of the curve, or of a part of it, given what was observed."""
        covariance = self.kernel(x[:, None], x) + self.noise**2 * jnp.eye(x.size)
        shared = part(at[:, None], x)
        solved = jnp.linalg.solve(covariance, jnp.concatenate([y[:, None], shared.T], 1))
        explained = (shared * solved[:, 1:].T).sum(1)
        return shared @ solved[:, 0], jnp.maximum(part(at, at) - explained, 0.0)


LEAVES = {
    "**.variance": infer.Leaf(dist.HalfNormal(2.0)),
    "**.lengthscale": infer.Leaf(dist.LogNormal(1.0, 1.0)),
    "**.period": infer.Leaf(dist.LogNormal(0.0, 0.1), frozen=True),
    "noise": infer.Leaf(dist.HalfNormal(1.0)),
}
# What is free at each stage; everything else keeps its last value.
PARTS = {
    "trend": ("kernel.left.*", "noise"),
    "cycle": ("kernel.right.**.variance", "kernel.right.**.lengthscale"),
    "both": ("**.variance", "**.lengthscale", "noise"),
}


def synthetic(rows=40):
    """Draw a curve that falls and rises, with a cycle of one year."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0.0, 5.0, rows))
    y = 0.2 * (x - 2.5) ** 2 - 0.5 + 0.8 * np.sin(2 * np.pi * x) + rng.normal(0.0, 0.2, rows)
    return {"x": x, "y": y}


def log_likelihood(process, data):
    return process.log_marginal_likelihood(data["x"], data["y"])


def main() -> None:
    cycle = RBF(variance=1.0, lengthscale=20.0) * Periodic(lengthscale=1.0, period=1.0)
    process = Process(RBF(variance=1.0, lengthscale=3.0) + cycle, noise=0.3)
    model = infer.tree_model(process, log_likelihood, LEAVES, data=synthetic())
    print(model.table())

    engine, values = infer.MAP("constrained", optimizer=optax.adam(0.1), tolerance=0.01), {}
    for name, selected in PARTS.items():
        part = model.freeze("**", at=values).free(*selected)
        optimum = infer.maximize(part, engine, starts=2)
        values |= optimum.values
        print(f"{name}: {len(optimum.position)} free coordinates, lp {optimum.lp:.2f}")
    for name, value in values.items():
        print(f"  {name} = {float(value):.2f}")
    found = infer.tree_of(part, optimum)
    print(f"the period is unchanged: {float(found.kernel.right.right.period)}")
    sweep(part, jnp.asarray(optimum.position))
    posterior = infer.sample(part, draws=500, key=0, progress=False)
    noise = np.ravel(posterior["posterior"]["noise"])
    print(f"noise {noise.mean():.2f} ± {noise.std():.2f}, true 0.2")
    assert abs(noise.mean() - 0.2) < 3 * noise.std()
    plot(part, posterior)


def plot(model, posterior) -> None:
    """Draw the curve and its trend, beyond the data too."""
    data, grid = synthetic(), np.linspace(0.0, 6.0, 200)

    def parts(process):
        kernels = (process.kernel, process.kernel.left)
        return [process.condition(data["x"], data["y"], grid, part) for part in kernels]

    curves = infer.map_trees(parts, model, posterior)
    figure, axis = plt.subplots(layout="constrained")
    rng = np.random.default_rng(0)
    for number, (name, (mean, variance)) in enumerate(zip(("curve", "trend"), curves, strict=True)):
        drawn = mean + np.sqrt(variance) * rng.normal(size=(*mean.shape[:2], 1))
        low, middle, high = np.quantile(drawn, [0.05, 0.5, 0.95], axis=(0, 1))
        axis.fill_between(grid, low, high, color=f"C{number}", alpha=0.3)
        axis.plot(grid, middle, color=f"C{number}", label=name)
    truth = 0.2 * (grid - 2.5) ** 2 - 0.5 + 0.8 * np.sin(2 * np.pi * grid)
    axis.plot(grid, truth, ":", color="C3", linewidth=1, label="truth")
    axis.plot(data["x"], data["y"], "o", markersize=3, color="C2", label="data")
    figure.legend(loc="outside upper center", ncols=4)
    figure.savefig(Path(__file__).with_suffix(".png"))


def sweep(model, position) -> None:
    """Try other periods: a frozen value is an argument, so all of them share one program."""
    traced = []

    @jax.jit
    def log_density(density, position):
        traced.append(density)
        return density(position)

    for period in np.linspace(0.9, 1.1, 5):
        other = model.freeze({"kernel.right.right.period": period})
        lp = log_density(infer.log_density(other, jacobian=False), position)
        print(f"  period {period:.2f}: lp {float(lp):.2f}")
    print(f"programs compiled: {len(traced)}")


if __name__ == "__main__":
    main()
