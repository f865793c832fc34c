"""A chain is sent away from where next to nothing of the posterior is, and from nowhere else."""

import numpy as np
import pytest

from infer.numerics.metric import Diagonal
from infer.numerics.stray import FEWEST_DRAWS, places

CHAINS, DRAWS, SIZE = 4, 40, 5
# Twice the root of five coordinates, and ten.
GAP = 14.5


def regions(drops, spreads, draws=DRAWS):
    """Draw chains of a normal in regions of their own, of known mass and spread.

    Args:
        drops: By how many nats each chain's region holds less than the first one's.
        spreads: Standard deviation of each region, in every coordinate.
    """
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(len(drops), draws, SIZE))
    drops, spreads = np.asarray(drops, float), np.asarray(spreads, float)
    levels = -0.5 * (normal**2).sum(-1) - (drops + SIZE * np.log(spreads))[:, None]
    return 100.0 * np.arange(len(drops))[:, None, None] + spreads[:, None, None] * normal, levels


def found(drops, spreads=(1.0,) * CHAINS, draws=DRAWS, remaining=1):
    positions, levels = regions(drops, spreads, draws)
    return places(Diagonal(np.full(SIZE, 3.0)), positions, {"lp": levels}, remaining).tolist()


@pytest.mark.parametrize("remaining", [0, 1])
def test_a_chain_far_below_takes_the_place_of_the_next(remaining):
    assert found([0, 40, 0, 0], remaining=remaining) == [0, 2, 2, 3]
    assert found([40, 0, 40, 40], remaining=remaining) == [1, 1, 1, 1]


def test_modes_that_matter_keep_their_chains():
    """Not even a share of one in a hundred thousand is taken for nothing."""
    assert found([0, 11.5, 5, 0]) == [0, 1, 2, 3]
    # The estimates of a mass err by some nats.
    assert found([0, GAP - 4, 0, 0]) == [0, 1, 2, 3]
    assert found([0, GAP + 4, 0, 0]) == [0, 2, 2, 3]


def test_both_ends_of_a_funnel_hold_the_same():
    """In the neck densities are higher by 23 nats, and the volume is less by as many."""
    assert found([0, 0, 0, 0], spreads=(1.0, 0.01, 1.0, 100.0)) == [0, 1, 2, 3]
    # A narrow region may hold little, but high densities are for the chains to leave.
    assert found([0, 20, 40, 0], spreads=(1.0, 0.01, 100.0, 1.0)) == [0, 1, 3, 3]


def test_a_chain_that_never_moved_is_sent_where_its_density_is_low():
    positions, levels = regions([0, 40, 0, 0], (1.0,) * CHAINS)
    positions[1], levels[1] = positions[1, 0], levels[1, 0]
    metric = Diagonal(np.ones(SIZE))
    assert places(metric, positions, {"lp": levels}, 1).tolist() == [0, 2, 2, 3]
    levels[1] = 40.0
    assert places(metric, positions, {"lp": levels}, 1).tolist() == [0, 1, 2, 3]


def test_too_early_or_too_little_known_sends_none():
    stay = list(range(CHAINS))
    assert found([0, 40, 0, 0], remaining=2) == stay
    assert found([0, 40, 0, 0], draws=9) == stay
    positions, _ = regions([0, 40, 0, 0], (1.0,) * CHAINS)
    assert places(Diagonal(np.ones(SIZE)), positions, {}, 1).tolist() == stay


@pytest.mark.parametrize("size", [1, 5, 50])
def test_ten_draws_that_move_slowly_send_no_chain_of_one_region(size):
    """Some chains lie wholly above others then, but what they hold differs by less.

    From a correlation of 0.9 on, one set of eight in 200 is found to differ, in 50 coordinates.
    """
    rng = np.random.default_rng(1)
    moves = rng.normal(size=(FEWEST_DRAWS, 300, 8, size))
    draws = moves.copy()
    for before, draw, move in zip(draws[:-1], draws[1:], moves[1:], strict=True):
        draw[...] = 0.8 * before + np.sqrt(1 - 0.8**2) * move
    for chains in np.moveaxis(draws, 0, 2):
        levels = {"lp": -0.5 * (chains**2).sum(-1)}
        assert places(Diagonal(np.ones(size)), chains, levels, 1).tolist() == list(range(8))
