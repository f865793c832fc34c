"""Every family of distributions keeps its contract; families are found by listing the package."""

import functools
import importlib
import inspect
import pkgutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infer.numerics.families
from infer import ADVI, EngineError, Flow, FullRank, LowRank
from infer.numerics.families.base import Family
from infer.numerics.families.full_rank import Change, DenseNormal, Step
from infer.numerics.families.memory import refuse_large
from infer.numerics.families.named import FAMILIES
from infer.store.engines import describe_engine, make_engine

RNG = np.random.default_rng(0)
SIZE, DRAWS = 4, 5


def every_family() -> list[Family]:
    """Make one of each family, with example settings."""
    package = infer.numerics.families
    modules = [m.name for m in pkgutil.iter_modules(package.__path__)]
    kinds = {
        kind
        for name in modules
        for _, kind in inspect.getmembers(importlib.import_module(f"{package.__name__}.{name}"))
        if inspect.isclass(kind) and issubclass(kind, Family) and not inspect.isabstract(kind)
    }
    made = [kind(**kind.example) for kind in sorted(kinds, key=lambda k: k.__name__)]
    return [one.bind({"a": slice(0, 1), "b": slice(1, SIZE)}, False) for one in made]


# A flow takes longer to compile than all others together.
SLOW = {"flow": pytest.mark.slow}
each_family = pytest.mark.parametrize(
    "family", [pytest.param(q, id=q.name, marks=SLOW.get(q.name, ())) for q in every_family()]
)


@functools.cache
def moved(family: Family):
    """Make a distribution that differs from the first one in every parameter."""
    location, scale = RNG.normal(size=SIZE), np.array([0.3, 1.0, 2.0, 0.1])

    @jax.jit
    def move(noise, steps):
        q = family.begin(jnp.asarray(location), jnp.asarray(scale))
        for gradients in steps:
            q = q.move(q.limit(q.ascent(noise, gradients, "path"), 0.2))
        return q

    return move(RNG.normal(size=(DRAWS, SIZE)), [*RNG.normal(size=(3, DRAWS, SIZE))])


@each_family
def test_the_inverse_undoes_the_map(family):
    q, noise = moved(family), RNG.normal(size=SIZE)
    found = jax.jit(lambda q, noise: q.inverse(q.forward(noise)))(q, noise)
    np.testing.assert_allclose(found, noise, rtol=1e-9, atol=1e-9)


@each_family
def test_the_mean_log_density_of_draws_is_that_of_each(family):
    q, noise = moved(family), RNG.normal(size=(DRAWS, SIZE))
    each = jax.jit(jax.vmap(lambda own: q.log_density_of_noise(own)))(noise)
    found = jax.jit(lambda noise: q.mean_log_density(noise))(noise)
    np.testing.assert_allclose(found, each.mean(), rtol=1e-12)


@each_family
def test_the_density_is_that_of_the_draws(family):
    """The log-determinant equals that of the Jacobian, so the density is normalized."""
    q, noise = moved(family), RNG.normal(size=SIZE)

    @jax.jit
    def evaluate(q, noise):
        position = q.forward(noise)
        densities = q.log_density_of_noise(noise), q.log_density(position)
        return position, jax.jacfwd(q.forward)(noise), q.log_det(noise), densities

    position, jacobian, found, densities = evaluate(q, noise)
    log_det = np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(found, log_det, rtol=1e-9)
    exact = -0.5 * float(noise @ noise) - 0.5 * SIZE * np.log(2 * np.pi) - log_det
    np.testing.assert_allclose(densities, exact, rtol=1e-8)
    np.testing.assert_allclose(q.log_density_on_host(np.asarray(position)[None]), exact, rtol=1e-8)
    on_host = q.forward_on_host(noise[None])
    if on_host is not None:
        np.testing.assert_allclose(on_host[0], position, rtol=1e-12, atol=1e-12)


@each_family
def test_the_path_gradient_vanishes_if_the_distribution_is_the_target(family):
    @jax.jit
    def climb(q, noise):
        gradients = jax.vmap(jax.grad(q.log_density))(jax.vmap(q.forward)(noise))
        return q.densify(q.ascent(noise, gradients, "path"))

    for leaf in jax.tree.leaves(climb(moved(family), RNG.normal(size=(DRAWS, SIZE)))):
        np.testing.assert_allclose(leaf, 0, atol=1e-8)


@each_family
def test_both_estimators_have_the_same_mean_for_a_linear_gradient(family):
    """The noise is plus and minus each unit vector, whose first and second moments are exact."""
    q = moved(family)
    if family.name in ("flow", "blocks"):
        pytest.skip("the map of a flow is not linear, and blocks are tested by their parts")
    noise = np.concatenate([np.eye(SIZE), -np.eye(SIZE)]) * 2.0

    @jax.jit
    def climb(q, noise):
        gradients = -0.7 * jax.vmap(q.forward)(noise)
        return [q.densify(q.ascent(noise, gradients, kind)) for kind in ("path", "total")]

    for one, other in zip(*map(jax.tree.leaves, climb(q, noise)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)


@each_family
def test_packing_keeps_the_distribution(family):
    q, noise = moved(family), RNG.normal(size=SIZE)
    packed, forward = jax.jit(lambda q, noise: (q.pack(), q.forward(noise)))(q, noise)
    assert packed.shape == (family.count_numbers(SIZE),)
    unpack = jax.jit(lambda packed, noise: family.unpack(packed, SIZE).forward(noise))
    again = unpack(packed, noise)
    np.testing.assert_allclose(again, forward, rtol=1e-9)
    average = family.average(np.stack([packed, packed]), SIZE)
    np.testing.assert_allclose(average.sd, q.sd, rtol=1e-6)
    means, log_sds = family.moments(np.stack([packed]), SIZE)
    np.testing.assert_allclose(means[0], q.location, rtol=1e-6)
    np.testing.assert_allclose(np.exp(log_sds[0]), q.sd, rtol=1e-6)


@each_family
def test_a_step_does_not_grow_with_the_dimension(family):
    """No standard deviation changes by more than a factor of e, however steep the density."""
    q, optimizer = moved(family), family.optimizer()

    @jax.jit
    def change_sd(q, noise, gradients):
        uphill = q.ascent(noise, gradients, "path")
        step = q.limit(optimizer.update(uphill, optimizer.init(uphill))[0], 0.1)
        return jnp.log(q.move(step).sd / q.sd)

    assert np.abs(change_sd(q, *RNG.normal(size=(2, DRAWS, SIZE)) * [[[1.0]], [[1e6]]])).max() < 1


@each_family
def test_a_family_that_does_not_fit_in_memory_is_refused(family):
    with pytest.raises(EngineError, match="GB"):
        refuse_large(family, 10**12, np.float64)


@each_family
def test_a_stored_engine_has_its_family(family):
    engine = ADVI(family)
    assert make_engine(describe_engine(engine)) == engine


@pytest.mark.parametrize("name", FAMILIES)
def test_each_name_makes_an_engine_and_others_are_refused(name):
    assert ADVI(name).family == name
    with pytest.raises(EngineError, match=f'Did you mean "{name}"'):
        ADVI(name + "s")


def test_the_moments_of_a_flow_that_is_affine_are_exact():
    flow = Flow().begin(jnp.array([1.0, -2.0, 3.0]), jnp.array([0.5, 1.0, 2.0]))
    np.testing.assert_allclose(flow.location, [1.0, -2.0, 3.0], rtol=1e-9)
    np.testing.assert_allclose(flow.sd, [0.5, 1.0, 2.0], rtol=1e-9)


@pytest.mark.parametrize("settings", [{"rank": 1.5}, {"steps": 2.5}, {"width": True}])
def test_numbers_of_a_family_must_be_whole(settings):
    make = LowRank if "rank" in settings else Flow
    with pytest.raises(EngineError, match="whole number"):
        make(**settings)


def steepest_step(dtype):
    """Return the step of a full-rank fit whose gradients are 10^30, from a factor of ones."""
    q = FullRank().begin(jnp.zeros(SIZE, dtype), jnp.ones((), dtype))
    noise = jnp.asarray(RNG.normal(size=(DRAWS, SIZE)), dtype)
    return q, q.limit(q.ascent(noise, jnp.asarray(1e30, dtype) * noise), jnp.asarray(0.1, dtype))


def test_steep_gradients_of_full_rank_do_not_overflow_in_single_precision():
    q, step = steepest_step(jnp.float32)
    size = np.linalg.norm(np.asarray(step.left) @ np.asarray(step.right))
    np.testing.assert_allclose(size, 0.5, rtol=1e-5)
    assert np.isfinite(np.asarray(q.move(step).factor)).all()


@pytest.mark.parametrize("size", [3, 60])
def test_a_refreshed_full_rank_knows_its_determinant(size):
    factor = RNG.normal(size=(size, size)) * 10.0 ** RNG.uniform(-3, 3, size)
    drifted = DenseNormal(jnp.zeros(size), jnp.asarray(factor), jnp.asarray(17.0))
    exact = np.linalg.slogdet(factor)[1]
    np.testing.assert_allclose(drifted.refresh(jnp.asarray(True)).log_scale, exact, rtol=1e-10)


def test_matching_finds_the_covariance_of_a_normal():
    """Steps in closed form, no mean moves."""
    precision = np.linalg.inv(covariance := np.array([[2.0, 0.9], [0.9, 0.5]]))

    @jax.jit
    def fit(noise):
        def match(q, noise):
            scores = -jax.vmap(q.forward)(noise) @ precision
            uphill = q.ascent(noise, scores)
            return q.match_or_move(jnp.array(True), q.limit(uphill, 0.0), uphill), None

        q = jax.lax.scan(match, FullRank().begin(jnp.zeros(2), jnp.ones(())), noise)[0]
        return q, q.refresh(jnp.asarray(True))

    q, refreshed = fit(jnp.asarray(np.random.default_rng(1).normal(size=(60, DRAWS, 2))))
    np.testing.assert_allclose(q.factor @ q.factor.T, covariance, rtol=1e-6)
    np.testing.assert_allclose(q.log_scale, refreshed.log_scale, rtol=1e-8)


def test_rounding_does_not_move_a_mean_that_is_at_its_optimum():
    rounding = Step(
        jnp.full(3, 1e-7), jnp.zeros((3, 2)), jnp.zeros((2, 3)), jnp.zeros(())
    )  # fmt: skip
    optimizer: Any = FullRank().optimizer()
    direction, _ = optimizer.update(rounding, optimizer.init(rounding))
    assert np.abs(direction.mean).max() < 1e-5


def test_a_change_of_twice_the_rank_is_the_same_change():
    rng = np.random.default_rng(0)
    left, right = jnp.asarray(rng.normal(size=(4, 2))), jnp.asarray(rng.normal(size=(2, 4)))
    change = Change(jnp.zeros(4), left, right, jnp.zeros(()), jnp.zeros(()))
    wide = change.widen()
    assert wide.left.shape == (4, 4)
    np.testing.assert_allclose(wide.left @ wide.right, left @ right, rtol=1e-12)
