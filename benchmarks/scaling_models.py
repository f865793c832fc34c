"""The models of `benchmarks/scaling.py`: one for each direction in which a model can grow."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import bijectors as bj
import infer
from benchmarks.many_sites import make_model as many_sites

CORRELATION, ROWS, COLUMNS = 0.5, 100, 5


class Axis(NamedTuple):
    """What grows.

    Attributes:
        title: Its name on the page.
        make: Makes the model of a size.
        sizes: Sizes, in ascending order.
        few: Those of `--quick`.
        grows_chains: Whether the size is the number of chains, rather than that of the model.
    """

    title: str
    make: Callable[[int], infer.Model]
    sizes: tuple[int, ...]
    few: tuple[int, ...]
    grows_chains: bool = False


def independent(size: int) -> infer.Model:
    """Make independent standard normals."""
    return infer.model(lambda site: site("x", dist.Normal(0.0, 1.0), shape=(size,)))


def correlated(size: int) -> infer.Model:
    """Make a stationary autoregression, by its log density."""

    def log_density(values):
        x = values["x"]
        steps = x[1:] - CORRELATION * x[:-1]
        return -0.5 * (x[0] ** 2 + jnp.sum(steps**2) / (1 - CORRELATION**2))

    return infer.declared(log_density, {"x": bj.Real(shape=(size,))})


def regression(rows: int, columns: int) -> infer.Model:
    """Make a logistic regression."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, columns)) / np.sqrt(columns)
    y = (x.sum(1) + rng.logistic(size=rows) > 0).astype(float)

    def program(site, x, y):
        slope = site("slope", dist.Normal(0.0, 1.0), shape=(columns,))
        site.observe("y", dist.Bernoulli(logits=x @ slope), y)

    return infer.model(program, x=x, y=y)


def series(size: int) -> np.ndarray:
    """Make a random walk, seen with noise."""
    rng = np.random.default_rng(0)
    return np.cumsum(0.1 * rng.normal(size=size)) + rng.normal(size=size)


def state_space(size: int) -> infer.Model:
    """Make a random walk of so many steps by the sum of its steps, seen with noise."""

    def program(site, y):
        steps = site("steps", dist.Normal(0.0, 1.0), shape=(size,))
        site.observe("y", dist.Normal(jnp.cumsum(0.1 * steps), 1.0), y)

    return infer.model(program, y=series(size))


def scanned(size: int) -> infer.Model:
    """Make the same random walk by `site.scan`."""

    def step(site, level, y):
        level = level + 0.1 * site("step", dist.Normal(0.0, 1.0))
        site.observe("y", dist.Normal(level, 1.0), y)
        return level, None

    def program(site, y):
        site.scan(step, jnp.zeros(()), y)

    return infer.model(program, y=series(size))


WIDE = (1, 10, 100, 1000, 10_000, 100_000)
FEW = (1000, 10_000)
AXES = {
    "independent": Axis("d, independent normals", independent, WIDE, FEW),
    "correlated": Axis("d, correlated normals", correlated, (10, *WIDE[2:]), FEW),
    "regression": Axis("d, logistic regression of 100 rows", lambda d: regression(ROWS, d),
                       WIDE, FEW),
    "state_space": Axis("d, Gaussian state space", state_space, (10, *WIDE[2:]), FEW),
    "scan": Axis("scan length", scanned, (10, *WIDE[2:]), FEW),
    "rows": Axis("rows, logistic regression of 5 columns", lambda rows: regression(rows, COLUMNS),
                 tuple(10**n for n in range(2, 8)), (10_000, 100_000)),
    "sites": Axis("sites of one number", many_sites, (1, 10, 100, 1000, 2000), (200, 2000)),
    "chains": Axis("chains, ten normals", lambda _: independent(10),
                   (1, 16, 256, 2048, 16_384), (128, 1024), True),
}  # fmt: skip
