"""The criterion that chooses how far an entry is centered."""

import numpy as np
import pytest

from infer.numerics.centering import GRID, choose_degrees, choose_ends, temper_ratios

ROWS = 400


def draw(noise, degree, rows=ROWS, seed=0):
    """Draw exactly from x ~ N(m, s), with one observation of x of this noise; scores of y.

    Returns coordinates of a degree, their scores, locations and log scales, one entry each.
    """
    rng = np.random.default_rng(seed)
    m, log_s = rng.normal(size=rows), 1.5 * rng.normal(size=rows)
    precision = np.exp(-2 * log_s) + 1 / noise**2
    mean = (m * np.exp(-2 * log_s) + 3.0 / noise**2) / precision
    x = mean + rng.normal(size=rows) / np.sqrt(precision)
    slope = -(x - m) * np.exp(-2 * log_s) + (3.0 - x) / noise**2
    part = np.exp((1 - degree) * log_s)
    y = (x - m) / part + degree * m
    return [a[:, None] for a in (y, slope * part, m, log_s)]


@pytest.mark.parametrize("degree", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("noise", "best"), [(1e3, 0.0), (1e-3, 1.0)])
def test_the_best_degree_is_found_from_draws_in_any_coordinates(degree, noise, best):
    """Without data an entry is a normal if it is non-centered, with exact data if centered."""
    for rows in (40, ROWS):
        chosen = choose_degrees(*draw(noise, degree, rows), np.array([degree]))
        assert chosen == best


def test_a_degree_between_is_chosen_if_both_ends_are_worse():
    chosen = choose_degrees(*draw(1.0, 0.0, 10**5), np.zeros(1))
    y, scores, m, log_s = draw(1.0, 0.0, 10**5)
    spread = []
    for c in (0.0, chosen[0], 1.0):
        growth = np.exp(c * log_s)
        spread.append((growth * y + c * m).var() * (scores / growth).var())
    assert 0 < chosen[0] < 1
    assert spread[1] < min(spread[0], spread[2])


def test_draws_that_are_not_finite_change_nothing():
    arrays = draw(1.0, 0.3)
    arrays[0] = arrays[0] * np.nan
    assert choose_degrees(*arrays, np.array([0.3])) == 0.3


def test_entries_that_are_alike_get_the_degree_with_the_smallest_mean():
    """Of entries with much, little and no data, and one that tells nothing."""
    parts = [draw(noise, 0.5, seed=i) for i, noise in enumerate((1e-3, 1.0, 1e3, 1.0))]
    arrays = [np.concatenate(own, -1) for own in zip(*parts, strict=True)]
    arrays[0][:, 3] = np.nan
    degrees = np.full(4, 0.5)
    chosen = choose_degrees(*arrays, degrees, alike=[slice(1, 4)])
    assert chosen[0] == 1.0
    y, scores, m, log_s = (a[:, 1:3] for a in arrays)
    means = []
    for c in GRID:
        growth = np.exp((c - 0.5) * log_s)
        spread = (growth * (y - 0.5 * m) + c * m).var(0) * (scores / growth).var(0)
        means.append(np.log(spread).mean())
    np.testing.assert_array_equal(chosen[1:], GRID[np.argmin(means)])
    arrays[0][:, 1:] = np.nan
    np.testing.assert_array_equal(choose_degrees(*arrays, degrees, alike=[slice(1, 4)])[1:], 0.5)


def test_ratios_are_tempered_until_the_share_is_effective():
    log_ratios = np.random.default_rng(0).normal(scale=5.0, size=400)
    weights = temper_ratios(log_ratios, 0.25)
    effective = weights.sum() ** 2 / (weights**2).sum()
    np.testing.assert_allclose(effective, 100, rtol=1e-3)
    power = np.diff(np.log(weights)) / np.diff(log_ratios)
    np.testing.assert_allclose(power, power[0])
    assert 0 < power[0] < 1


def test_ratios_of_a_good_fit_are_importance_weights():
    log_ratios = np.append(np.random.default_rng(0).normal(scale=0.5, size=400), [np.nan, -np.inf])
    weights = temper_ratios(log_ratios + 1e4, 0.25)
    expected = np.append(np.exp(log_ratios[:-2] - log_ratios[:-2].max()), [0.0, 0.0])
    np.testing.assert_allclose(weights, expected, rtol=1e-9)


def test_weights_count_as_repeated_draws():
    y, scores, m, log_s = draw(1.0, 0.0, 50)
    repeats = np.random.default_rng(1).integers(0, 4, 50)
    rows = [np.repeat(a, repeats, axis=0) for a in (y, scores, m, log_s)]
    one = choose_degrees(y, scores, m, log_s, np.zeros(1), repeats.astype(float))
    np.testing.assert_array_equal(one, choose_degrees(*rows, np.zeros(1)))


@pytest.mark.parametrize(("noise", "best"), [(1e3, 0.0), (1e-3, 1.0)])
def test_vectors_are_whitened_or_not_by_their_worst_entry(noise, best):
    """One entry is known nearly exactly or not at all, and the other is standard normal."""
    entries = [draw(noise, degree) for degree in (0.0, 1.0)]
    y, scores = np.random.default_rng(1).normal(size=(2, 2, ROWS, 3, 2))
    y[..., 0, 1], scores[..., 0, 1] = (np.stack([e[i][:, 0] for e in entries]) for i in (0, 1))
    y[1, :, 1, 0] *= 2.0
    y[0, :, 2] = np.nan
    chosen = choose_ends(y, scores, np.full((3, 2), 0.3))
    np.testing.assert_array_equal(chosen, [[best, best], [0.0, 0.0], [1.0, 1.0]])
    unknown = choose_ends(y * np.nan, scores, np.full((3, 2), 0.3))
    np.testing.assert_array_equal(unknown, 0.3)


def test_many_members_choose_as_each_alone():
    rng, degrees = np.random.default_rng(6), np.array([[0.0, 0.3], [1.0, 0.4], [0.2, 0.2]])
    arrays = rng.normal(size=(4, 3, 200, 2))
    arrays[0, 1, 5, 1] = np.inf
    found = choose_degrees(*arrays, degrees=degrees)
    alone = [choose_degrees(*arrays[:, i], degrees=degrees[i]) for i in range(3)]
    np.testing.assert_array_equal(found, alone)
    assert len(np.unique(found)) > 2
