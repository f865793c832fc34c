"""Multivariate normal sites whose whitening is learned: the same posterior in other coordinates."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import infer
from infer.density.family import singleton
from infer.density.recentered import (
    Centering,
    complete_degrees,
    find_pieces,
    learned_by_fits,
    recenter,
)
from infer.density.transport import move

TIMES = np.linspace(0.0, 1.0, 4)
RNG = np.random.default_rng(0)
# A field of 4, three vectors of 2, and two scalars; each vector has one degree.
OLD, NEW = (
    np.concatenate([np.full(4, field), np.repeat(own, 2), RNG.uniform(size=2)])
    for field, own in ((0.3, [0.0, 1.0, 0.4]), (1.0, [1.0, 1.0, 0.0]))
)
WHITE, WRITTEN = np.zeros(12), np.ones(12)


def fields(site, scale_tril, field="auto"):
    """A Gaussian process, vectors that depend on it, a vector with a known prior, and scalars."""
    mean, scale = site("mean", dist.Normal(0.0, 1.0)), site("scale", dist.HalfNormal(1.0))
    kernel = jnp.exp(-((TIMES[:, None] - TIMES) ** 2)) + 0.05 * jnp.eye(4)
    x = site("x", dist.MultivariateNormal(mean, scale**2 * kernel), centered=field)
    # The upper triangle is not used, here as in the log density of the prior.
    triangle = scale_tril + jnp.where(scale > 0, 9.0, 0.0) * jnp.triu(jnp.ones((2, 2)), 1)
    own = site("own", dist.MultivariateNormal(x[:2], scale_tril=triangle), shape=(3,))
    site("known", dist.MultivariateNormal(np.zeros(2), np.eye(2)))
    level = site("level", dist.Normal(mean, scale), shape=(2,))
    site.observe("y", dist.Normal(x.sum() + own.sum() + level.sum(), 1.0), 2.0)


def make_model(**given):
    return infer.model(fields, scale_tril=np.array([[1.0, 0.0], [0.5, 0.3]]), **given)


@pytest.fixture(scope="module")
def density():
    return infer.log_density(make_model())


@pytest.fixture(scope="module")
def position(density):
    return jnp.asarray(0.5 * RNG.normal(size=density.size))


def at(density, degrees):
    return recenter(singleton(density), Centering(find_pieces(density), degrees)).shared


def test_vectors_whose_prior_depends_on_others_are_found_and_said_in_the_table(density):
    found = [(own.name, own.begin, own.shape, own.is_vector) for own in find_pieces(density)]
    assert found == [("x", 2, (4,), True), ("own", 6, (3, 2), True), ("level", 14, (2,), False)]
    learned = [row.name for row in density.model.table().rows if "learned" in row.note]
    assert learned == ["x", "own", "level"]


def test_a_prior_that_only_frozen_values_and_data_determine_is_not_learned(density):
    frozen = infer.log_density(density.model.freeze(mean=0.0, scale=1.0))
    assert [own.name for own in find_pieces(frozen)] == ["own"]


def test_value_and_gradient_are_those_of_the_density_and_the_jacobian_of_the_map(density, position):
    @jax.jit
    def both(degrees, q):
        made = at(density, degrees)
        values = lambda q: density.unconstrain(made.constrain(q))  # noqa: E731
        whole = lambda q: density(values(q)) + jnp.linalg.slogdet(jax.jacfwd(values)(q))[1]  # noqa: E731
        return jax.value_and_grad(whole)(q), made.evaluate(q)

    for degrees in (WHITE, OLD, NEW, WRITTEN):
        (value, gradient), found = both(degrees, position)
        np.testing.assert_allclose(found[0], value, rtol=1e-12)
        np.testing.assert_allclose(found[1], gradient, rtol=1e-9, atol=1e-11)


def test_the_ends_are_the_vector_itself_and_the_vector_in_units_of_its_factor(density, position):
    values = jax.jit(lambda degrees, q: at(density, degrees).constrain(q))
    written, white = values(WRITTEN, position), values(WHITE, position)
    np.testing.assert_array_equal(written["x"], position[2:6])
    np.testing.assert_array_equal(written["own"].ravel(), position[6:12])
    kernel = np.exp(-((TIMES[:, None] - TIMES) ** 2)) + 0.05 * np.eye(4)
    factor = np.exp(position[1]) * np.linalg.cholesky(kernel)
    np.testing.assert_allclose(white["x"], position[0] + factor @ position[2:6], rtol=1e-12)


def test_a_moved_point_keeps_its_values_and_has_the_density_and_gradient_there(density, position):
    @jax.jit
    def compare(old, new):
        here, there = at(density, old), at(density, new)
        value, gradient = here.evaluate(position)
        moved = move(here, new, position, gradient)
        expected = there.evaluate(moved.position)
        values = here.constrain(position), there.constrain(moved.position)
        return (value + moved.log_det, moved.gradient), expected, values

    for old, new in ((OLD, NEW), (WHITE, WRITTEN), (WRITTEN, WHITE)):
        found, expected, (before, after) = compare(old, new)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-9, atol=1e-11)
        for name, x in before.items():
            np.testing.assert_allclose(after[name], x, rtol=1e-10, atol=1e-12)


def test_a_vector_whose_degree_stays_does_not_move_if_its_factor_is_singular():
    def model(site):
        scale = site("scale", dist.Normal(0.0, 1.0))
        factor = jnp.maximum(scale, 0.0) * jnp.eye(2)
        site("x", dist.MultivariateNormal(0.0, scale_tril=factor))

    density, q = infer.log_density(infer.model(model)), jnp.array([-1.0, 0.3, 0.4])
    moved = jax.jit(move)(at(density, np.ones(2)), jnp.ones(2), q, jnp.array([0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(moved.position, q)
    np.testing.assert_allclose(moved.gradient, [0.0, 1.0, 2.0])


def test_a_number_is_the_map_that_is_learned_with_this_degree(density, position):
    written = infer.log_density(make_model(field=0.3))
    degrees = np.concatenate([np.full(4, 0.3), np.ones(8)])
    np.testing.assert_allclose(
        jax.jit(written)(position), jax.jit(at(density, degrees))(position), rtol=1e-12
    )
    with pytest.raises(infer.ModelError, match=r"x: centered= has shape \(4,\).*one number"):
        make_model(field=infer.static(np.full(4, 0.3))).table()


def test_every_way_to_declare_a_vector_for_numpyro_is_learned():
    def model():
        scale = numpyro.sample("scale", dist.HalfNormal(1.0))
        precision = jnp.eye(2) / scale**2
        with numpyro.plate("group", 3):
            numpyro.sample("plated", dist.MultivariateNormal(0.0, precision_matrix=precision))
        batch = dist.MultivariateNormal(jnp.zeros((3, 2)), scale_tril=scale * jnp.eye(2))
        numpyro.sample("evented", batch.to_event(1))
        numpyro.sample("kept", dist.MultivariateNormal(scale, jnp.eye(2)), infer={"centered": True})

    density = infer.log_density(infer.from_numpyro(model))
    assert [own.name for own in find_pieces(density)] == ["plated", "evented"]
    white, q = at(density, np.zeros(12)), jnp.asarray(RNG.normal(size=density.size))
    value, terms = jax.jit(lambda q: (white(q), density.terms(q)))(q)
    others = terms["scale"] + terms["kept"] + q[0]
    np.testing.assert_allclose(value, others + dist.Normal().log_prob(q[1:13]).sum(), rtol=1e-12)


def test_whitened_coordinates_keep_their_digits_in_single_precision():
    """The factor has a condition number of 3000, and single precision 24 bits."""

    def model(site):
        scale = site("scale", dist.HalfNormal(1.0))
        kernel = jnp.exp(-8 * (TIMES[:, None] - TIMES) ** 2 / 50) + 1e-6 * jnp.eye(4)
        site("x", dist.MultivariateNormal(0.0, scale**2 * kernel))

    density, q = infer.log_density(infer.model(model)), np.array([0.3, 1.0, -2.0, 0.5, 1.5])
    value, gradient = jax.jit(at(density, np.zeros(4)).evaluate)(q)
    with jax.enable_x64(False):
        low = infer.log_density(infer.model(model))
        found = jax.jit(at(low, np.zeros(4, np.float32)).evaluate)(jnp.asarray(q, jnp.float32))
    np.testing.assert_allclose(found[0], value, rtol=1e-5)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-5, atol=1e-5)


def test_degrees_of_scalars_alone_leave_vectors_as_written(density):
    """Fits, and runs of versions that learned no others, have these."""
    centering = Centering(find_pieces(density), OLD)
    alone = learned_by_fits(centering)
    assert [piece.name for piece in alone.pieces] == ["level"]
    whole = complete_degrees(centering.pieces, alone.degrees)
    np.testing.assert_array_equal(whole, np.append(np.ones(10), OLD[-2:]))
    assert complete_degrees(centering.pieces, OLD) is OLD
