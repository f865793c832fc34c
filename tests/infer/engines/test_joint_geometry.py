"""Learned centering, the hierarchical metric and tempering pass Geweke's joint distribution test.

Each is a transition at fixed tuning that leaves the posterior invariant for all data. Keys are
fixed. All 109 moments are compared within 4.5 standard errors: with random keys, these tests
together would raise a false alarm less than once in 1000 runs.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.density import tempered, transport
from infer.density.family import singleton
from infer.density.recentered import Centering, Recentered, find_pieces, recenter
from infer.density.tempered import make_normal, temper
from infer.models.priors.centering import PartialCentering
from infer.numerics.hierarchical import Hierarchical
from infer.run import replicas
from infer.target import Components

from ...oracles.joint_test import (
    compare,
    draw_data,
    draw_joint,
    first_tuning,
    given,
    moments,
    one_draw,
    z_scores,
)

NUTS = infer.NUTS(step_size=0.7, max_depth=4)
LIMIT = 4.5


def largest(scores):
    return np.abs(scores).max()


def groups(site, y):
    """Sites of each kind whose centering is learned."""
    mean, spread = site("mean", dist.Normal(0.0, 1.0)), site("spread", dist.LogNormal(0.0, 0.5))
    effect = site("effect", dist.Normal(mean, spread), shape=(2,))
    width = site("width", dist.LogNormal(mean, spread))
    factor = spread * jnp.array([[1.0, 0.0], [0.8, 0.6]])
    vector = site("vector", dist.MultivariateNormal(mean * jnp.ones(2), scale_tril=factor))
    site.observe("y", dist.Normal(effect + 0.5 * vector + 0.3 * jnp.log(width), 1.0), y)


def between_centerings(key, density, position, *, pieces):
    """Move to coordinates of random degrees, with what is known there; sample; move back.

    So does warm-up at the end of a window, where degrees depend on earlier draws.
    """
    key, *own = jax.random.split(key, 3)
    scalars = jnp.array([0.0, 0.5, 1.0])[jax.random.randint(own[0], (3,), 0, 3)]
    whitened = jax.random.bernoulli(own[1]).astype(float)
    degrees = jnp.append(scalars, jnp.full(2, whitened))
    ones = jnp.ones_like(degrees)
    whole, other = (_centered(density, pieces, each) for each in (ones, degrees))
    here = density.components(position)
    moved = transport.move(whole, degrees, position, here.gradient)
    there = Components(here.value + moved.log_det, moved.gradient, jnp.zeros_like(moved.gradient))
    tuning = first_tuning(NUTS, density)
    found = one_draw(NUTS, tuning, key, other, moved.position, there)
    return transport.move_position(other, ones, found).position


def _centered(density, pieces, degrees):
    found = recenter(singleton(density), Centering(pieces, degrees)).member(0)
    assert isinstance(found, Recentered)
    return found


def of_centering(series=2000):
    density = infer.log_density(infer.model(groups, y=infer.data(np.zeros(2))))
    pieces = find_pieces(density)
    assert [piece.name for piece in pieces] == ["effect", "width", "vector"]
    transition = partial(between_centerings, pieces=pieces)
    return largest(z_scores(density, transition, series=series, turns=50, key=2))


@pytest.mark.slow
def test_learned_centering_leaves_the_joint_distribution_invariant():
    assert of_centering() < LIMIT


def without_log_det(*arguments):
    found = MOVE(*arguments)
    return found._replace(log_det=0 * found.log_det)


def without_jacobian(self, y):
    return IMAGE(self, y)._replace(log_det=jnp.zeros_like(y))


MOVE, IMAGE = transport.move, PartialCentering.image
FAULTS = {
    "log density carried over as it is": (transport, "move", without_log_det),
    "no log-determinant of the map": (PartialCentering, "image", without_jacobian),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_learned_centering_is_detected(fault, monkeypatch):
    monkeypatch.setattr(*FAULTS[fault])
    assert of_centering(500) > 1.5 * LIMIT


def chain(site, y):
    first, second = site("first", dist.Normal(0.0, 1.0)), site("second", dist.LogNormal(0.0, 0.5))
    third = site("third", dist.Normal(first, second), shape=(2,))
    site.observe("y", dist.Normal(third, second), y)


NONE = [0.0] * 4


def of_metric(series=2000):
    """Sample with a metric in which the second coordinate depends on the first, the rest on both.

    It almost whitens the prior. With one that does not, chains rarely move, so faults do not show.
    """
    density = infer.log_density(infer.model(chain, y=infer.data(np.zeros(2))))
    engine = replace(NUTS, metric="hierarchical")
    tuning = first_tuning(engine, density)
    metric = replace(
        tuning.metric,
        parents=np.array([NONE, NONE, [0, 1, 0, 0], [0, 1, 0, 0]], np.int32),
        slopes=np.array([NONE, [0.3, 0, 0, 0], [-0.2, 0.8, 0, 0], [-0.1, 0.9, 0, 0]]),
        locations=np.array([NONE, [-0.2, 0, 0, 0], [0.8, 0.2, 0, 0], [0.9, 0.1, 0, 0]]),
        offset=np.array([0, 0.1, -0.2, 0.1]),
        log_scale=np.array([0, -0.5, -0.2, 0]),
    )
    transition = partial(one_draw, engine, replace(tuning, metric=metric))
    return largest(z_scores(density, transition, series=series, turns=50, key=3))


@pytest.mark.slow
def test_the_hierarchical_metric_leaves_the_joint_distribution_invariant():
    assert of_metric() < LIMIT


@pytest.mark.slow
def test_a_hierarchical_metric_without_its_volume_is_detected(monkeypatch):
    monkeypatch.setattr(Hierarchical, "log_volume", lambda self, position: 0 * position.sum())
    assert of_metric(1000) > 1.5 * LIMIT


def scales(site, y):
    """The flat vector is standard normal, so all densities up to the posterior are normal too."""
    rate = site("rate", dist.LogNormal(0.0, 1.0), shape=(2,))
    site.observe("y", dist.Normal(jnp.log(rate), NOISE), y)


NOISE, POWERS = 0.5, np.array([0.0, 0.3, 1.0])
MEAN, VARIANCE = np.array([1.0, -1.0]), 0.5
REFERENCES = {"prior": None, "normal": make_normal(MEAN, VARIANCE * np.eye(2))}


def exact(power, y, normals, reference):
    """Draw from the normal between reference and posterior."""
    mean, variance = (0.0, 1.0) if reference is None else (MEAN, VARIANCE)
    precision = (1 - power) / variance + power * (1 + NOISE**-2)
    center = ((1 - power) * mean / variance + power * y / NOISE**2) / precision
    return center + normals / np.sqrt(precision)


def of_tempering(reference, series=2000, turns=25):
    """Let draws of three levels move and swap, then draw new data given that of the top level.

    In each turn the two lower levels begin at exact draws, which are known here, so the draw of the
    top level and the data keep their joint distribution. The swaps are those of the host.
    """
    reference = REFERENCES[reference]
    density = infer.log_density(infer.model(scales, y=infer.data(np.zeros(2))))
    tuning = first_tuning(NUTS, density)

    def move(key, position, data):
        keys = jax.random.split(key, 4)
        normals = jax.random.normal(keys[0], (2, 2))
        below = [exact(p, data["y"], n, reference) for p, n in zip(POWERS, normals, strict=False)]
        levels = temper(given(density, data), POWERS[1:], reference)
        own: list[Any] = [levels.member(i) for i in range(2)]
        starts = zip(keys[1:3], own, (below[1], position), strict=True)
        moved = [one_draw(NUTS, tuning, k, target, start) for k, target, start in starts]
        positions = jnp.stack([below[0], *moved])
        return positions, tempered._evaluate_ends(own[0], positions), keys[3]

    move = eqx.filter_jit(jax.vmap(move))
    redraw = eqx.filter_jit(jax.vmap(lambda key, q: draw_data(density, q, key)))
    seen = eqx.filter_jit(jax.vmap(moments))
    keys, starts, others = jax.random.split(jax.random.key(4), (3, series))
    position, data = eqx.filter_jit(jax.vmap(partial(draw_joint, density)))(starts)
    uniforms, total = np.random.default_rng(5), 0.0
    for turn in range(turns):
        own = jax.vmap(partial(jax.random.fold_in, data=turn))(keys)
        positions, ends, left = move(own, position, data)
        ratios = ends.log_ratio.T
        chances = replicas.swap_probabilities(POWERS, ratios)
        sources = replicas.choose_sources(chances, turn, uniforms.uniform(size=chances.shape))
        position = np.asarray(positions)[np.arange(series), sources[-1]]
        data = redraw(left, position)
        total = total + np.asarray(seen(position, data)) / turns
    return largest(compare(density, others, total))


@pytest.mark.slow
@pytest.mark.parametrize("reference", REFERENCES)
def test_tempering_leaves_the_joint_distribution_invariant(reference):
    assert of_tempering(reference) < LIMIT


def always(powers, log_ratios):
    return np.ones((len(powers) - 1, log_ratios.shape[-1]))


def unmixed(self, position):
    """Keep the whole reference at every power."""
    reference, posterior = self.ends(position)
    return reference + self.power * posterior, {}


TEMPERING_FAULTS = {
    "swaps are never rejected": (replicas, "swap_probabilities", always),
    "powers that do not sum to one": (tempered.Tempered, "_total_and_values", unmixed),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", TEMPERING_FAULTS)
def test_a_fault_of_tempering_is_detected(fault, monkeypatch):
    monkeypatch.setattr(*TEMPERING_FAULTS[fault])
    assert of_tempering("normal", 1000) > 1.5 * LIMIT
