"""Make a random model: a function of some family, under some transformation, in a log density."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .families import FAMILIES, SIZE, Drawn, pick

# Number of coordinates whose posterior means are given by the function, if it is of data.
WIDTH = 4


class Case(NamedTuple):
    """A model and its properties.

    Attributes:
        name: What was drawn.
        double: Whether it is computed in double precision.
        digits: "full", or "few" if it rounds to a short type in between.
        sampled: Whether its posterior is sampled.
        target: Posterior mean as a function of data, with standard deviations of 1; or None.
        log_density: Function of a vector of `SIZE` numbers and data, in nats, in plain JAX.
        data: Numbers in (0.1, 0.9).
    """

    name: str
    double: bool
    digits: str
    sampled: bool
    target: Callable | None
    log_density: Callable
    data: np.ndarray


def in_scan(function):
    return lambda a: lax.scan(
        lambda c, s: (c, function(a * s)), 0, jnp.asarray([1.0, 0.9], a.dtype)
    )[1]


PLACES = {
    "": lambda function: function,
    "jit": jax.jit,
    "checkpoint": jax.checkpoint,
    "vmap": lambda f: lambda a: jax.vmap(lambda s: f(a * s))(jnp.asarray([1.0, 0.9], a.dtype)),
    "scan": in_scan,
    "cond": lambda f: lambda a: lax.cond(a[0] > 0.5, f, lambda a: f(a[::-1]), a),
}


def draw(seed: int) -> Case:
    """Draw a model; the families take turns."""
    rng = np.random.default_rng([19, seed])
    family = list(FAMILIES)[seed % len(FAMILIES)]
    drawn: Drawn = FAMILIES[family](rng)
    place = pick(rng, *PLACES, "", "")
    on_data = not drawn.smooth or rng.random() < 0.4
    double = bool(rng.random() < 0.5)
    weights = rng.normal(size=2000) / 2
    inside = PLACES[place](drawn.function)

    def numbers(a):
        """Flatten and bound what the function returns."""
        flat = jnp.real(jnp.ravel(inside(a))).astype(a.dtype)[: len(weights)]
        return jnp.tanh(flat)

    def target(data):
        return jnp.pad(numbers(data), (0, WIDTH))[:WIDTH]

    def known(x, data):
        return -0.5 * jnp.sum((x[:WIDTH] - target(data)) ** 2) - 0.5 * jnp.sum(x[WIDTH:] ** 2)

    def unknown(x, data):
        found = numbers(0.5 + 0.4 * jnp.tanh(x + data - 0.5))
        own = jnp.asarray(weights[: len(found)], found.dtype)
        return -0.5 * jnp.sum(x**2) + jnp.sum(own * found) / max(len(found), 1) ** 0.5

    where = f" in {place}" if place else ""
    name = f"{family}: {drawn.name}{where}, of {'data' if on_data else 'values'}"
    sampled = on_data or bool(rng.random() < 0.4)
    return Case(
        f"{name}, {'double' if double else 'single'}",
        double,
        drawn.digits,
        sampled,
        target if on_data else None,
        known if on_data else unknown,
        rng.uniform(0.1, 0.9, SIZE),
    )
