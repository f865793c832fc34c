"""Before a warm-up ends early, as many chains look around from other starts."""

import pickle

import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.density.family import alone
from infer.density.start import CANDIDATES, _evaluate_lanes, _propose, find_starts
from infer.engines.base import Draws
from infer.run import start as starting
from infer.run.run import Run
from infer.run.scouts import pool

SAMPLERS = pytest.mark.parametrize("engine", [infer.HMC(), infer.NUTS()], ids=["HMC", "NUTS"])
NUTS = infer.NUTS()
# What lies around 20 holds nothing of the posterior, and no chain crosses to there or from there.
NOTHING = 1e-12


def _two_modes(values, data):
    x, share = values["x"], data["share"]
    here, there = -0.5 * (x**2).sum(), -0.5 * ((x - 20.0) ** 2).sum()
    return jnp.logaddexp(jnp.log1p(-share) + here, jnp.log(share) + there)


def two_modes(share=NOTHING):
    return infer.declared(_two_modes, {"x": bj.Real(shape=(3,))}, data={"share": share})


@pytest.fixture
def begun(monkeypatch):
    """Begin runs whose chains and scouts begin where a test says."""

    def begin(chains, scouts, model=None, engine=NUTS, **options):
        def points(family, number, *_):
            lanes, dtype = family.count * number, jnp.result_type(float)
            both = (np.resize(at, lanes)[:, None] * np.ones(3, dtype) for at in (chains, scouts))
            return tuple(_evaluate_lanes(family, positions.astype(dtype)) for positions in both)

        monkeypatch.setattr(starting, "find_starts", points)
        model = two_modes() if model is None else model
        return infer.start(model, engine, **{"key": 3, "progress": False} | options)

    return begin


def sides(run):
    return (run.draws().positions.mean((1, 2)) > 10).tolist()


@SAMPLERS
def test_chains_that_agree_go_where_scouts_find_more(begun, engine):
    """All chains agree around 20, so neither R-hat nor the metric can see that all are wrong."""
    run = begun(20.0, 0.0, engine=engine).advance(400)
    assert run.sent == (0, 1, 2, 3)
    assert all(move.left.min() > 10 > move.reached.max() for move in run.moves)
    assert sides(run) == [False] * 4
    # Of 4800 numbers each counts for a fifth at least: one mean in ten million is further off, and
    # fewer deviations.
    x = run.draws().positions
    np.testing.assert_allclose([x.mean(), x.std()], [0, 1], atol=5.3 / np.sqrt(4800 / 5))
    stayed = begun(20.0, 0.0, engine=engine)
    stayed.scouts = []
    assert sides(stayed.advance(10)) == [True] * 4


def test_the_metric_is_learned_from_where_scouts_found_more(begun):
    """There the standard deviation is a thousandth of what it is around 20."""

    def narrow(values):
        x = values["x"]
        here, there = -0.5 * (1e3 * x) @ (1e3 * x), -0.5 * ((x - 20.0) ** 2).sum() - 60.0
        return jnp.logaddexp(here, there)

    model = infer.declared(narrow, {"x": bj.Real(shape=(3,))})
    run = begun(20.0, 0.0, model=model, engine=infer.NUTS(rank=0))
    looked_around, learned = run._looked_around, []

    def spied(*windows):
        learned.append(looked_around(*windows))
        return learned[-1]

    run._looked_around = spied
    run.warm_up()
    there = learned[0]
    np.testing.assert_allclose(there["tuning"].metric.scale, 1e-3, rtol=0.5)
    windows = there["windows"]
    assert len(windows) > 2
    assert windows == run.engine.plan_warmup(4, 300).windows[-len(windows) :]


def test_warm_up_ends_early_where_all_scouts_come_to_the_chains(begun):
    run = begun(0.0, 3.0).warm_up()
    assert (run.sent, run.left_out) == ((), ())
    assert run.warmed < 200


def test_warm_up_is_not_ended_early_where_a_scout_comes_elsewhere(begun):
    run = begun(0.0, [0.0, 20.0, 0.0, 0.0]).advance(10)
    assert (run.sent, sides(run)) == ((), [False] * 4)
    # With the window in which scouts looked around.
    assert run.warmed == 330


def test_chains_go_only_among_those_of_their_own_data_set(begun):
    """In programs of two chains; the last data set has its mass where the first ones have none."""
    models = [two_modes(share) for share in (NOTHING, NOTHING, 1 - NOTHING)]
    home, away = np.repeat([0.0, 20.0, 20.0], 4), np.repeat([0.0, 0.0, 20.0], 4)
    run = begun(home, away, model=models, group=2).advance(10)
    assert run.sent == (4, 5, 6, 7)
    assert sides(run) == [False] * 8 + [True] * 4


def test_gradients_of_scouts_are_counted(begun):
    """Those of the window in which they look around, besides those of the chains."""
    run = begun(0.0, 0.0)
    counted, looked_around = [], run._looked_around
    gradients = lambda window: int(window.stats["n_steps"].sum())  # noqa: E731

    def spied(window, scouted):
        counted.append((run.warmup_gradients, gradients(window), gradients(scouted)))
        return looked_around(window, scouted)

    run._looked_around = spied
    run.warm_up()
    [(before, of_chains, of_scouts)] = counted
    assert run.warmup_gradients == before + of_chains + of_scouts
    assert of_scouts > 0


def test_a_run_stopped_while_scouts_look_around_goes_on_as_if_it_had_not(begun, monkeypatch):
    whole = begun(20.0, 0.0).advance(20)
    stopped = begun(20.0, 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_looked_around", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stopped.advance(20)
    state = pickle.loads(pickle.dumps(stopped.state))
    assert state.left_out
    resumed = begun(20.0, 0.0, state=state).advance(20)
    for run in (resumed, stopped.advance(20)):
        np.testing.assert_array_equal(run.draws().positions, whole.draws().positions)
        assert (run.sent, run.warmed) == (whole.sent, whole.warmed)


def interrupted(*_):
    raise KeyboardInterrupt


def test_scouts_begin_at_the_second_best_of_the_starts_that_were_tried():
    family, key = alone(infer.log_density(two_modes(0.5))), np.array([0, 7], np.uint32)
    best, second = find_starts(family, 3, key, "uniform")
    tried = _propose(family, key, range(CANDIDATES), 3, "uniform").log_densities
    ordered = np.sort(tried, axis=0)
    np.testing.assert_array_equal(best.log_densities, ordered[-1])
    np.testing.assert_array_equal(second.log_densities, ordered[-2])


def test_where_there_was_no_second_start_scouts_begin_where_the_chains_do():
    """A seventh of the box is finite, so that of eight tries often one is, or none."""

    def rare(values):
        x = values["x"]
        return jnp.where(jnp.abs(x - 1).max() < 0.75, -x.sum(), -jnp.inf)

    family = alone(infer.log_density(infer.declared(rare, {"x": bj.Real(shape=(2,))})))
    best, second = find_starts(family, 20, np.array([0, 7], np.uint32), "uniform")
    assert np.isfinite(second.log_densities).all()
    same = (best.positions == second.positions).all(1)
    assert 0 < same.sum() < 20
    assert (second.log_densities <= best.log_densities).all()


def test_scouts_leave_the_chains_own_numbers_alone(begun):
    """Each has a key of its own: a scout that drew with a chain's would follow it about."""
    run = begun(0.0, 0.0)
    keys = np.concatenate([group.keys for group in (*run.groups, *run.scouts)])
    assert len(np.unique(keys, axis=0)) == 8


@pytest.mark.parametrize(
    ("engine", "options"),
    [
        (infer.NUTS(), {"chains": 16}),
        (infer.NUTS(), {"starts": {"x": np.zeros(3)}}),
        (infer.NUTS(energy="path"), {}),
        (infer.MAP("unconstrained"), {}),
        (infer.NUTS(), {"warmup": 0}),
        (infer.NUTS(), {"warmup": 199}),
    ],
    ids=[
        "many chains",
        "given starts",
        "no log density",
        "no sampler",
        "no warm-up",
        "short last window",
    ],
)
def test_no_scouts_where_they_could_tell_nothing(engine, options):
    assert not infer.start(two_modes(), engine, progress=False, **options).scouts


def test_a_pool_sets_the_scouts_of_each_density_beside_its_chains():
    """Of two densities with two chains each; only the last third of a window counts."""

    def window(first):
        names = np.arange(first, first + 4.0)[:, None] + np.linspace(0.0, 0.5, 6)
        return Draws(names[..., None], np.zeros((4, 6, 0)), {"lp": names})

    both = pool(window(0), window(4), 2)
    assert both.order.tolist() == [0, 1, 4, 5, 2, 3, 6, 7]
    last = both.order[:, None] + np.array([0.4, 0.5])
    np.testing.assert_allclose(both.draws.stats["lp"], last)
    np.testing.assert_allclose(both.draws.positions[..., 0], last)
    # The first density's chains go to its scouts, the second's to each other.
    assert both.numbered(np.array([2, 3, 2, 3, 5, 4, 6, 7])).tolist() == [4, 5, 3, 2]
