"""Coordinates of a model are found among those of a posterior whichever types both have."""

import datetime

import numpy as np
import pytest

from infer.errors import ModelError
from infer.output.predictive.coordinates import NEW, find_coordinates

DAYS = np.array(["2020-01-01", "2020-01-03", "2020-01-02"], "datetime64[D]")
DATES = [datetime.date(2020, 1, day) for day in (1, 3, 2)]
TIMES = [datetime.datetime(2020, 1, day) for day in (1, 3, 2)]
THIRDS = np.arange(3) / 3
CASES = {
    "days among nanoseconds": (DAYS.astype("datetime64[ns]"), DAYS[:2]),
    "hours among minutes": (np.array([60, 120, 180], "m8[m]"), np.array([1, 2], "m8[h]")),
    "single among double precision": (THIRDS, THIRDS[:2].astype(np.float32)),
    "numbers with a rounding error": (THIRDS, np.array([0.0, 1.0 - 2 / 3])),
    "floats among whole numbers": (np.arange(3), np.array([0.0, 1.0])),
    "strings among objects": (np.array(["a", "b", "c"], object), np.array(["a", "b"])),
    "dates of Python among days": (DAYS, np.array(DATES[:2], object)),
    "times of Python among days": (DAYS, np.array(TIMES[:2], object)),
    "days among dates of Python": (np.array(DATES, object), DAYS[:2]),
    "differences of times": (DAYS - DAYS[0], np.array([d - TIMES[0] for d in TIMES[:2]], object)),
    "truth values among numbers": (np.array([0, 1]), np.array([False, True])),
    "missing numbers": (np.array([1.0, np.nan, 2.0]), np.array([1.0, np.nan])),
    "a missing string": (np.array(["a", np.nan], object), np.array(["a", None], object)),
    "half precision": (THIRDS, THIRDS[:2].astype(np.float16)),
    "zero up to rounding": (np.array([-1.0, 0.0, 1.0]), np.array([-1.0, 2e-16])),
    "large whole numbers": (2**60 + np.arange(3), 2**60 + np.arange(2)),
}


@pytest.mark.parametrize(("old", "new"), CASES.values(), ids=CASES)
def test_a_coordinate_is_found_in_another_type(old, new):
    found = find_coordinates("level", "the dimension 'g'", old, np.flip(new))
    np.testing.assert_array_equal(found, [1, 0])


@pytest.mark.parametrize(
    "old",
    [
        np.arange(1000) / 10,
        2020 + np.arange(365) / 365,
        1.7e9 + 3600 * np.arange(24),
        np.logspace(-12, 12, 25),
    ],
    ids=["tenths", "fractional years", "epoch seconds", "powers of ten"],
)
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_all_numbers_are_found_in_another_precision(old, precision):
    new = np.append(old.astype(precision), old[-1] + np.diff(old)[-1]).astype(precision)
    found = find_coordinates("level", "the dimension 'g'", old, new)
    np.testing.assert_array_equal(found, [*range(len(old)), NEW])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1.7e9 + np.arange(3) * 60, np.array([1.7e9, 1.7e9 + 120], np.float32)),
        (np.array([1.0]), np.array([1.0, 1.0 + 2e-16])),
        (np.array([1.0, 1.0 + 2e-16]), np.array([1.0 - 1e-16])),
    ],
    ids=["seconds in single precision", "two of the model", "two of the posterior"],
)
def test_numbers_that_rounding_makes_the_same_are_refused(old, new):
    with pytest.raises(ModelError, match="too near each other for the precision"):
        find_coordinates("level", "the dimension 'g'", old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (THIRDS, [0.001, np.nan]),
        (np.array([0.0, 1000.0]), [0.005, 0.01]),
        (np.array([2020.0]), [2020.01]),
        (np.array([1.5]), np.array(["a", 2], object)),
        (DAYS, np.array([], float)),
        (np.array(["a", "b"]), ["A", "c"]),
        (DAYS, DAYS[:2] - np.timedelta64(500, "D")),
    ],
    ids=["numbers", "dense numbers", "years", "objects", "nothing", "strings", "dates"],
)
def test_another_coordinate_is_new(old, new):
    found = find_coordinates("level", "the dimension 'g'", old, np.asarray(new))
    assert (found == NEW).all()


BYTES = np.array([b"1", b"2"])


@pytest.mark.parametrize("new", [np.array(["1", "2"]), DAYS, BYTES], ids=["text", "dates", "bytes"])
def test_coordinates_that_cannot_be_the_same_are_refused(new):
    with pytest.raises(ModelError, match="are numbers in the posterior, such as 1, and"):
        find_coordinates("level", "the dimension 'g'", np.array([1, 2]), new)
