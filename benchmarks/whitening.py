"""Compare coordinates between a multivariate normal value and its whitened one.

    python benchmarks/whitening.py [--case "field, few data" ...] [--seeds 1] [--draws 500]

A value x with the prior N(m, L L') has coordinates y for each degree c from 0 to 1, in which it is
whitened for c = 0 and itself for c = 1:

    x = m + F (y - c m),  F = c I + (1 - c) L             "linear"
                          F = S^(1 - c) (c I + (1 - c) R)  "scaled"

L = S R, with the standard deviations S and the Cholesky factor R of the correlations. For a
diagonal L the second is the map of a scalar site of this degree. Either F is triangular.

Prints for each case, map and degree the smallest bulk ESS per 1000 gradients of sampling by NUTS
(4 chains, float64), in parentheses the divergent draws. Below, from the draws of each of these
runs, the degree of each map for which log(Var(y) Var(score of y)) is smallest: its mean over the
entries, and after the slash its largest.
"""

import argparse
import warnings
from typing import Any, NamedTuple

import arviz as az
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import infer
from bijectors.base import Vectorwise, bijection

jax.config.update("jax_enable_x64", True)
DEGREES = (0.0, 0.2, 0.5, 0.8, 1.0)
KINDS = ("linear", "scaled")
GRID = np.linspace(0.0, 1.0, 11)
RNG = np.random.default_rng(0)
TIMES = np.linspace(0.0, 1.0, 20)
CURVE = np.sin(6 * TIMES) + 0.5 * TIMES
GROUPS = 12


def make_factor(factor: Any, degree: Any, kind: str) -> Any:
    """Return F of the documentation above."""
    eye = jnp.eye(factor.shape[-1])
    if kind == "linear":
        return degree * eye + (1 - degree) * factor
    scale = jnp.sqrt((factor**2).sum(-1, keepdims=True))
    return scale ** (1 - degree) * (degree * eye + (1 - degree) * factor / scale)


class Between(Vectorwise):
    """The map from y to x. Degree: shape (1, 1); the others as in `VectorNonCentering`."""

    location: Any
    factor: Any
    degree: Any
    kind: str = eqx.field(static=True)

    @property
    def parameter_ndims(self) -> int:
        return 2

    def image(self, y):
        whole = make_factor(self.factor, self.degree[0, 0], self.kind)
        value = self.location[:, 0] + whole @ (y - self.degree[0, 0] * self.location[:, 0])
        return bijection(value, jnp.log(jnp.diagonal(whole)).sum())

    def inverse(self, x):
        whole = make_factor(self.factor, self.degree[0, 0], self.kind)
        rest = jax.scipy.linalg.solve_triangular(whole, x - self.location[:, 0], lower=True)
        return rest + self.degree[0, 0] * self.location[:, 0]


def declare(site, name, location, factor, degree, kind, **shape):
    """Declare a multivariate normal site in coordinates of a degree."""
    column = jnp.broadcast_to(location, factor.shape[-1:])[:, None]
    bijector = Between(column, factor, jnp.reshape(degree, (1, 1)), kind)
    site.derive("factor", factor)
    return site(
        name, dist.MultivariateNormal(location, scale_tril=factor), bijector=bijector, **shape
    )


def field(site, degree, noise, seen, y, kind, counts):
    """A Gaussian process with two scales, of which some points are observed."""
    length = site("length", dist.InverseGamma(4.0, 1.0))
    scale = site("scale", dist.HalfNormal(2.0))
    squares = (TIMES[:, None] - TIMES) ** 2
    kernel = scale**2 * jnp.exp(-squares / (2 * length**2))
    factor = jnp.linalg.cholesky(kernel + 1e-6 * (1 + scale**2) * jnp.eye(len(TIMES)))
    x = declare(site, "x", 0.0, factor, degree, kind)
    if counts:
        site.observe("y", dist.Poisson(jnp.exp(noise + x[seen])), y)
    else:
        site.observe("y", dist.Normal(x[seen], noise), y)


def effects(site, degree, z, y, kind):
    """Intercepts and two slopes that vary among groups, correlated."""
    mean = site("mean", dist.Normal(0.0, 2.0), shape=(3,))
    scale = site("scale", dist.HalfNormal(1.0), shape=(3,))
    correlation = site("correlation", dist.LKJCholesky(3, 1.0))
    factor = scale[:, None] * correlation
    x = declare(site, "x", mean, factor, degree, kind, shape=(GROUPS,))
    site.observe("y", dist.Normal((z * x[:, None]).sum(-1), 1.0), y)


def make_field(noise: float, every: int, counts: bool = False):
    seen = np.arange(0, len(TIMES), every)
    y = RNG.poisson(np.exp(noise + CURVE[seen])) if counts else None
    y = CURVE[seen] + noise * RNG.normal(size=len(seen)) if y is None else y
    given = {"noise": noise, "seen": infer.static(seen), "y": y, "counts": infer.static(counts)}
    return field, given


def make_effects(rows: int):
    z = np.concatenate([np.ones((GROUPS, rows, 1)), RNG.normal(size=(GROUPS, rows, 2))], -1)
    x = np.array([1.0, -0.5, 0.3]) + RNG.normal(size=(GROUPS, 3)) @ np.diag([0.7, 0.3, 0.5])
    y = (z * x[:, None]).sum(-1) + RNG.normal(size=(GROUPS, rows))
    return effects, {"z": z, "y": y}


CASES = {
    "field, few data": make_field(1.0, 4),
    "field, some data": make_field(0.3, 1),
    "field, many data": make_field(0.02, 1),
    "field, small counts": make_field(0.0, 1, counts=True),
    "field, large counts": make_field(6.0, 1, counts=True),
    "effects, few rows": make_effects(3),
    "effects, some rows": make_effects(20),
    "effects, many rows": make_effects(300),
}


class Rows(NamedTuple):
    """Draws of a multivariate site: coordinates and scores in them, shape (rows, sites, n).

    Attributes:
        y: The coordinates.
        scores: The derivatives of the log density by them.
        factor: The Cholesky factor of the prior, shape (rows, n, n).
        location: The location of the prior, shape (rows, n).
    """

    y: Any
    scores: Any
    factor: Any
    location: Any


def read_rows(model: infer.Model, found: Any) -> Rows:
    """Read the site x of every fourth draw."""
    density = infer.log_density(model)
    thin = found["posterior"].isel(draw=slice(None, None, 4))
    rows = {n: jnp.asarray(a.values.reshape(-1, *a.shape[2:])) for n, a in thin.data_vars.items()}

    def read(own):
        position = density.unconstrain(own)
        return position, density.evaluate(position)[1]

    both = jax.jit(jax.vmap(read))({site.name: rows[site.name] for site in density.latent})
    begin = 0
    for site in density.latent:
        if site.name == "x":
            break
        begin += int(np.prod(site.unconstrained_shape))
    count, n = len(rows["x"]), rows["x"].shape[-1]
    size = rows["x"][0].size
    y, scores = (a[:, begin : begin + size].reshape(count, -1, n) for a in both)
    location = jnp.broadcast_to(rows.get("mean", jnp.zeros((count, 1))), (count, n))
    return Rows(y, scores, rows["factor"], location)


def choose(rows: Rows, degree: float, kind: str, other: str) -> tuple[float, float]:
    """Return the degrees of a map with the smallest mean, and the smallest maximum, of log J.

    Args:
        rows: Draws made in coordinates of a degree of the map `kind`.
        degree: This degree.
        kind: This map.
        other: The map whose degree is chosen.
    """
    own, m = make_factors(rows.factor, degree, kind), rows.location[:, None]
    away = jnp.einsum("rij,rgj->rgi", own, rows.y - degree * m)
    scores = jnp.einsum("rji,rgj->rgi", jnp.linalg.inv(own), rows.scores)
    levels = []
    for c in GRID:
        new = make_factors(rows.factor, c, other)
        there = jnp.einsum("rij,rgj->rgi", jnp.linalg.inv(new), away) + c * m
        slope = jnp.einsum("rji,rgj->rgi", new, scores)
        levels.append(np.log(there.var(0) * slope.var(0)))
    return GRID[np.argmin([a.mean() for a in levels])], GRID[np.argmin([a.max() for a in levels])]


make_factors = jax.vmap(make_factor, (0, None, None), 0)


def measure(model: infer.Model, draws: int, key: int) -> tuple[Any, float, int]:
    """Sample; return draws, the smallest ESS per 1000 gradients, and how many diverged."""
    found = infer.sample(model, infer.NUTS(), draws=draws, key=key, progress=False)
    names = [site.name for site in infer.log_density(model).latent]
    ess = az.ess(found, var_names=names, method="bulk")
    least = min(float(np.nanmin(ess[name].values)) for name in names)
    stats = found["sample_stats"]
    return found, 1000 * least / int(stats["n_steps"].sum()), int(stats["diverging"].sum())


def compare(name: str, kind: str, draws: int, seeds: int) -> None:
    """Print one case and map."""
    function, given = CASES[name]
    cells, picks = [], []
    for degree in DEGREES:
        model = infer.model(function, degree=degree, kind=infer.static(kind), **given)
        runs = [measure(model, draws, seed) for seed in range(seeds)]
        each, diverged = np.median([run[1] for run in runs]), sum(run[2] for run in runs)
        cells.append(f"{degree:g}: {each:7.2f} ({diverged})")
        rows = read_rows(model, runs[-1][0])
        picks.append([choose(rows, degree, kind, other) for other in KINDS])
    print(f"{name:20s} {kind:7s} {'  '.join(cells)}")
    for i, other in enumerate(KINDS):
        own = "  ".join(f"{mean:g}/{most:g}" for mean, most in (pick[i] for pick in picks))
        print(f"{'':20s} by the criterion, {other}: {own}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--draws", type=int, default=500)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in chosen.case:
        for kind in KINDS:
            compare(name, kind, chosen.draws, chosen.seeds)


if __name__ == "__main__":
    main()
