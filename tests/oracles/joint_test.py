"""Run Geweke's joint distribution test of one transition of an engine.

Values and data are drawn in two ways. Independently: the values from the prior, and the data given
the values. In turns: the values by one transition of the engine given the data, then new data given
the values. If the transition leaves the posterior invariant for all data, both ways draw from the
same joint distribution.

Many short series of turns run side by side, each from an independent draw. Their means are
independent, so the standard error of the mean of these means is known.

Source: Geweke (2004), Getting it right, JASA 99, section 3.
"""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import infer
from infer.models.changes.observe import Observe
from infer.models.predictions import Given, Predictions


def z_scores(model, engine, *, series, turns, key=0):
    """Compare moments of values and data: one z-score for each.

    Args:
        model: The model; its sites are the values, its observations the data.
        engine: HMC or NUTS with a step size, which is not adapted; the metric is the identity.
        series: Number of series of turns, and of independent draws.
        turns: Length of each series.
        key: A seed.
    """
    density = infer.log_density(model)
    tuning = engine.first_tuning(density, np.zeros((1, density.size)), np.ones((1, density.size)))

    def joint(key):
        own, other = jax.random.split(key)
        position = density.draw_prior(own)
        return position, _data(density, position, other)

    def turn(carry, key):
        position, data = carry
        own, other = jax.random.split(key)
        given = replace(density, model=model.with_change(Observe.of(data)))
        position = _transition(engine, tuning, own, given, position)
        data = _data(density, position, other)
        return (position, data), _moments(position, data)

    def independent(key):
        return _moments(*joint(key))

    def in_turns(key):
        own, other = jax.random.split(key)
        _, moments = jax.lax.scan(turn, joint(own), jax.random.split(other, turns))
        return moments.mean(0)

    one, other = (jax.random.split(k, series) for k in jax.random.split(jax.random.key(key)))
    found = [
        np.asarray(eqx.filter_jit(jax.vmap(way))(keys))
        for way, keys in ((independent, one), (in_turns, other))
    ]
    means, variances = ([getattr(a, name)(0) for a in found] for name in ("mean", "var"))
    return (means[1] - means[0]) / np.sqrt(sum(variances) / series)


def _data(density, position, key):
    account = density.read(position)[0]
    values = {name: image.value for name, image in account.images.items()}
    reader = Predictions(Given(values, {}, {}), key)
    density.model.run(reader)
    return reader.predicted


def _transition(engine, tuning, key, density, position):
    """Tick until a draw is complete."""
    state = engine.init(position, density.components(position))
    state = engine.enter(tuning, state, jnp.asarray(False))

    def tick(carry):
        state, tick = engine.tick(key, density, tuning, carry[0])
        return state, tick.position, tick.complete

    first = (state, position, jnp.asarray(False))
    return jax.lax.while_loop(lambda carry: ~carry[2], tick, first)[1]


def _moments(position, data):
    """Return the flat vector, the data's mean and log mean square, and all products of these."""
    arrays = [data[name].astype(position.dtype) for name in sorted(data)]
    seen = [f(a) for a in arrays for f in (jnp.mean, lambda a: jnp.log1p((a**2).mean()))]
    numbers = jnp.concatenate([position, jnp.stack(seen)])
    products = (numbers[:, None] * numbers)[np.tril_indices(len(numbers))]
    return jnp.concatenate([numbers, products])
