"""Groups take turns, and none gets further ahead of another than it may."""

import time

import numpy as np
import pytest

from infer.run.collect import Group, collect, join_records
from infer.run.loop import Block

DRAWS, FAR = 60, 5


def groups(count):
    def one(i):
        zeros = np.zeros(1, int)
        return Group(range(i, i + 1), np.zeros((1, 2)), None, zeros, [[]], zeros, zeros > 0)

    return [one(i) for i in range(count)]


def test_a_block_that_is_partly_empty_is_not_kept_as_it_is():
    """The empty rows would stay in memory as long as the draws."""
    for filled, is_kept in ((4, False), (8, True)):
        (group,), rows = groups(1), np.ones((1, 8, 3))
        group.absorb(Block(None, rows, np.full(1, filled), np.int32(filled)), 1.0)
        assert np.shares_memory(group.rows[0][0], rows) == is_kept


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_fast_group_waits_for_a_slow_one(threads):
    made, ahead = groups(3), []

    def call(group, order):
        time.sleep(0.002 * (group.chains.start == 2))
        return Block(None, np.full((1, 2, 1), order.drawn), np.ones(1, int), np.int32(1))

    def watch(group, fresh, seconds):
        drawn = [int(g.drawn[0]) for g in made]
        ahead.append(max(drawn) - min(drawn))
        return True

    collect(made, call, 0, DRAWS, threads, watch, FAR)
    # A group that is as far ahead as it may be makes one more block of one draw.
    assert max(ahead) <= FAR + 1
    for group in made:
        np.testing.assert_array_equal(join_records([group])[0, :, 0], np.arange(DRAWS))
