"""Coordinates of a degree of centering: the same posterior, and maps between them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import infer
from infer.density.family import singleton
from infer.density.recentered import Centering, find_pieces, recenter
from infer.density.transport import move

RNG = np.random.default_rng(0)
OLD, NEW = RNG.uniform(size=(2, 5))
POSITION = jnp.asarray(0.3 * RNG.normal(size=8))


def nested(site, x=None, w=None):
    """x depends on two sites, w on x; the other sites depend on none."""
    center = site("center", dist.Normal(0.0, 1.0))
    width = site("width", dist.HalfNormal(1.0))
    options = {"centered": "auto"} if x is None else {"centered": x}
    level = site("x", dist.StudentT(4.0, center, width), shape=(3,), **options)
    options = {"centered": "auto"} if w is None else {"centered": w}
    own = site("w", dist.Normal(level[:2], jnp.exp(level[1])), **options)
    site("alone", dist.Normal(0.0, 1.0))
    site.observe("y", dist.Normal(own.sum() + center, 1.0), 2.0)


@pytest.fixture(scope="module")
def density():
    return infer.log_density(infer.model(nested))


@pytest.fixture(scope="module")
def pieces(density):
    return find_pieces(density)


def at(density, pieces, degrees):
    return recenter(singleton(density), Centering(pieces, degrees)).shared


def test_sites_that_depend_on_others_are_found(density, pieces):
    assert [(piece.name, piece.begin, piece.shape) for piece in pieces] == [
        ("x", 2, (3,)),
        ("w", 5, (2,)),
    ]
    table = str(density.model.table())
    assert table.count("centering learned") == 2


def test_a_degree_gives_the_density_of_a_model_written_with_it(density, pieces):
    written = infer.model(nested, x=infer.static(OLD[:3]), w=infer.static(OLD[3:]))
    theirs = infer.log_density(written)
    ours = at(density, pieces, OLD)
    np.testing.assert_allclose(ours(POSITION), theirs(POSITION), rtol=1e-12)
    for name, value in theirs.constrain(POSITION).items():
        np.testing.assert_allclose(ours.constrain(POSITION)[name], value, rtol=1e-12)


def test_the_degrees_of_the_density_itself_are_one(density, pieces):
    ours = at(density, pieces, np.ones(5))
    np.testing.assert_allclose(ours(POSITION), density(POSITION), rtol=1e-12)


# The same for vectors and scalars is in test_whitened_sites.py.
@pytest.mark.slow
def test_a_moved_point_keeps_its_values_and_has_the_density_and_gradient_there(density, pieces):
    here, there = at(density, pieces, OLD), at(density, pieces, NEW)
    value, gradient = here.evaluate(POSITION)
    moved = jax.jit(move)(here, jnp.asarray(NEW), POSITION, gradient)
    expected = there.evaluate(moved.position)
    np.testing.assert_allclose(value + moved.log_det, expected[0], rtol=1e-12)
    np.testing.assert_allclose(moved.gradient, expected[1], rtol=1e-9, atol=1e-12)
    for name, x in here.constrain(POSITION).items():
        np.testing.assert_allclose(there.constrain(moved.position)[name], x, rtol=1e-10)
    back = move(there, jnp.asarray(OLD), moved.position, moved.gradient)
    np.testing.assert_allclose(back.position, POSITION, rtol=1e-10, atol=1e-12)


def test_a_move_runs_the_model_once_and_computes_no_likelihood():
    runs = []

    def counted(site):
        runs.append(site)
        scale = site("scale", dist.HalfNormal(1.0))
        x = site("x", dist.Normal(0.0, scale), shape=(2,))
        site.observe("y", dist.Poisson(jnp.exp(x)), jnp.array([1, 2]))

    density = infer.log_density(infer.model(counted))
    pieces, q = find_pieces(density), jnp.zeros(3)
    here = at(density, pieces, np.zeros(2))
    runs.clear()
    program = jax.make_jaxpr(move)(here, jnp.ones(2), q, q)
    assert len(runs) == 1
    assert "lgamma" in str(jax.make_jaxpr(here.evaluate)(q))
    assert "lgamma" not in str(program)


def test_a_log_normal_site_is_learned_in_its_logarithm():
    def model(site):
        scale = site("scale", dist.HalfNormal(1.0))
        site("x", dist.LogNormal(0.5, scale), shape=(2,))

    density = infer.log_density(infer.model(model))
    pieces, q = find_pieces(density), jnp.array([-0.3, 0.7, -0.2])
    np.testing.assert_allclose(at(density, pieces, np.ones(2))(q), density(q), rtol=1e-12)
    free = at(density, pieces, np.zeros(2))
    x = np.exp(0.5 + np.exp(-0.3) * q[1:])
    np.testing.assert_allclose(free.constrain(q)["x"], x, rtol=1e-12)
    rest = dist.HalfNormal(1.0).log_prob(np.exp(-0.3)) - 0.3
    truth = rest + dist.Normal(0.0, 1.0).log_prob(q[1:]).sum()
    np.testing.assert_allclose(free(q), truth, rtol=1e-12)


def numpyro_levels(scale):
    wide = numpyro.sample("wide", dist.HalfNormal(scale))
    with numpyro.plate("group", 2):
        numpyro.sample("level", dist.Normal(0.0, wide))
        numpyro.sample("kept", dist.Normal(0.0, wide), infer={"centered": True})
        numpyro.sample("free", dist.Normal(0.0, wide), infer={"centered": False})
    numpyro.sample("known", dist.Normal(0.0, scale))


def test_sites_of_numpyro_are_learned_unless_the_scale_is_data():
    density = infer.log_density(infer.from_numpyro(numpyro_levels, 2.0))
    assert [piece.name for piece in find_pieces(density)] == ["level"]
    maps = {site.name: site.bijector for site in density.latent}
    assert (maps["kept"], maps["free"]) == ("Identity", "NonCentering")


def test_a_choice_of_the_user_is_kept():
    def model(site):
        scale = site("scale", dist.HalfNormal(1.0))
        site("centered", dist.Normal(0.0, scale), centered=True)
        site("half", dist.Normal(0.0, scale), centered=0.5)
        site("mapped", dist.Normal(0.0, scale), bijector="identity")

    assert find_pieces(infer.log_density(infer.model(model))) == ()


def test_frozen_sites_are_no_reason_to_learn(density):
    frozen = density.model.freeze(center=0.0, width=1.0)
    names = [piece.name for piece in find_pieces(infer.log_density(frozen))]
    assert names == ["w"]


def test_sites_beside_discrete_ones_that_are_summed_out_stay_centered():
    """Their priors may depend on a discrete site, for each value of which a map would differ."""

    def mixture(site):
        scale = site("scale", dist.HalfNormal(1.0))
        which = site("which", dist.Bernoulli(0.3), sum_out=True)
        site("x", dist.Normal(3.0 * which, scale))

    model = infer.model(mixture)
    assert find_pieces(infer.log_density(model)) == ()
    assert "learned" not in str(model.table())


@pytest.mark.parametrize(
    ("centered", "message"),
    [
        ("none", "x: centered='none' is no centering.*\"auto\""),
        (1.5, "x: centered=1.5 is no degree of centering"),
        (np.nan, "x: centered=nan is no degree of centering"),
        (np.array([0.5, -1.0]), "x: centered=array.* is no degree of centering"),
    ],
)
def test_an_unknown_centering_is_refused(centered, message):
    with pytest.raises(infer.ModelError, match=message):
        infer.model(
            lambda site: site("x", dist.Normal(0.0, 1.0), shape=(2,), centered=centered)
        ).table()


def test_other_degrees_are_numbers_and_compile_nothing(density, pieces):
    structures = [jax.tree.structure(at(density, pieces, degrees)) for degrees in (OLD, NEW)]
    assert structures[0] == structures[1]
    assert replace(at(density, pieces, OLD), degrees=NEW).degrees is NEW


def test_a_value_whose_degree_stays_does_not_move_if_its_scale_vanishes():
    def model(site):
        center = site("center", dist.Normal(0.0, 1.0))
        site("x", dist.Normal(center, jnp.maximum(center, 0.0)), shape=(2,))

    density = infer.log_density(infer.model(model))
    here, q = at(density, find_pieces(density), np.array([1.0, 0.5])), jnp.array([-2.0, 0.3, 0.4])
    moved = jax.jit(move)(here, jnp.array([1.0, 0.0]), q, jnp.zeros(3)).position
    np.testing.assert_allclose(moved[:2], q[:2], rtol=1e-12)
