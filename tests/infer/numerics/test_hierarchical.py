"""Metrics that depend on the position: their leapfrog, and learning which coordinates depend."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from threadpoolctl import threadpool_info

from infer.numerics import link_gains, location_scale, log_spread
from infer.numerics.dependence import bend
from infer.numerics.hierarchical import Hierarchical
from infer.numerics.leapfrog import PhasePoint, energy, leapfrog, start_trajectory
from infer.numerics.learn_dependence import learn_dependence
from infer.numerics.metric import Diagonal
from infer.numerics.parent_search import LEVELS

SIZE = 4
METRIC = Hierarchical(
    Diagonal(np.array([1.5, 0.7, 1.0, 0.8])),
    np.array([[0, 0], [0, 3], [0, 1], [0, 0]], np.int32),
    np.array([[0.0, 0.0], [0.5, -0.3], [0.8, -0.2], [0.0, 0.0]]),
    np.array([[0.0, 0.0], [0.0, 1.0], [0.4, 0.6], [0.0, 0.0]]),
    np.array([0.0, 0.3, -0.2, 0.0]),
    np.array([0.0, 0.1, -0.4, 0.0]),
    np.array([np.inf, 0.3, np.inf, np.inf]),
)
START = jnp.array([0.4, -0.9, 1.3, 0.5])
MOMENTUM = jnp.array([-0.6, 1.1, 0.3, -0.2])
STEP = jnp.asarray(0.3)


def log_density(x):
    return -0.5 * (x**2).sum() - 0.1 * jnp.cosh(x[0] * x[1]) - 0.2 * x[2] ** 4


evaluate = jax.value_and_grad(log_density)


def start(position, momentum, metric=METRIC):
    value, gradient = evaluate(position)
    return start_trajectory(position, momentum, gradient, value, metric)


def to_coordinates(x):
    """Solve x = a + L v + exp(b + bend(S v)) y for y, term by term."""
    y = []
    for i in range(SIZE):
        pairs = list(zip(METRIC.parents[i], METRIC.slopes[i], METRIC.locations[i], strict=True))
        location = METRIC.offset[i] + sum(c * x[p] for p, _, c in pairs)
        straight = sum(s * x[p] for p, s, _ in pairs)
        log_scale = METRIC.log_scale[i] - jnp.logaddexp(-2 * straight, -2 * METRIC.bends[i]) / 2
        y.append((x[i] - location) * jnp.exp(-log_scale))
    return jnp.stack(y)


@jax.jit
def steps(position, momentum, step_size):
    point = start(position, momentum)
    for _ in range(3):
        point = leapfrog(evaluate, point, step_size, METRIC)
    return point


def test_its_steps_are_leapfrog_steps_in_other_coordinates():
    """The density of y has the factor |det dx/dy|, computed here by automatic differentiation."""
    begin = to_coordinates(START)
    move = lambda y, d: METRIC.move(START, y - begin + d)  # noqa: E731

    def density_of_y(y):
        x = move(y, jnp.zeros(SIZE))
        return log_density(x) + jnp.linalg.slogdet(jax.jacobian(move)(y, jnp.zeros(SIZE)))[1]

    flat = METRIC.base
    value, gradient = jax.value_and_grad(density_of_y)(begin)
    point = start_trajectory(begin, MOMENTUM, gradient, value, flat)
    point = leapfrog(jax.value_and_grad(density_of_y), point, STEP, flat)
    ours = leapfrog(evaluate, start(START, MOMENTUM), STEP, METRIC)
    np.testing.assert_allclose(to_coordinates(ours.position), point.position, rtol=1e-12)
    np.testing.assert_allclose(ours.momentum, point.momentum, rtol=1e-12)
    np.testing.assert_allclose(energy(ours), energy(point), rtol=1e-12)
    np.testing.assert_allclose(ours.gradient, evaluate(ours.position)[1], rtol=1e-12)


def test_its_steps_backward_undo_those_forward():
    there = steps(START, MOMENTUM, STEP)
    back = steps(there.position, there.momentum, -STEP)
    np.testing.assert_allclose(back.position, START, rtol=1e-12)
    np.testing.assert_allclose(back.momentum, MOMENTUM, rtol=1e-12)


def test_its_steps_preserve_volume_in_y_and_momentum():
    """Volume in x changes by the log-determinant, which the energy includes."""

    def flow(both):
        end = steps(both[:SIZE], both[SIZE:], STEP)
        return jnp.concatenate([end.position, end.momentum])

    change = jnp.linalg.slogdet(jax.jacobian(flow)(jnp.concatenate([START, MOMENTUM])))[1]
    there = steps(START, MOMENTUM, STEP)
    expected = METRIC.log_volume(there.position) - METRIC.log_volume(START)
    np.testing.assert_allclose(change, expected, atol=1e-12)


def test_energy_errors_are_of_second_order():
    def error(step_size, count):
        point = first = start(START, MOMENTUM)
        for _ in range(count):
            point = leapfrog(evaluate, point, jnp.asarray(step_size), METRIC)
        return abs(energy(point) - energy(first))

    assert 3.5 < error(0.02, 10) / error(0.01, 20) < 4.5


def test_whitened_rows_are_those_of_the_traced_map():
    rng = np.random.default_rng(0)
    draws, scores = rng.normal(size=(2, 5, SIZE))
    rows, slopes = METRIC.whiten(draws, scores)
    for x, g, row, slope in zip(draws, scores, rows, slopes, strict=True):
        np.testing.assert_allclose(row * METRIC.base.scale, to_coordinates(x), rtol=1e-12)
        np.testing.assert_allclose(
            METRIC.to_whitened(jnp.asarray(g), jnp.asarray(x)), slope, rtol=1e-12
        )
    np.testing.assert_allclose(
        METRIC.log_volume(draws)[0], METRIC.log_volume(jnp.asarray(draws[0]))
    )


def funnel(rows, rng):
    v = 3 * rng.normal(size=rows)
    z = np.exp(v / 2)[:, None] * rng.normal(size=(rows, 5))
    ratio = z * np.exp(-v)[:, None]
    scores = np.column_stack([-v / 9 - 2.5 + 0.5 * (z * ratio).sum(1), -ratio])
    return np.column_stack([v, z]), scores


def groups(rows, rng):
    """Effects 2 to 6 around coordinate 0, with the exponential of coordinate 1 as their scale."""
    mean, log_scale = 4 * rng.normal(size=rows), 1 + rng.normal(size=rows)
    y = rng.normal(size=(rows, 5))
    scale = np.exp(log_scale)[:, None]
    of_mean, of_scale = -mean / 16 + (y / scale).sum(1), 1 - log_scale + (y**2 - 1).sum(1)
    draws = np.column_stack([mean, log_scale, mean[:, None] + scale * y])
    return draws, np.column_stack([of_mean, of_scale, -y / scale])


def test_a_funnel_is_found_from_forty_draws():
    found = learn_dependence(*funnel(40, np.random.default_rng(1)))
    np.testing.assert_array_equal(found.dependent, [False] + [True] * 5)
    np.testing.assert_allclose(found.slopes[1:, 0], 0.5, atol=0.02)
    assert not found.slopes[:, 1:].any()
    assert not found.locations.any()


def test_effects_around_a_common_mean_are_found():
    found = learn_dependence(*groups(60, np.random.default_rng(2)))
    np.testing.assert_array_equal(found.dependent, [False] * 2 + [True] * 5)
    np.testing.assert_allclose(found.slopes[2:, 1], 1, atol=0.05)
    np.testing.assert_allclose(found.locations[2:, 0], 1, rtol=1e-6)
    np.testing.assert_allclose(found.offset, 0, atol=1e-6)


def levels(rows, rng):
    """Twelve effects, three around each of four levels, which are around coordinate 0.

    The scales are the exponentials of coordinates 1 and 2.
    """
    mean, wide, narrow = rng.normal(size=(3, rows)) * [[2.0], [1.0], [1.0]]
    above, below = rng.normal(size=(rows, 4)), rng.normal(size=(rows, 12))
    level = mean[:, None] + np.exp(wide)[:, None] * above
    effect = np.repeat(level, 3, 1) + np.exp(narrow)[:, None] * below
    pulls, pushes = below * np.exp(-narrow)[:, None], above * np.exp(-wide)[:, None]
    scores = [
        (-mean / 4 + pushes.sum(1))[:, None],
        (-wide + (above**2 - 1).sum(1))[:, None],
        (-narrow + (below**2 - 1).sum(1))[:, None],
        pulls.reshape(rows, 4, 3).sum(2) - pushes,
        -pulls,
    ]
    draws = np.column_stack([mean, wide, narrow, level, effect])
    return draws, np.concatenate(scores, 1)


def test_three_levels_are_found():
    draws, scores = levels(400, np.random.default_rng(3))
    found = learn_dependence(draws, scores)
    np.testing.assert_allclose(found.slopes[3:7, 1], 1, atol=0.15)
    np.testing.assert_allclose(found.locations[3:7, 0], 1, atol=0.1)
    np.testing.assert_allclose(found.slopes[7:, 2], 1, atol=0.1)
    own = found.locations[np.arange(7, 19), np.repeat(range(3, 7), 3)]
    np.testing.assert_allclose(own, 1, rtol=1e-3)
    deepest = np.linalg.matrix_power(found.links.astype(int), LEVELS + 1)
    assert not deepest.any()


def test_a_common_offset_is_found():
    draws, scores = funnel(100, np.random.default_rng(3))
    found = learn_dependence(draws + np.array([0.0, 7.0, -2.0, 0.0, 5.0, 1.0]), scores)
    np.testing.assert_allclose(found.offset, [0, 7, -2, 0, 5, 1], atol=1e-3)


def test_factors_of_a_product_that_the_data_fix_are_all_found():
    """Four products z exp(a + b_i) are near 3, as of a horseshoe; a is shared, and one parent alone
    explains little."""
    rng, products = np.random.default_rng(0), 4
    a, b = rng.normal(size=(760, 1)), rng.normal(size=(760, products))
    fixed = 3 + 0.1 * rng.normal(size=b.shape)
    z = fixed * np.exp(-a - b)
    # log p is the sum of -(z e^(a + b) - 3)^2 / (2 0.1^2) + a + b and normal priors for a and b.
    pull = -(fixed - 3) / 0.1**2 * fixed + 1
    scores = np.hstack([pull.sum(1, keepdims=True) - a, pull - b, (pull - 1) / z])
    found = learn_dependence(np.hstack([a, b, z]), scores)
    wanted = np.zeros((1 + 2 * products, 1 + products))
    wanted[1 + products :] = np.hstack([-np.ones((products, 1)), -np.eye(products)])
    np.testing.assert_allclose(found.slopes[:, : 1 + products], wanted, atol=0.02)
    np.testing.assert_array_equal(found.locations, 0)


def test_a_log_scale_that_bends_is_found():
    """Between a normal prior and data of the product with exp(v) the precisions add up."""
    rng = np.random.default_rng(9)
    v, y = 1.5 * rng.normal(size=(500, 1)), rng.normal(size=(500, 4))
    data = 3 * np.exp(v)
    x = y / np.sqrt(1 + data**2)
    of_v = -v / 1.5**2 + (data**2 / (1 + data**2) * (1 - y**2)).sum(1, keepdims=True)
    scores = np.hstack([of_v, -x * (1 + data**2)])
    found = learn_dependence(np.hstack([v, x]), scores)
    np.testing.assert_allclose(found.slopes[1:, 0], -1, atol=0.1)
    # The precision is 9 (exp(2 v) + exp(-2 t)).
    np.testing.assert_allclose(found.bends[1:], np.log(3), atol=0.2)
    assert found.bends[0] == np.inf
    assert np.isinf(learn_dependence(*groups(60, rng)).bends).all()


@pytest.mark.parametrize("rows", [40, 400])
def test_nothing_is_found_in_a_correlated_normal(rows):
    """The threshold is for 20 coordinates or more; fixed seed."""
    rng = np.random.default_rng(4)
    factor = rng.normal(size=(20, 20))
    draws = rng.normal(size=(rows, 20)) @ factor.T
    scores = -draws @ np.linalg.inv(factor @ factor.T)
    assert not learn_dependence(draws, scores).dependent.any()


def test_rows_that_are_not_finite_are_left_out():
    draws, scores = funnel(60, np.random.default_rng(5))
    whole = learn_dependence(draws[1:], scores[1:])
    scores[0, 2] = np.nan
    for ours, theirs in zip(learn_dependence(draws, scores), whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not learn_dependence(draws[:3], scores[:3]).dependent.any()


def test_dependence_is_learned_by_one_thread(monkeypatch):
    threads, plain = set(), location_scale.fit_slopes

    def watched(*arguments):
        found = threadpool_info()
        threads.update(own["num_threads"] for own in found if own["user_api"] == "blas")
        return plain(*arguments)

    monkeypatch.setattr(location_scale, "fit_slopes", watched)
    learn_dependence(*funnel(60, np.random.default_rng(5)))
    assert threads == {1}


def test_a_newton_step_that_is_kept_is_evaluated_once(monkeypatch):
    seen, plain = [], log_spread.log_spread
    monkeypatch.setattr(log_spread, "log_spread", lambda *own: seen.append(own[-1]) or plain(*own))
    rng = np.random.default_rng(5)
    parent, y = rng.normal(size=(2, 200, 1))
    squares, others = (np.log((y * np.exp(sign * parent)) ** 2).T for sign in (1, -1))
    logs = log_spread.Logs(squares, others, parent.T[None])
    log_spread.fit_slopes(logs, np.zeros((1, 1)))
    assert len(seen) > 3
    assert not any(map(np.array_equal, seen, seen[1:]))


def children_of(draws, scores):
    """Return all coordinates after the first two as children of those, in location and scale."""
    count = draws.shape[1] - 2
    above = np.stack([draws.T[:2]] * count)
    both = np.ones((count, 2), bool)
    centered = above - above.mean(-1, keepdims=True)
    return location_scale.Children(
        draws.T[2:], scores.T[2:], above, centered, np.ones((count, 2)), both, both
    )


def test_slopes_of_two_parents_are_those_of_a_slow_search():
    """Each of three children follows both parents, and begins at other slopes for each."""
    rng = np.random.default_rng(8)
    parents, y = rng.normal(size=(3, 2, 200)), rng.normal(size=(3, 200))
    truth = np.array([[1.0, -0.5], [0.3, 2.0], [-1.0, -1.0]])
    exponent = (truth[..., None] * parents).sum(1)
    logs = log_spread.Logs(2 * exponent + np.log(y**2), np.log(y**2) - 2 * exponent, parents)
    found = log_spread.fit_slopes(logs, np.array([[0.0, 0.9], [0.1, 0.0], [-1.0, 1.0]]))
    for i in range(3):
        own = logs.of(np.arange(3) == i)
        slow = minimize(lambda s, own=own: log_spread.log_spread(own, s[None]).value[0], truth[i])
        np.testing.assert_allclose(found[i], slow.x, atol=1e-5)


def test_children_are_fitted_together_as_alone():
    """Their scales follow one of two parents."""
    draws, scores = groups(60, np.random.default_rng(2))
    own = children_of(draws, scores)
    own = own._replace(in_scale=own.in_scale & [False, True])
    none = np.zeros((5, 2))
    start = location_scale.Fit(none, none, none[:, 0], np.tile(own.draws.mean(1)[:, None], 60))
    together = location_scale.fit_children(own, start)
    np.testing.assert_allclose(together.slopes, [[0, 1]] * 5, atol=0.05)
    for i in range(5):
        alone = location_scale.fit_children(
            own.of(np.array([i])), location_scale.Fit(*(a[[i]] for a in start))
        )
        for ours, theirs in zip(alone, together, strict=True):
            np.testing.assert_allclose(ours[0], theirs[i], rtol=1e-9, atol=1e-9)


def test_gains_of_children_that_stay_are_not_computed_again(monkeypatch):
    rng, fitted, plain = np.random.default_rng(7), [], link_gains.fit_slopes
    monkeypatch.setattr(link_gains, "fit_slopes", lambda *a: fitted.append(len(a[1])) or plain(*a))
    draws, scores = (np.ascontiguousarray(a.T) for a in funnel(100, rng))
    own = link_gains.Whitened(draws, draws, scores, np.ones_like(draws))
    known, allowed = link_gains.LinkGains(draws), ~np.eye(6, dtype=bool)
    first = known.find(own, allowed)
    assert (first[1:, 0] > 1).all()
    every = sum(fitted)
    # The second child gets the right scale, so its parent's score loses what that explains.
    y = draws[2] * np.exp(-draws[0] / 2)
    pulled = scores[0] + 0.5 * (draws[2] * scores[2] + 1)
    changed = [a.copy() for a in own]
    for array, values in zip(changed, (y, y, scores[2] * draws[2] / y, draws[2] / y), strict=True):
        array[2] = values
    changed[2][0] = pulled
    changed = link_gains.Whitened(*changed)
    fitted.clear()
    again = known.find(changed, allowed)
    assert sum(fitted) < every / 2
    np.testing.assert_array_equal(again, link_gains.LinkGains(draws).find(changed, allowed))
    assert (again[1, 0], again[2, 0]) != (first[1, 0], first[2, 0])


def test_learning_whitens_what_it_learned_from():
    rng = np.random.default_rng(6)
    draws, scores = funnel(500, rng)
    none = np.zeros((6, 4))
    flat, bends = np.zeros(6), np.full(6, np.inf)
    parents = none.astype(np.int32)
    metric = Hierarchical(Diagonal(np.ones(6)), parents, none, none, flat, flat, bends)
    rows, slopes = metric.learn(draws, scores).whiten(draws, scores)
    np.testing.assert_allclose(rows.var(0) * slopes.var(0), 1, atol=0.2)
    np.testing.assert_allclose(rows.std(0), 1, atol=0.15)


def test_a_constant_metric_has_no_log_volume():
    point = start(START, MOMENTUM, METRIC.base)
    assert point.log_volume is None
    assert replace(METRIC.base).log_volume(START) is None
    assert isinstance(point, PhasePoint)


@pytest.mark.parametrize("numpy", [np, jnp])
def test_a_straight_log_scale_that_overflows_is_infinite(numpy):
    bent, follow = bend(numpy.array([np.inf, 1.0, -np.inf]), numpy.full(3, np.inf), numpy)
    np.testing.assert_array_equal(bent, [np.inf, 1.0, -np.inf])
    np.testing.assert_array_equal(follow, 1.0)
