"""Run Geweke's joint distribution test of a transition.

Values and data are drawn in two ways. Independently: the values from the prior, and the data given
the values. In turns: the values by one transition given the data, then new data given the values.
If the transition leaves the posterior invariant for all data, both ways draw from the same joint
distribution.

Many short series of turns run side by side, each from an independent draw. Their means are
independent, so the standard error of the mean of these means is known.

Source: Geweke (2004), Getting it right, JASA 99, section 3.
"""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from infer.models.changes.observe import Observe
from infer.models.predictions import Given, Predictions


def z_scores(density, transition, *, series, turns, key=0):
    """Compare moments of values and data: one z-score for each.

    Args:
        density: A log density; its sites are the values, its observations the data.
        transition: `transition(key, density, position)` is the next position, for the density of
            any data; traced.
        series: Number of series of turns, and of independent draws.
        turns: Length of each series.
        key: A seed.
    """

    def turn(carry, key):
        position, data = carry
        own, other = jax.random.split(key)
        position = transition(own, given(density, data), position)
        data = draw_data(density, position, other)
        return (position, data), moments(position, data)

    def in_turns(key):
        own, other = jax.random.split(key)
        _, found = jax.lax.scan(turn, draw_joint(density, own), jax.random.split(other, turns))
        return found.mean(0)

    one, other = (jax.random.split(k, series) for k in jax.random.split(jax.random.key(key)))
    return compare(density, one, eqx.filter_jit(jax.vmap(in_turns))(other))


def compare(density, keys, means):
    """Return the z-scores of the means of series of turns, compared with independent draws.

    Args:
        density: The log density.
        keys: One for each independent draw.
        means: Mean moments of each series, as many.
    """
    independent = lambda key: moments(*draw_joint(density, key))  # noqa: E731
    found = [np.asarray(a) for a in (eqx.filter_jit(jax.vmap(independent))(keys), means)]
    centers, variances = ([getattr(a, name)(0) for a in found] for name in ("mean", "var"))
    return (centers[1] - centers[0]) / np.sqrt(sum(variances) / len(keys))


def given(density, data):
    """Return the density of other data."""
    return replace(density, model=density.model.with_change(Observe.of(data)))


def draw_joint(density, key):
    """Draw a position from the prior, and data given it."""
    own, other = jax.random.split(key)
    position = density.draw_prior(own)
    return position, draw_data(density, position, other)


def draw_data(density, position, key):
    """Draw data given the values at a position."""
    account = density.read(position)[0]
    values = {name: image.value for name, image in account.images.items()}
    reader = Predictions(Given(values, {}, {}), key)
    density.model.run(reader)
    return reader.predicted


def first_tuning(engine, density):
    """Return the tuning of an engine whose step size is given; the metric is the identity."""
    ones = np.ones((1, density.size))
    return engine.first_tuning(density, 0 * ones, ones)


def one_draw(engine, tuning, key, density, position, here=None):
    """Tick until a draw is complete; nothing is adapted.

    Args:
        engine: A sampler.
        tuning: Its tuning.
        key: A JAX key.
        density: The log density.
        position: Where it starts.
        here: The log density there, if it is known.
    """
    here = density.components(position) if here is None else here
    state = engine.enter(tuning, engine.init(position, here), jnp.asarray(False))

    def tick(carry):
        state, tick = engine.tick(key, density, tuning, carry[0])
        return state, tick.position, tick.complete

    first = (state, position, jnp.asarray(False))
    return jax.lax.while_loop(lambda carry: ~carry[2], tick, first)[1]


def moments(position, data):
    """Return the flat vector, the data's mean and log mean square, and all products of these."""
    arrays = [data[name].astype(position.dtype) for name in sorted(data)]
    seen = [f(a) for a in arrays for f in (jnp.mean, lambda a: jnp.log1p((a**2).mean()))]
    numbers = jnp.concatenate([position, jnp.stack(seen)])
    products = (numbers[:, None] * numbers)[np.tril_indices(len(numbers))]
    return jnp.concatenate([numbers, products])
