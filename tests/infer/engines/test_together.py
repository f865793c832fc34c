"""Windows of many densities end as each one's alone would, bit for bit."""

import warnings

import jax
import numpy as np
import pytest

import infer
from infer.engines.base import Draws
from infer.engines.together import end_each, first_each
from infer.numerics.retune import retune

DENSITIES, CHAINS = 12, 4


def make_window(rng, size, draws, scales):
    """Draw correlated normals, with their scores, and statistics of a window."""
    shape = (DENSITIES, CHAINS, draws, size)
    mix = np.eye(size) + 0.5 * rng.normal(size=(DENSITIES, 1, size, size))
    z = rng.normal(size=shape)
    positions = z @ mix * scales
    gradients = -z @ np.linalg.inv(mix).swapaxes(-1, -2) / scales
    steps = np.exp(rng.normal(-1, 0.5, shape[:3]))
    return Draws(
        positions,
        gradients,
        {
            "lp": -0.5 * (z**2).sum(-1),
            "step_size_bar": steps,
            "diverging": rng.random(shape[:3]) < 0.05,
        },
    )


def first_tuning(engine, gradients):
    each = [engine.first_tuning(None, own[:, 0], own[:, 0]) for own in gradients]
    return jax.tree.map(lambda *a: np.stack(a), *each)


def end_one_by_one(engine, tuning, recent, windows):
    take = lambda tree, i: jax.tree.map(lambda a: np.asarray(a[i]), tree)  # noqa: E731
    return [
        engine.end_window(take(tuning, i), [take(own, i) for own in recent], windows)
        for i in range(DENSITIES)
    ]


def assert_same(found, expected):
    stacked = jax.tree.map(lambda *a: np.stack(a), *(end.tuning for end in expected))
    for one, other in zip(jax.tree.leaves(found.tuning), jax.tree.leaves(stacked), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert found.windows == [end.windows for end in expected]
    stay = np.arange(CHAINS)
    for one, end in zip(found.relocation, expected, strict=True):
        np.testing.assert_array_equal(stay if one is None else one, end.relocation)


@pytest.mark.parametrize("engine", [infer.NUTS(), infer.HMC(trajectory_length=1.0)])
@pytest.mark.parametrize("size", [1, 2, 7, 20])
@pytest.mark.parametrize("windows", [(30, 40, 15), (15,), ()])
def test_windows_of_many_densities_end_as_each_alone(engine, size, windows, monkeypatch):
    rng = np.random.default_rng(size)
    scales = np.exp(rng.normal(0, 2, (DENSITIES, 1, 1, size)))
    first, second = (make_window(rng, size, draws, scales) for draws in (15, 25))
    tuning = first_tuning(engine, first.gradients)
    learned = end_each(engine, tuning, [first], (25, 30, 40, 15)).tuning
    for recent, given in (([first], tuning), ([first, second], learned)):
        found = end_each(engine, given, recent, windows)
        assert_same(found, end_one_by_one(engine, given, recent, windows))


@pytest.mark.parametrize(
    "engine", [infer.NUTS(rank=1), infer.NUTS(metric="hierarchical"), infer.HMC(step_size=0.5)]
)
def test_first_tunings_of_many_densities_are_those_of_each(engine):
    starts = np.random.default_rng(0).normal(size=(2, DENSITIES, CHAINS, 3))
    found = first_each(engine, lambda _: None, *starts)
    each = [engine.first_tuning(None, *own) for own in starts.swapaxes(0, 1)]
    expected = jax.tree.map(lambda *a: np.stack(a), *each)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_an_engine_with_a_first_tuning_of_its_own_is_asked_for_each_density():
    class Own(infer.NUTS):
        def first_tuning(self, target, positions, gradients):
            return np.array([target, positions.sum()])

    found = first_each(Own(), float, np.ones((3, 2, 4)), np.ones((3, 2, 4)))
    np.testing.assert_array_equal(found, [[0, 8], [1, 8], [2, 8]])


def test_most_windows_end_in_a_batch(monkeypatch):
    taken = []
    monkeypatch.setattr(
        "infer.engines.together.retune",
        lambda tuning, *others: taken.append(len(tuning.settled)) or retune(tuning, *others),
    )
    window = make_window(np.random.default_rng(0), 5, 20, np.ones((DENSITIES, 1, 1, 5)))
    end_each(infer.NUTS(), first_tuning(infer.NUTS(), window.gradients), [window], (30, 15))
    assert taken == [DENSITIES]


def test_a_stray_chain_and_infinite_scores_end_alone():
    """Their densities are given to the engine itself, and no other one is changed by them."""
    rng, size = np.random.default_rng(4), 3
    window = make_window(rng, size, 40, np.ones((DENSITIES, 1, 1, size)))
    window.positions[2, 1] += 1000.0
    window.stats["lp"][2, 1] -= 500.0
    window.gradients[5, 0, 3] = np.inf
    engine = infer.NUTS()
    tuning = first_tuning(engine, np.abs(make_window(rng, size, 5, 1.0).gradients))
    with np.errstate(invalid="ignore"):
        found = end_each(engine, tuning, [window], (15,))
        assert_same(found, end_one_by_one(engine, tuning, [window], (15,)))
    moved = [i for i, own in enumerate(found.relocation) if own is not None and own[1] != 1]
    assert moved == [2]


def test_settled_metrics_skip_to_the_last_window_one_by_one():
    """Of two kinds of densities, those that are standard normal have settled."""
    rng, size = np.random.default_rng(5), 4
    scales = np.where(np.arange(DENSITIES) % 2, 1.0, 5.0)[:, None, None, None]
    shape = (DENSITIES, CHAINS, 200, size)
    z = rng.normal(size=shape)
    steps = {"lp": -0.5 * (z**2).sum(-1), "step_size_bar": np.ones(shape[:3])}
    window = Draws(z * scales, -z / scales, steps)
    engine = infer.NUTS()
    tuning = first_tuning(engine, np.ones((DENSITIES, CHAINS, 1, size)))
    found = end_each(engine, tuning, [window], (300, 400, 15))
    assert_same(found, end_one_by_one(engine, tuning, [window], (300, 400, 15)))
    assert [len(own) for own in found.windows] == [3, 1] * (DENSITIES // 2)


def test_numbers_of_single_precision_are_tuned_without_a_warning():
    rng, size = np.random.default_rng(6), 2
    window = make_window(rng, size, 20, np.ones((DENSITIES, 1, 1, size)))
    window = jax.tree.map(lambda a: a.astype(np.float32) if a.dtype == float else a, window)
    engine = infer.NUTS()
    tuning = first_tuning(engine, window.gradients[:, :, :1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = end_each(engine, tuning, [window], (15,))
    assert_same(found, end_one_by_one(engine, tuning, [window], (15,)))
