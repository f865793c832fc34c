"""A log density is an ordinary JAX function: it can be compiled, vmapped and differentiated."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.density.readers import as_vector

DATA = np.array([0.5, 1.5, 3.0])
POSITION = jnp.array([0.3, -0.2, 0.1])


def gaussian(values, data):
    return -0.5 * jnp.sum((values["x"] - data) ** 2)


def density(data=DATA):
    return infer.log_density(
        infer.declared(gaussian, {"x": bj.Positive(shape=(3,))}, data=np.asarray(data))
    )


def by_hand(position, data=DATA):
    return -0.5 * np.sum((np.exp(position) - data) ** 2) + np.sum(position)


USES = {
    "jit": lambda d, q: jax.jit(d)(q),
    "filter_jit": lambda d, q: eqx.filter_jit(d)(q),
    "as an argument": lambda d, q: jax.jit(lambda d, q: d(q))(d, q),
    "vmap": lambda d, q: jax.vmap(d)(q[None])[0],
    "method": lambda d, q: jax.jit(d.evaluate)(q)[0],
    "checkpoint": lambda d, q: jax.checkpoint(d)(q),
    "cond": lambda d, q: jax.jit(lambda q: jax.lax.cond(q[0] > 0, d, lambda q: 0 * q[0], q))(q),
    "both": lambda d, q: jax.jit(jax.vmap(d))(q[None])[0],
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_density_can_be_transformed_by_jax(use):
    np.testing.assert_allclose(use(density(), POSITION), by_hand(POSITION), rtol=1e-12)


@pytest.mark.parametrize("given", [[1, 0, 2], np.array([1, 0, 2]), jnp.array([1, 0, 2])])
def test_whole_numbers_are_a_point(given):
    assert jnp.issubdtype(as_vector(given, 3).dtype, jnp.floating)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_two_densities_never_share_their_data(use):
    for shift in (0.0, 1.0, 2.0):
        found = use(density(DATA + shift), POSITION)
        np.testing.assert_allclose(found, by_hand(POSITION, DATA + shift), rtol=1e-12)


def test_data_are_arguments_under_filter_jit():
    calls = []

    @eqx.filter_jit
    def value(density, position):
        calls.append(1)
        return density(position)

    values = [value(density(DATA + shift), POSITION) for shift in (0.0, 1.0)]
    assert values[0] != values[1]
    assert len(calls) == 1


def hierarchy(site, y):
    scale = site("scale", dist.LogNormal(0.0, 1.0))
    level = site("level", dist.Uniform(0.0, scale), shape=(2,))
    site.observe("y", dist.Normal(level.sum(), scale), y)


@pytest.fixture(scope="module")
def nested():
    return infer.log_density(infer.model(hierarchy, y=np.array([0.3, 0.9])))


VALUES = {"scale": 2.0, "level": np.array([0.5, 1.5])}


def test_values_of_many_points_are_unconstrained_under_vmap(nested):
    batch = {"scale": jnp.array([2.0, 3.0]), "level": jnp.array([[0.5, 1.5], [1.0, 2.0]])}
    share = batch["level"] / batch["scale"][:, None]
    expected = np.column_stack([np.log(batch["scale"]), np.log(share / (1 - share))])
    made = jax.jit(jax.vmap(nested.unconstrain))(batch)
    np.testing.assert_allclose(made, expected, rtol=1e-12, atol=1e-12)


def test_unconstrain_is_differentiable(nested):
    arrays = {name: jnp.asarray(value) for name, value in VALUES.items()}
    slope = jax.jit(jax.jacfwd(nested.unconstrain))(arrays)
    # d log(scale) / d scale, and d logit(level / scale) / d level.
    np.testing.assert_allclose(slope["scale"][0], 1 / 2.0, rtol=1e-12)
    share = VALUES["level"] / 2.0
    expected = np.diag(1 / (2.0 * share * (1 - share)))
    np.testing.assert_allclose(slope["level"][1:], expected, rtol=1e-12)


def test_concrete_values_are_checked_under_a_trace(nested):
    one = lambda scale, values: nested.unconstrain(values | {"scale": scale})  # noqa: E731
    outside = {"level": np.array([-0.5, 1.5])}
    with pytest.raises(infer.ModelError, match="scale: the value -2.0 lies outside"):
        jax.jit(lambda level: one(-2.0, {"level": level}))(jnp.array([0.5, 1.5]))
    # The upper end is the traced scale, so the set is not known.
    assert not np.isfinite(jax.jit(lambda scale: one(scale, outside))(2.0)).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": 2.0}, "level: no value is given"),
        (VALUES | {"other": 1.0}, "other: a value is given, but it is no latent site"),
        (VALUES | {"level": np.ones(3)}, r"level: the value has shape \(3,\)"),
    ],
)
def test_names_and_shapes_are_checked_under_a_trace(nested, values, message):
    arrays = {name: jnp.asarray(value) for name, value in values.items()}
    with pytest.raises(infer.ModelError, match=message):
        jax.jit(nested.unconstrain)(arrays)
