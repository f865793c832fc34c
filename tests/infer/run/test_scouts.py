"""Before warm-up ends early, as many chains again look around from other starts."""

import pickle
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.density.family import singleton
from infer.density.points import CANDIDATES, evaluate_lanes
from infer.density.proposals import propose
from infer.density.start import find_starts
from infer.run import start as starting, warmup as steps

SAMPLERS = pytest.mark.parametrize("engine", [infer.HMC(), infer.NUTS()], ids=["HMC", "NUTS"])
NUTS = infer.NUTS()
# The mode around 20 has this share of the mass, and no chain crosses from one mode to the other.
NEGLIGIBLE = 1e-12


def _two_modes(values, data):
    x, share = values["x"], data["share"]
    here, there = -0.5 * (x**2).sum(), -0.5 * ((x - 20.0) ** 2).sum()
    return jnp.logaddexp(jnp.log1p(-share) + here, jnp.log(share) + there)


def two_modes(share=NEGLIGIBLE):
    return infer.declared(_two_modes, {"x": bj.Real(shape=(3,))}, data={"share": share})


@pytest.fixture
def begun(monkeypatch):
    """Make runs whose chains and scouts begin at given points."""

    def begin(chains, scouts, model=None, engine=NUTS, **options):
        def points(family, _, begins, place=None):
            lanes, dtype = len(begins), jnp.result_type(float)
            both = (np.resize(at, lanes)[:, None] * np.ones(3, dtype) for at in (chains, scouts))
            return tuple(evaluate_lanes(family, positions.astype(dtype)) for positions in both)

        monkeypatch.setattr(starting, "find_starts", points)
        model = two_modes() if model is None else model
        return infer.start(model, engine, **{"key": 3, "progress": False} | options)

    return begin


def sides(run):
    return (run.draws().positions.mean((1, 2)) > 10).tolist()


@SAMPLERS
def test_chains_that_agree_are_relocated_to_where_scouts_find_more_mass(begun, engine):
    """All chains agree around 20, so neither R-hat nor the metric shows that all are wrong."""
    run = begun(20.0, 0.0, engine=engine).advance(400)
    assert run.warmup.relocated == (0, 1, 2, 3)
    assert all(move.left.min() > 10 > move.reached.max() for move in run.warmup.moves)
    assert sides(run) == [False] * 4
    # The effective size is at least a fifth of 4800: one mean in ten million is further off, and
    # even fewer standard deviations.
    x = run.draws().positions
    np.testing.assert_allclose([x.mean(), x.std()], [0, 1], atol=5.3 / np.sqrt(4800 / 5))
    stayed = begun(20.0, 0.0, engine=engine)
    stayed.warmup = replace(stayed.warmup, scouts=())
    assert sides(stayed.advance(10)) == [True] * 4


def test_the_metric_is_learned_where_scouts_found_more_mass(begun, monkeypatch):
    """There the standard deviation is a thousandth of what it is around 20."""

    def narrow(values):
        x = values["x"]
        here, there = -0.5 * (1e3 * x) @ (1e3 * x), -0.5 * ((x - 20.0) ** 2).sum() - 60.0
        return jnp.logaddexp(here, there)

    model = infer.declared(narrow, {"x": bj.Real(shape=(3,))})
    run = begun(20.0, 0.0, model=model, engine=infer.NUTS(rank=0))
    after_scouting, learned = steps.after_scouting, []

    def spied(*arguments):
        learned.append(after_scouting(*arguments))
        return learned[-1]

    monkeypatch.setattr(steps, "after_scouting", spied)
    run.warm_up()
    np.testing.assert_allclose(learned[0].tuning.metric.scale, 1e-3, rtol=0.5)
    windows = learned[0].windows
    assert len(windows) > 2
    assert windows == run.engine.plan_warmup(4, 300).windows[-len(windows) :]


def test_warm_up_ends_early_if_all_scouts_come_to_the_chains(begun):
    run = begun(0.0, 3.0).warm_up()
    assert (run.warmup.relocated, run.warmup.skipped_windows) == ((), ())
    assert run.warmup.draws < 200


def test_warm_up_does_not_end_early_if_a_scout_comes_elsewhere(begun):
    run = begun(0.0, [0.0, 20.0, 0.0, 0.0]).advance(10)
    assert (run.warmup.relocated, sides(run)) == ((), [False] * 4)
    # Including the window in which scouts looked around.
    assert run.warmup.draws == 330


def test_scouts_relocate_chains_only_within_their_data_set(begun):
    """In programs of two chains; the last data set has its mass at 20, the others at 0."""
    models = [two_modes(share) for share in (NEGLIGIBLE, NEGLIGIBLE, 1 - NEGLIGIBLE)]
    home, away = np.repeat([0.0, 20.0, 20.0], 4), np.repeat([0.0, 0.0, 20.0], 4)
    run = begun(home, away, model=models, group=2).advance(10)
    assert run.warmup.relocated == (4, 5, 6, 7)
    assert sides(run) == [False] * 8 + [True] * 4


def test_gradients_of_scouts_are_counted(begun, monkeypatch):
    """The gradients of the scouts' window are added to those of the chains."""
    run = begun(0.0, 0.0)
    counted, after_scouting = [], steps.after_scouting
    gradients = lambda window: int(window.stats["n_steps"].sum())  # noqa: E731

    def spied(engine, warmup, window, scouted):
        counted.append((warmup.gradients, gradients(window), gradients(scouted)))
        return after_scouting(engine, warmup, window, scouted)

    monkeypatch.setattr(steps, "after_scouting", spied)
    run.warm_up()
    [(before, of_chains, of_scouts)] = counted
    assert run.warmup.gradients == before + of_chains + of_scouts
    assert of_scouts > 0


def test_a_run_stopped_while_scouts_look_around_resumes_with_the_same_draws(begun, monkeypatch):
    whole = begun(20.0, 0.0).advance(20)
    stopped = begun(20.0, 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(steps, "after_scouting", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stopped.advance(20)
    state = pickle.loads(pickle.dumps(stopped.state))
    assert state.warmup.skipped_windows
    resumed = begun(20.0, 0.0, state=state).advance(20)
    for run in (resumed, stopped.advance(20)):
        np.testing.assert_array_equal(run.draws().positions, whole.draws().positions)
        found, expected = run.warmup, whole.warmup
        assert (found.relocated, found.draws) == (expected.relocated, expected.draws)


def interrupted(*_):
    raise KeyboardInterrupt


def test_scouts_begin_at_the_second_best_of_the_starts():
    family, key = singleton(infer.log_density(two_modes(0.5))), np.array([0, 7], np.uint32)
    best, second = find_starts(family, key, ["uniform"] * 3)
    tried = propose(family, key, range(CANDIDATES), 3, "uniform", None)[0].log_densities
    ordered = np.sort(tried, axis=0)
    np.testing.assert_array_equal(best.log_densities, ordered[-1])
    np.testing.assert_array_equal(second.log_densities, ordered[-2])


def test_without_a_second_start_scouts_begin_where_the_chains_do():
    """A seventh of the box is finite, so often only one of eight tries is, or none."""

    def rare(values):
        x = values["x"]
        return jnp.where(jnp.abs(x - 1).max() < 0.75, -x.sum(), -jnp.inf)

    family = singleton(infer.log_density(infer.declared(rare, {"x": bj.Real(shape=(2,))})))
    best, second = find_starts(family, np.array([0, 7], np.uint32), ["uniform"] * 20)
    assert np.isfinite(second.log_densities).all()
    same = (best.positions == second.positions).all(1)
    assert 0 < same.sum() < 20
    assert (second.log_densities <= best.log_densities).all()


def test_every_chain_and_scout_has_a_key_of_its_own(begun):
    """A scout with the key of a chain would follow it."""
    run = begun(0.0, 0.0)
    keys = np.concatenate([group.keys for group in (*run.groups, *run.warmup.scouts)])
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
def test_no_scouts_are_sent_if_they_could_find_nothing(engine, options):
    assert not infer.start(two_modes(), engine, progress=False, **options).warmup.scouts
