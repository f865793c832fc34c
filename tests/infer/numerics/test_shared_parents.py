"""Parents that effects of one group share: what a greedy search misses, and its cost."""

import numpy as np
import pytest

from infer.numerics import learn_dependence as learning, shared_parents
from infer.numerics.learn_dependence import IN_TURN, SCALES_FIRST, learn_dependence
from infer.numerics.parent_search import Search
from infer.numerics.shared_parents import improve

EFFECTS = 8


def effects(seed, rows=100):
    """Effects around coordinate 0, which is small beside their scale, exp of coordinate 1."""
    rng = np.random.default_rng(seed)
    mean, log_scale = rng.normal(size=rows), 1 + rng.normal(size=rows)
    y, scale = rng.normal(size=(rows, EFFECTS)), np.exp(log_scale)[:, None]
    of_mean, of_scale = -mean + (y / scale).sum(1), 1 - log_scale + (y**2 - 1).sum(1)
    draws = np.column_stack([mean, log_scale, mean[:, None] + scale * y])
    return draws, np.column_stack([of_mean, of_scale, -y / scale])


@pytest.mark.parametrize("seed", [6, 19, 21, 35])
def test_effects_of_one_group_share_their_parents(seed):
    """The greedy search leaves one effect without a location, or links the mean to the scale."""
    found = learn_dependence(*effects(seed))
    wanted = np.zeros((2, 2 + EFFECTS, 2 + EFFECTS), bool)
    wanted[0, 2:, 1] = wanted[1, 2:, 0] = True
    np.testing.assert_array_equal([found.slopes != 0, found.locations != 0], wanted)


@pytest.mark.parametrize("order", [IN_TURN, SCALES_FIRST])
@pytest.mark.parametrize("seed", [0, 6])
def test_changes_lower_the_cost_and_keep_the_search_consistent(order, seed):
    search = Search(*effects(seed))
    search.add_scales()
    search.run(*order)
    before = search.cost
    improve(search)
    assert search.cost <= before
    assert search.has_levels
    scores, saved = search.scores, search.save()
    search.put_back(saved)
    np.testing.assert_array_equal(search.scores, scores)


@pytest.mark.parametrize(("around", "rows", "orders"), [(0, 300, 1), (0, 100, 2), (1, 300, 2)])
def test_a_second_order_is_tried_if_locations_matter_or_rows_are_few(
    around, rows, orders, monkeypatch
):
    draws, scores = effects(0, rows)
    # Without their locations, effects follow the scale alone, and the mean is one of its own.
    draws[:, 2:] -= (1 - around) * draws[:, :1]
    scores[:, 0] += (1 - around) * scores[:, 2:].sum(1)
    seen = []
    monkeypatch.setattr(learning, "improve", lambda search: seen.append(search) or search)
    learn_dependence(draws, scores)
    assert len(seen) == orders


@pytest.mark.parametrize("seed", [6, 19])
def test_no_change_is_tried_twice_on_one_dependence(seed, monkeypatch):
    seen = []
    for name in ("_share", "_exchange_locations", "_leave_out"):
        step = getattr(shared_parents, name)

        def watched(search, step=step):
            seen.append((step, *(a.tobytes() for a in search.save())))
            return step(search)

        monkeypatch.setattr(shared_parents, name, watched)
    learn_dependence(*effects(seed), (IN_TURN,))
    assert len(seen) > 3
    assert len(set(seen)) == len(seen)
