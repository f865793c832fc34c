"""Random models of the DSL, with sites of many kinds, plates, scans and long data.

A program is a function of `take`, which declares one site and returns its value. Run with a site
of the DSL it is a model; run with values by name it sums the log densities of the priors, which is
what the model must compute, up to the Jacobian of the maps.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import infer

from .families import FAMILIES, SIZE, pick

GROUPS, STEPS, ROWS, LONG = 4, 7, 12, 20_000


class Program(NamedTuple):
    """A random model.

    Attributes:
        name: What was drawn.
        double: Whether it is computed in double precision.
        model: The model.
        expected: Sum of the log densities of all priors and observations, in nats, at values by
            name.
    """

    name: str
    double: bool
    model: infer.Model
    expected: Callable[[Mapping[str, Any]], Any]


def _make_priors(level, scale) -> dict[str, Callable]:
    """Make priors whose parameters may depend on earlier sites; `scale` is positive."""
    factor = jnp.eye(3) * scale + jnp.tril(jnp.ones((3, 3)), -1) * jnp.tanh(level)
    ordered = dist.transforms.OrderedTransform()
    return {
        "normal": lambda: dist.Normal(level, scale),
        "student": lambda: dist.StudentT(4.0, level, scale),
        "lognormal": lambda: dist.LogNormal(level, scale),
        "half normal": lambda: dist.HalfNormal(scale),
        "gamma": lambda: dist.Gamma(1.5 + scale, 1.0),
        "inverse gamma": lambda: dist.InverseGamma(3.0, scale),
        "beta": lambda: dist.Beta(1.5, 1.0 + scale),
        "uniform": lambda: dist.Uniform(level - 1, level + scale),
        "truncated": lambda: dist.TruncatedNormal(level, scale, low=0.0),
        "exponential": lambda: dist.Exponential(scale),
        "dirichlet": lambda: dist.Dirichlet(1.0 + scale * jnp.arange(1.0, 4.0)),
        "lkj": lambda: dist.LKJCholesky(3, 1.5),
        "multivariate": lambda: dist.MultivariateNormal(level * jnp.ones(3), scale_tril=factor),
        "ordered": lambda: dist.TransformedDistribution(
            dist.Normal(0.0, 1.0).expand([3]).to_event(1), ordered
        ),
        "zero sum": lambda: dist.ZeroSumNormal(1.0, event_shape=(4,)),
    }


# How far sites of these kinds may be centered.
MOVED = {
    "normal": (True, False, 0.3), "student": (True, False, 0.3), "lognormal": (True, False),
    "multivariate": (True, False),
}  # fmt: skip


class _Site(NamedTuple):
    kind: str
    place: str
    centered: Any
    function: Callable


def draw_program(seed: int) -> Program:
    """Draw a model of one to five sites, with a function of a random family in between."""
    rng = np.random.default_rng([29, seed])
    kinds = list(_make_priors(0.0, 1.0))
    sites = [_draw_site(rng, kinds) for _ in range(rng.integers(1, 6))]
    outcome = pick(rng, "normal", "poisson", "bernoulli", "scan", "long", "scan")
    double = bool(rng.random() < 0.5)
    rows = LONG if outcome == "long" else ROWS
    data = {
        "group": rng.integers(0, GROUPS, rows),
        "x": rng.normal(size=rows),
        "y": rng.integers(0, 2, rows) * 1.0,
        "series": rng.normal(size=STEPS),
    }

    def run(take, group, x, y, series):
        level, scale = jnp.zeros(()), jnp.ones(())
        for i, one in enumerate(sites):
            prior = _make_priors(level, scale)[one.kind]()
            value = take(f"s{i}", prior, one.place, one.centered)
            own = jnp.ravel(jnp.asarray(value, jnp.result_type(float)))
            bounded = 0.5 + 0.4 * jnp.tanh(jnp.resize(own, (SIZE,)))
            # A derivative that is not finite, of a root at zero say, is not what is tested here.
            found = jnp.nan_to_num(jnp.real(one.function(bounded)).astype(own.dtype), posinf=1.0)
            level = jnp.tanh(jnp.mean(found)) + jnp.tanh(jnp.mean(own))
            scale = 0.3 + jax.nn.softplus(level)
        effects = take("effects", dist.Normal(level, scale), "plate", True)
        line = effects[group] + 0.3 * x
        if outcome == "scan":
            take.along("path", series, level, scale)
        elif outcome == "poisson":
            take.observe("y", dist.Poisson(jnp.exp(jnp.tanh(line))), y)
        elif outcome == "bernoulli":
            take.observe("y", dist.Bernoulli(logits=line), y)
        else:
            take.observe("y", dist.Normal(line, 1.0), y)

    def program(site, group, x, y, series):
        run(_Declared(site), group, x, y, series)

    def expected(values):
        sums = _Summed(values)
        run(sums, **{name: jnp.asarray(own) for name, own in data.items()})
        return sums.total

    parts = [f"{one.kind} ({one.place}, {one.centered})" for one in sites]
    name = f"programs: {', '.join(parts)}, {outcome}, {'double' if double else 'single'}"
    with jax.enable_x64(double):
        model = infer.model(program, **data)
    return Program(name, double, model, expected)


def _draw_site(rng: np.random.Generator, kinds: list[str]) -> _Site:
    kind = pick(rng, *kinds)
    place = pick(rng, "alone", "alone", "shape", "plate", "plates")
    centered = pick(rng, *MOVED.get(kind, (True,)))
    drawn = FAMILIES[pick(rng, *FAMILIES)](rng)
    while not drawn.smooth or drawn.digits == "few":
        drawn = FAMILIES[pick(rng, *FAMILIES)](rng)
    return _Site(kind, place, centered, drawn.function)


class _Declared:
    """Declares what a program takes as sites of the DSL."""

    def __init__(self, site):
        self.site = site

    def __call__(self, name, prior, place, centered):
        options = {} if centered is True else {"centered": centered}
        if place == "shape":
            return self.site(name, prior, shape=(3, *prior.event_shape), **options)
        if place == "alone":
            return self.site(name, prior, **options)
        with self.site.plate("group", GROUPS):
            if place == "plate":
                return self.site(name, prior, **options)
            with self.site.plate("block", 2):
                return self.site(name, prior, **options)

    def observe(self, name, prior, value):
        self.site.observe(name, prior, value)

    def along(self, name, series, level, scale):
        def step(site, carry, y):
            carry = site(name, dist.Normal(0.8 * carry + level, scale), centered=True)
            site.observe("y", dist.StudentT(3.0, carry, 1.0), y)
            return carry, None

        self.site.scan(step, jnp.zeros(()), series)


class _Summed:
    """Sums log densities at given values, with one loop over the steps of a series."""

    def __init__(self, values):
        self.values, self.total = values, 0.0

    def __call__(self, name, prior, place, centered):
        value = self.values[name]
        self.total += jnp.sum(prior.log_prob(value))
        return value

    def observe(self, name, prior, value):
        self.total += jnp.sum(prior.log_prob(value))

    def along(self, name, series, level, scale):
        path, before = self.values[name], jnp.zeros(())
        for t in range(STEPS):
            self.total += dist.Normal(0.8 * before + level, scale).log_prob(path[t])
            self.total += dist.StudentT(3.0, path[t], 1.0).log_prob(series[t])
            before = path[t]
