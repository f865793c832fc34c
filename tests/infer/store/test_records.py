"""Records are taken by their numbers, however blocks divide them and whatever was dropped."""

import numpy as np

from infer.run.collect import Group, join_records
from infer.store.records import drop, take

BLOCKS = (3, 1, 0, 7, 2)


def group(chains):
    rows = [[] for _ in chains]
    for own, chain in zip(rows, chains, strict=True):
        numbers = 100.0 * chain + np.arange(sum(BLOCKS))
        own += [a[:, None] for a in np.split(numbers, np.cumsum(BLOCKS)[:-1])]
    zeros = np.zeros(len(chains), int)
    return Group(chains, zeros, None, zeros + sum(BLOCKS), rows, zeros, zeros > 0)


def test_records_with_any_numbers_are_those_of_the_joined_ones():
    groups = [group(range(2)), group(range(2, 3))]
    whole = join_records(groups)
    for before in (0, 2, 4, 9):
        for own in groups:
            drop(own, before)
        for begin in range(before, sum(BLOCKS)):
            for end in range(begin + 1, sum(BLOCKS) + 1):
                np.testing.assert_array_equal(take(groups, begin, end), whole[:, begin:end])
        np.testing.assert_array_equal(take(groups, before, 13, 3), whole[:, before:13:3])
