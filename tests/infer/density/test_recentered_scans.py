"""Centering learned for sites of a scan: the same posterior in coordinates of any degrees."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.density.family import make_family, singleton
from infer.density.recentered import (
    Centering,
    complete_degrees,
    find_pieces,
    learned_by_fits,
    match_earlier,
    recenter,
)
from infer.density.transport import move
from infer.engines.base import Draws
from infer.run.recentering import begin_centering, choose_centering

LENGTH = 3
Y = np.linspace(-1, 1, LENGTH)
FACTOR = np.array([[1.0, 0.0], [0.8, 0.6]])


def autoregression(site, y, centered):
    persistence = site("persistence", dist.Uniform(0.0, 1.0))
    noise = site("noise", dist.HalfNormal(1.0))

    def step(site, x, given):
        x = site("x", dist.Normal(persistence * x, noise), centered=centered)
        site.observe("y", dist.Normal(x, 1.0), given)
        return x, None

    site.scan(step, 0.0, y)


def local_level(site, y, centered):
    """The slope moves, too; time runs backwards."""
    scale = site("scale", dist.HalfNormal(1.0))

    def step(site, carry, _):
        slope = site("slope", dist.Laplace(carry[1], 0.5 * scale), centered=centered)
        level = site("level", dist.Normal(carry[0] + slope, scale), centered=centered)
        return (level, slope), level

    level = site.scan(step, (0.3, 0.1), length=LENGTH, reverse=True)[1]
    site.observe("y", dist.Normal(level, 1.0), y)


def groups(site, y, centered):
    """Sites of groups around, a series for each group, and pairs that are one vector."""
    mean, spread = site("mean", dist.Normal(0.0, 1.0)), site("spread", dist.LogNormal(0.0, 0.5))
    group = site("group", dist.Normal(mean, spread), shape=(2,), centered=centered)

    def series(site, first):
        def step(site, level, given):
            level = site("level", dist.Normal(level, spread), centered=centered)
            width = site("width", dist.LogNormal(level, 1.0), shape=(2,), centered=centered)
            prior = dist.MultivariateNormal(level, scale_tril=spread * FACTOR)
            pair = site("pair", prior, centered=centered)
            site.observe("y", dist.Normal(level + width.sum() + pair.sum(), 1.0), given)
            return level, None

        site.scan(step, first, y)

    site.vmap(series, group)
    site("after", dist.Normal(group.sum(), spread), centered=centered)


def density(function, centered="auto"):
    return infer.log_density(infer.model(function, y=Y, centered=infer.static(centered)))


def at(density, degrees):
    return recenter(singleton(density), Centering(find_pieces(density), degrees)).shared


def degrees_of(density, random):
    """Return random degrees of all entries, equal for those of a vector."""
    drawn = [random.uniform(size=piece.shape) for piece in find_pieces(density)]
    each = zip(find_pieces(density), drawn, strict=True)
    whole = [a[..., :1] + 0 * a if piece.is_vector else a for piece, a in each]
    return np.concatenate([a.ravel() for a in whole])


def test_sites_of_steps_are_found():
    found = [(piece.name, piece.begin, piece.shape) for piece in find_pieces(density(groups))]
    assert found == [
        ("group", 2, (2,)),
        ("level", 4, (2, 3)),
        ("width", 10, (2, 3, 2)),
        ("pair", 22, (2, 3, 2)),
        ("after", 34, ()),
    ]
    assert [piece.name for piece in find_pieces(density(local_level))] == ["slope", "level"]


@pytest.mark.parametrize(
    "model",
    [local_level, *(pytest.param(m, marks=pytest.mark.slow) for m in (autoregression, groups))],
)
def test_a_moved_point_keeps_its_values_and_has_the_density_and_gradient_there(model):
    """The first coordinates are those of the centered model."""
    random, whole = np.random.default_rng(0), density(model)
    new = degrees_of(whole, random)
    here, there = at(whole, np.ones_like(new)), at(whole, new)

    @jax.jit
    def run(position):
        value, gradient = jax.value_and_grad(whole)(position)
        moved = move(here, jnp.asarray(new), position, gradient)
        back = move(there, jnp.ones(len(new)), moved.position, moved.gradient)
        ends = whole.constrain(position), there.constrain(moved.position)
        expected = jax.value_and_grad(there)(moved.position)
        return value + moved.log_det, moved, expected, ends, back, gradient

    for _ in range(3):
        position = 0.3 * random.normal(size=whole.size)
        value, moved, expected, ends, back, gradient = run(position)
        np.testing.assert_allclose(back.position, position, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(back.gradient, gradient, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(value, expected[0], rtol=1e-12)
        np.testing.assert_allclose(moved.gradient, expected[1], rtol=1e-9, atol=1e-12)
        for name, x in ends[0].items():
            np.testing.assert_allclose(ends[1][name], x, rtol=1e-10, err_msg=name)


def test_degrees_that_a_fit_or_an_earlier_version_learned_leave_steps_as_written():
    whole = density(groups)
    pieces = find_pieces(whole)
    assert [piece.in_steps for piece in pieces] == [False, True, True, True, False]
    known = np.array([0.2, 0.4, 0.7])
    alone = learned_by_fits(Centering(pieces, np.zeros(33)))
    assert [piece.name for piece in alone.pieces] == ["group", "after"]
    expected = np.concatenate([known[:2], np.ones(30), known[2:]])
    np.testing.assert_array_equal(complete_degrees(pieces, known), expected)
    for entries, names in ((3, alone.pieces), (33, pieces), (5, pieces)):
        assert match_earlier(Centering(pieces, np.zeros(33)), entries).pieces == names


def test_warm_up_begins_with_steps_centered_and_others_not():
    centering = begin_centering(singleton(density(groups)))
    np.testing.assert_array_equal(centering.degrees, np.repeat([0.0, 1.0, 0.0], [2, 30, 1]))


def test_degree_zero_is_the_density_of_a_model_written_non_centered():
    whole, theirs = density(local_level), density(local_level, centered=False)
    ours = at(whole, np.zeros(sum(piece.size for piece in find_pieces(whole))))
    position = jnp.asarray(0.3 * np.random.default_rng(1).normal(size=whole.size))
    np.testing.assert_allclose(ours(position), theirs(position), rtol=1e-12)


def test_steps_that_depend_on_data_alone_and_the_users_choices_are_kept():
    def model(site, y):
        scale = site("scale", dist.HalfNormal(1.0))

        def step(site, carry, given):
            known, walk = carry
            site("data", dist.Normal(given, 1.0))
            site("carried", dist.Normal(known, jnp.abs(given) + 1.0))
            site("centered", dist.Normal(given, scale), centered=True)
            site("half", dist.Normal(given, scale), centered=0.5)
            site("mapped", dist.Normal(given, scale), bijector="identity")
            walk = site("walk", dist.Normal(walk, 1.0))
            return (known + given, walk), None

        site.scan(step, (0.0, 0.0), y)

    built = infer.model(model, y=Y)
    assert [piece.name for piece in find_pieces(infer.log_density(built))] == ["walk"]
    assert str(built.table()).count("centering learned") == 1


def test_priors_in_steps_may_depend_on_a_state_that_is_summed_out():
    def model(site):
        scale = site("scale", dist.HalfNormal(1.0))

        def step(site, level, _):
            up = site("up", dist.Bernoulli(0.3), sum_out=True)
            return site("level", dist.Normal(level + up, scale)), None

        site.scan(step, 0.0, length=2)

    density = infer.log_density(infer.model(model))
    assert find_pieces(density) == ()
    x, scale = np.array([0.5, 0.2]), 1.3
    position = density.unconstrain({"scale": scale, "level": x})
    rows = [dist.Normal(np.array([0.0, x[0]]) + up, scale).log_prob(x) for up in (0, 1)]
    levels = np.logaddexp(np.log(0.7) + rows[0], np.log(0.3) + rows[1]).sum()
    expected = levels + dist.HalfNormal(1.0).log_prob(scale) + np.log(scale)
    np.testing.assert_allclose(density(position), expected, rtol=1e-12)


def test_steps_share_a_degree_until_there_are_enough_draws():
    """The first step is drawn from its prior N(0, s), so it is best non-centered; no other is."""
    family = make_family(infer.model(autoregression, y=Y, centered="auto"), jacobian=True)
    old = begin_centering(family)
    (piece,) = old.pieces
    rng = np.random.default_rng(0)
    for rows, is_shared in ((74, True), (75, False)):
        positions, scores = rng.normal(size=(2, 2, rows, family.member(0).size))
        noise = np.exp(2 * positions[..., 1])
        positions[..., 1] *= 2
        scores[..., piece.begin] = -positions[..., piece.begin] / noise
        positions[..., piece.begin] *= noise
        degrees = choose_centering(family, old, Draws(positions, scores, {})).degrees
        assert (len(np.unique(degrees)) == 1) == is_shared
