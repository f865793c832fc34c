"""Swaps, schedule, round trips and stepping stones on a path of normals; nothing compiles."""

import numpy as np
import pytest

from infer.numerics.tempering import (
    Trips,
    choose_level_count,
    choose_powers,
    choose_sources,
    mean_rejections,
    step_stones,
    swap_probabilities,
)

# From a normal of precision 1 to one of precision 25 that is not normalized.
SIZE, PRECISION = 3, 25.0
LOG_INTEGRAL = -0.5 * SIZE * np.log(PRECISION)


def precisions(powers):
    return 1 + powers * (PRECISION - 1)


def draw(powers, replicas, rng):
    """Draw from every level exactly, shape (levels, replicas, size)."""
    white = rng.normal(size=(len(powers), replicas, SIZE))
    return white / np.sqrt(precisions(powers))[:, None, None]


def log_ratios(points):
    return -0.5 * (PRECISION - 1) * (points**2).sum(-1)


@pytest.mark.parametrize("turn", [0, 1])
def test_swaps_leave_the_distribution_of_every_level_as_it_is(turn):
    # With the exponent's sign flipped, the second moments are off by 30 % and more.
    powers, rng, count = np.array([0.0, 0.1, 0.4, 1.0]), np.random.default_rng(turn), 100_000
    points = draw(powers, count, rng)
    probabilities = swap_probabilities(powers, log_ratios(points))
    sources = choose_sources(probabilities, turn, rng.uniform(size=probabilities.shape))
    assert 0.2 < (sources != np.arange(4)[:, None])[turn : turn + 2].mean() < 0.8
    after = np.take_along_axis(points, sources[..., None], 0)
    scaled = (after**2).sum(-1) * precisions(powers)[:, None]
    # Chi-squared of 3 degrees of freedom; each level is off by 4.5 standard errors once in 10^5.
    assert np.all(np.abs(scaled.mean(1) - SIZE) < 4.5 * np.sqrt(2 * SIZE / count))
    assert np.all(np.abs(scaled.var(1) - 2 * SIZE) < 0.2)


def test_only_the_pairs_of_a_turn_swap():
    sources = choose_sources(np.ones((4, 1)), 1, np.zeros((4, 1)))
    np.testing.assert_array_equal(sources[:, 0], [0, 2, 1, 4, 3])


def test_a_point_outside_the_support_stays_at_the_reference():
    probabilities = swap_probabilities(np.array([0.0, 1.0]), np.array([[-np.inf], [0.0]]))
    assert probabilities == 0
    both = swap_probabilities(np.array([0.0, 1.0]), np.full((2, 1), -np.inf))
    assert both == 1


def test_powers_are_chosen_for_equal_rejections():
    powers, rng = np.linspace(0, 1, 5), np.random.default_rng(0)
    for _ in range(6):
        ratios = log_ratios(draw(powers, 20_000, rng))[None]
        rejections = mean_rejections(powers, ratios)
        powers = choose_powers(powers, rejections, 9)
    assert np.ptp(rejections) < 0.03
    assert powers[0] == 0
    assert powers[-1] == 1
    assert (np.diff(powers) > 0).all()


def test_powers_without_rejections_are_equally_spaced():
    np.testing.assert_allclose(
        choose_powers(np.linspace(0, 1, 4), np.zeros(3), 5), np.linspace(0, 1, 5)
    )


def test_levels_are_twice_the_barrier_within_limits():
    assert [choose_level_count(barrier, 2, 64) for barrier in (0.1, 4.2, 99.0)] == [2, 9, 64]


def test_a_round_trip_is_a_point_that_came_from_the_reference():
    trips, swap = Trips(1, 3), np.array([[1], [0], [2]])
    upper = np.array([[0], [2], [1]])
    for sources in (upper, swap, upper):
        trips.follow(sources)
    # The first turn moves a point that never was at the reference.
    assert trips.made == 1
    trips.follow(upper)
    assert trips.made == 1


def test_stepping_stones_find_the_integral_within_their_error():
    powers, rng = np.array([0.0, 0.05, 0.2, 0.5, 1.0]), np.random.default_rng(1)
    scores = []
    for _ in range(30):
        ratios = log_ratios(draw(powers, 4 * 250, rng)).reshape(5, 250, 4).transpose(1, 0, 2)
        total, error = step_stones(powers, ratios)
        scores.append((total - LOG_INTEGRAL) / error)
    # A jackknife of eight parts has seven degrees of freedom.
    assert abs(np.mean(scores)) < 1.0
    assert 0.6 < np.std(scores) < 1.8
