"""The steps of warm-up are functions of one value: windows made by hand, and no run."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from infer.engines.base import Draws, Engine, WindowEnd
from infer.run.chains import make_groups
from infer.run.loop import SAMPLING
from infer.run.packed import pack
from infer.run.warmup import (
    LONGEST_WARMUP,
    Warmup,
    begin_sampling,
    end_window,
    list_moves,
    pool,
    split_by_dataset,
)

CHAINS = 4


@dataclass
class Scripted(Engine):
    """An engine whose `end_window` returns a given answer and records its arguments."""

    ends: list
    calls: list = field(default_factory=list)
    plan_warmup = first_tuning = init = tick = lambda *_: None

    def end_window(self, tuning, recent, windows):
        self.calls.append((tuning, recent, windows))
        end = self.ends.pop(0)
        return end(tuning, recent, windows) if callable(end) else end


def keep(tuning, recent, windows):
    """Go on as planned, with the next tuning."""
    return WindowEnd(tuning + 1, windows)


def end_early(tuning, recent, windows):
    """Skip all windows but the last."""
    return WindowEnd(tuning + 1, windows[-1:])


def send(*relocation):
    """Relocate chains, and go on as planned."""
    return lambda tuning, recent, windows: WindowEnd(tuning + 1, windows, np.array(relocation))


def window(first=0.0, chains=CHAINS, draws=6):
    """Make a window in which chain i is at `first` + i, with one gradient per draw."""
    places = np.broadcast_to(first + np.arange(chains)[:, None], (chains, draws))
    stats = {"n_steps": np.ones((chains, draws), np.int32), "lp": places}
    return Draws(places[..., None], np.zeros((chains, draws, 1)), stats)


def groups(first, width=2, chains=CHAINS):
    """Make chains whose states are their numbers, from `first` on."""
    states = pack({"x": first + np.arange(float(chains))}, lead=1)
    return make_groups(np.zeros((chains, 2), np.uint32), states, width)


def states(chains):
    return np.concatenate([group.state.unpack()["x"] for group in chains]).tolist()


def begin(windows=(10, 15, 20), **options):
    options = {"planned": sum(windows), "tuning": np.array(0.0)} | options
    return Warmup(groups=groups(0.0), windows=windows, **options)


def test_a_window_moves_on_and_is_counted():
    first = begin()
    second = end_window(Scripted([keep]), first, window())
    assert (second.window, second.windows, second.draws) == (2, (15, 20), 10)
    assert second.gradients == CHAINS * 6
    assert second.tuning == 1.0
    assert (first.window, first.windows, first.tuning) == (1, (10, 15, 20), 0.0)


def test_the_engine_learns_from_the_last_two_windows():
    engine, warmup = Scripted([keep] * 3), begin()
    for first in (0.0, 1.0, 2.0):
        warmup = end_window(engine, warmup, window(first))
    means = [[w.positions.min() for w in recent] for _, recent, _ in engine.calls]
    assert means == [[0.0], [0.0, 1.0], [1.0, 2.0]]
    assert [windows for *_, windows in engine.calls] == [(15, 20), (20,), ()]


def test_chains_enter_each_window_without_records():
    warmup = begin()
    for group in warmup.groups:
        group.drawn, group.rows = group.drawn + 10, [[np.zeros((10, 1))]] * 2
        group.entering = np.zeros(2, bool)
    entered = end_window(Scripted([keep]), warmup, window())
    for group in entered.groups:
        assert not group.drawn.any()
        assert group.rows == [[], []]
        assert group.entering.all()
    # The value before is as it was, so an interrupt may keep it.
    assert all(group.drawn.all() for group in warmup.groups)


def test_relocated_chains_take_the_states_of_others_and_forget_their_draws():
    moved = end_window(Scripted([send(0, 0, 2, 1)]), begin(), window())
    assert states(moved.groups) == [0.0, 0.0, 2.0, 1.0]
    assert moved.relocated == (1, 3)
    assert [(m.chain, *m.left, *m.reached) for m in moved.moves] == [(1, 1.0, 0.0), (3, 3.0, 1.0)]
    assert moved.recent == ()
    again = end_window(Scripted([send(0, 0, 0, 3)]), moved, window())
    assert again.relocated == (1, 2, 3)


def test_an_engine_may_extend_warm_up_up_to_a_limit():
    longest = LONGEST_WARMUP * 45 - 10
    for asked, allowed in (((longest,), (longest,)), ((longest + 1,), (15, 20))):
        engine = Scripted([lambda *_, asked=asked: WindowEnd(np.array(0.0), asked)])
        assert end_window(engine, begin(), window()).windows == allowed


def test_an_early_end_is_made_with_scouts():
    warmup = begin(scouts=groups(10.0))
    early = end_window(Scripted([end_early]), warmup, window())
    assert (early.windows, early.skipped_windows) == ((20,), (15, 20))
    assert early.active == (*early.groups, *early.scouts)
    # Without scouts nothing is kept of the windows that were skipped.
    alone = end_window(Scripted([end_early]), begin(), window())
    assert (alone.windows, alone.skipped_windows, alone.active) == ((20,), (), alone.groups)


@pytest.fixture
def scouting():
    """Warm-up in the last window, which chains at 0 to 3 and scouts at 10 to 13 make together."""
    return end_window(Scripted([end_early]), begin(scouts=groups(10.0)), window())


def test_warm_up_ends_if_no_scout_found_more(scouting):
    stay = send(*range(2 * CHAINS))
    ended = end_window(Scripted([stay, keep]), scouting, window(), window(10.0))
    assert (ended.windows, ended.skipped_windows, ended.moves) == ((), (), ())
    assert ended.draws == 10 + 20
    assert ended.gradients == (1 + 2) * CHAINS * 6


def test_chains_are_relocated_to_scouts_that_found_more(scouting):
    """Chains 0 and 2 continue from scouts 1 and 3, and all skipped windows are made."""
    engine = Scripted([send(5, 1, 7, 3, 4, 5, 6, 7)])
    moved = end_window(engine, scouting, window(), window(10.0))
    assert states(moved.groups) == [11.0, 1.0, 13.0, 3.0]
    assert [(m.chain, *m.left, *m.reached) for m in moved.moves] == [(0, 0, 11), (2, 2, 13)]
    assert (moved.windows, moved.skipped_windows) == ((15, 20), ())
    # The metric is learned from chains and scouts together.
    ((_, (both,), _),) = engine.calls
    assert both.positions.shape == (2 * CHAINS, 2, 1)


def test_a_scout_that_is_lost_makes_warm_up_go_on(scouting):
    """Scout 0 would be relocated, so the chains may not have found everything."""
    engine = Scripted([send(0, 1, 2, 3, 0, 5, 6, 7), keep])
    longer = end_window(engine, scouting, window(), window(10.0))
    assert longer.moves == ()
    assert states(longer.groups) == [0.0, 1.0, 2.0, 3.0]
    assert (longer.windows, longer.skipped_windows) == ((15, 20), ())
    # The tuning comes from the chains alone.
    assert engine.calls[-1][1][-1].positions.shape[0] == CHAINS


def test_each_density_has_its_own_tuning_and_the_longest_schedule_is_made():
    """Of two densities, the second ends early; its second chain goes to its first."""
    engine = Scripted([keep, lambda tuning, *_: WindowEnd(tuning + 5, (20,), np.array([0, 0]))])
    warmup = begin(densities=2, tuning=np.array([0.0, 10.0]))
    after = end_window(engine, warmup, window())
    assert after.tuning.tolist() == [1.0, 15.0]
    assert after.windows == (15, 20)
    assert states(after.groups) == [0.0, 1.0, 2.0, 2.0]
    assert after.relocated == (3,)
    firsts = [recent[0].positions[:, 0, 0].tolist() for _, recent, _ in engine.calls]
    assert firsts == [[0.0, 1.0], [2.0, 3.0]]


def test_sampling_keeps_the_chains_and_the_tuning_alone(scouting):
    ended = end_window(Scripted([send(*range(2 * CHAINS)), keep]), scouting, window(), window(10.0))
    sampling = begin_sampling(ended)
    assert (sampling.window, sampling.recent, sampling.scouts) == (SAMPLING, (), ())
    assert sampling.tuning == ended.tuning
    assert sampling.active == ended.groups


def test_regrouping_keeps_chains_and_scouts_in_order():
    wide = begin(scouts=groups(10.0)).regroup(4)
    assert [len(g.chains) for g in (*wide.groups, *wide.scouts)] == [4, 4]
    assert states(wide.groups) == [0.0, 1.0, 2.0, 3.0]
    assert states(wide.scouts) == [10.0, 11.0, 12.0, 13.0]


def test_splitting_by_data_set_keeps_the_order_of_the_chains():
    first, second = split_by_dataset(window(), 2)
    assert first.positions[:, 0, 0].tolist() == [0.0, 1.0]
    assert second.stats["lp"][:, 0].tolist() == [2.0, 3.0]


def test_moves_to_scouts_are_listed_from_both_windows():
    (move,) = list_moves(np.array([0, 1, 6, 3]), [window(), window(10.0)])
    assert (move.chain, move.left.item(), move.reached.item()) == (2, 2.0, 12.0)


def test_a_pool_puts_the_scouts_of_each_density_after_its_chains():
    """Two densities with two chains each; only the last third of a window counts."""

    def ramp(first):
        names = np.arange(first, first + 4.0)[:, None] + np.linspace(0.0, 0.5, 6)
        return Draws(names[..., None], np.zeros((4, 6, 0)), {"lp": names})

    both = pool(ramp(0), ramp(4), 2)
    assert both.order.tolist() == [0, 1, 4, 5, 2, 3, 6, 7]
    last = both.order[:, None] + np.array([0.4, 0.5])
    np.testing.assert_allclose(both.draws.stats["lp"], last)
    np.testing.assert_allclose(both.draws.positions[..., 0], last)
    # The chains of the first density go to its scouts, those of the second to each other.
    relocation = np.array([2, 3, 2, 3, 5, 4, 6, 7])
    assert both.number_as_chains(relocation).tolist() == [4, 5, 3, 2]
