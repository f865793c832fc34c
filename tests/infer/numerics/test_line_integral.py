"""Work along leapfrog steps replaces differences of an unknown log density."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infer
from infer.numerics.leapfrog import leapfrog, start_trajectory
from infer.numerics.line_integral import (
    QUADRATURES,
    check_energy,
    leapfrog_along,
    restart_path,
    start_chain,
)
from infer.numerics.metric import guess_metric
from infer.target import Components, Target

from ..engines.test_contract import count, prepare


def valued(q):
    return -0.3 * (q**2).sum() + jnp.sin(q[0])


def unvalued(q):
    return -0.1 * (q**4).sum() + jnp.cos(q.sum())


@jax.jit
def the_force(q):
    return jax.grad(unvalued)(q)


class Scored(Target):
    """A target of two parts: one with a value, and one given only by its force, plus a curl."""

    curl: float = 0.0
    dimension: int = eqx.field(static=True, default=3)

    @property
    def size(self):
        return self.dimension

    @property
    def offers(self):
        return frozenset({"gradient"})

    def evaluate(self, position):
        here = self.components(position)
        return jnp.asarray(jnp.nan), here.gradient

    def unvalued_gradient(self, position):
        return the_force(position) + self.curl * jnp.roll(position, 1) * jnp.array([1.0, -1.0, 0])

    def components(self, position):
        value, gradient = jax.value_and_grad(valued)(position)
        force = self.unvalued_gradient(position)
        return Components(value, gradient + force, force)


START = jnp.array([0.3, -0.5, 1.1])
MOMENTUM = jnp.array([1.0, 0.4, -0.8])
METRIC = guess_metric(np.array([[1.0, 0.5, 2.0]]), 0)


def trajectory(rule, step, count, target=None):
    target = target or Scored()
    begin = start_chain("path", START, target.components(START))
    point = start_trajectory(START, MOMENTUM, begin.gradient, begin.log_density, METRIC, begin.path)
    advance = jax.jit(lambda p: leapfrog_along(target, rule, p, jnp.asarray(step), METRIC))
    points = [point]
    for _ in range(count):
        points.append(advance(points[-1]))
    return points


@pytest.mark.parametrize("rule", QUADRATURES)
def test_points_equal_those_of_the_leapfrog(rule):
    whole = lambda q: jax.value_and_grad(lambda q: valued(q) + unvalued(q))(q)  # noqa: E731
    point = start_trajectory(START, MOMENTUM, whole(START)[1], whole(START)[0], METRIC)
    for got in trajectory(rule, 0.1, 5)[1:]:
        point = leapfrog(whole, point, jnp.asarray(0.1), METRIC)
        for name in ("position", "momentum", "gradient"):
            np.testing.assert_allclose(getattr(got, name), getattr(point, name), rtol=1e-12)


# Halving the step size and doubling the steps divides the error by 2 to the power of the order.
@pytest.mark.parametrize(
    ("rule", "order"), [("gauss_legendre", 4), ("simpson", 4), ("trapezoid", 2)]
)
def test_work_converges_to_the_difference_of_the_unknown_density(rule, order):
    errors = []
    for step, count_ in ((0.1, 8), (0.05, 16)):
        end = trajectory(rule, step, count_)[-1]
        work = unvalued(end.position) - unvalued(START)
        np.testing.assert_allclose(end.log_density, valued(end.position) + end.path.work)
        errors.append(abs(float(end.path.work - work)))
    assert errors[0] < (0.02 if order == 2 else 1e-4)
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.3


@pytest.mark.parametrize("rule", QUADRATURES)
def test_work_is_reversible(rule):
    points = trajectory(rule, 0.2, 3)
    point = points[-1]
    for expected in reversed(points[:-1]):
        point = leapfrog_along(Scored(), rule, point, jnp.asarray(-0.2), METRIC)
        np.testing.assert_allclose(point.path.work, expected.path.work, atol=1e-13)


def test_gauss_legendre_is_exact_for_a_cubic_force_and_error_is_that_of_the_trapezoid_rule():
    """From 0 to 1, the force 4 x^3 does work 1; the trapezoid rule gives 2."""

    class Cubic(Scored):
        def unvalued_gradient(self, position):
            return 4 * position**3

        def components(self, position):
            force = self.unvalued_gradient(position)
            return Components(jnp.zeros(()), jnp.zeros_like(position), force)

    target = Cubic(dimension=1)
    metric = guess_metric(np.array([[1.0]]), 0)
    zero = jnp.zeros(1)
    point = start_chain("path", zero, target.components(zero))._replace(momentum=jnp.ones(1))
    step = 1 / metric.to_model(jnp.ones(1))[0]
    ends = {r: leapfrog_along(target, r, point, step, metric).path for r in QUADRATURES}
    np.testing.assert_allclose([ends[r].work for r in QUADRATURES], [1.0, 1.0, 2.0], rtol=1e-12)
    np.testing.assert_allclose([ends[r].error for r in QUADRATURES], [1.0, 1.0, 0.0], atol=1e-12)


def test_loop_residual_detects_a_force_that_is_not_a_gradient():
    """For a linear force the residual is exact: the curl times the area of each triangle."""
    for rule in ("gauss_legendre", "simpson"):
        smooth = trajectory(rule, 0.2, 10)[-1].path
        assert smooth.loop < 0.5 * smooth.error
        curled = trajectory(rule, 0.2, 10, Scored(curl=1.0))[-1].path
        assert curled.loop > 2 * curled.error

    class Linear(Scored):
        def unvalued_gradient(self, position):
            return jnp.array([-position[1], position[0], 0.0])

    for rule in QUADRATURES:
        points = trajectory(rule, 0.1, 4, Linear())
        check_areas(points)
    began = restart_path(points[-1].path)
    assert began.loop == began.error == 0
    assert began.work == points[-1].path.work


def check_areas(points):
    at = [np.asarray(p.position)[:2] for p in points]
    # The work of (-y, x) around a triangle is its curl, 2, times the area.
    sides = [(b - a, c - b) for a, b, c in zip(at, at[1:], at[2:], strict=False)]
    areas = [0.5 * abs(one[0] * two[1] - one[1] * two[0]) for one, two in sides]
    np.testing.assert_allclose(points[-1].path.loop, 2 * sum(areas), rtol=1e-10)


ENGINES = pytest.mark.parametrize(
    "engine", [infer.HMC(energy="path"), infer.NUTS(energy="path")], ids=["HMC", "NUTS"]
)


@ENGINES
def test_the_force_at_all_nodes_is_one_batched_call(engine):
    tuning, state, _ = prepare(engine)
    one = jax.tree.map(lambda a: a[0], state)
    calls = {}
    for rule in QUADRATURES:
        tick = dataclasses.replace(engine, quadrature=rule).tick
        jaxpr = jax.make_jaxpr(tick)(jax.random.key(0), Scored(), tuning, one).jaxpr
        calls[rule] = count(jaxpr, "the_force")
    assert calls == {"gauss_legendre": 2, "simpson": 2, "trapezoid": 1}


@ENGINES
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_tick_keeps_shapes_and_precision_of_the_state(engine, dtype):
    tuning, state, _ = prepare(engine)
    cast = lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a  # noqa: E731
    tuning, one = jax.tree.map(cast, (tuning, jax.tree.map(lambda a: a[0], state)))

    class Plain(Scored):
        def unvalued_gradient(self, position):
            return -position

        def components(self, position):
            return Components(-(position**2).sum(), -3 * position, -position)

    with jax.numpy_dtype_promotion("strict"):
        ticked, tick = jax.eval_shape(engine.tick, jax.random.key(0), Plain(), tuning, one)
    describe = lambda tree: jax.tree.map(lambda a: (a.shape, jnp.dtype(a.dtype)), tree)  # noqa: E731
    assert describe(ticked) == describe(one)
    assert {"integration_error", "loop_residual", "relative_lp", "energy"} <= tick.stats.keys()


def test_unknown_energy_or_quadrature_is_refused():
    with pytest.raises(infer.EngineError, match="NUTS: energy is 'none'"):
        check_energy("NUTS", "none", "simpson")
    with pytest.raises(infer.EngineError, match="gauss_legendre"):
        check_energy("NUTS", "path", "euler")


def test_state_has_no_path_if_energy_is_by_value():
    """No leaf is added to the state, so the program is unchanged."""
    for engine, path in ((infer.HMC, 14), (infer.NUTS, 21)):
        _, by_value, _ = prepare(engine())
        _, by_path, _ = prepare(engine(energy="path"))
        assert len(jax.tree.leaves(by_path)) == len(jax.tree.leaves(by_value)) + path
