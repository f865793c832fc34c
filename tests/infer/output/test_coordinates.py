"""Coordinates of a model are found among those of a posterior whichever types both have."""

import numpy as np
import pytest

from infer.errors import ModelError
from infer.output.predictive.coordinates import NEW, find_coordinates

DAYS = np.array(["2020-01-01", "2020-01-03", "2020-01-02"], "datetime64[D]")
THIRDS = np.arange(3) / 3
CASES = {
    "days among nanoseconds": (DAYS.astype("datetime64[ns]"), DAYS[:2]),
    "hours among minutes": (np.array([60, 120, 180], "m8[m]"), np.array([1, 2], "m8[h]")),
    "single among double precision": (THIRDS, THIRDS[:2].astype(np.float32)),
    "numbers with a rounding error": (THIRDS, np.array([0.0, 1.0 - 2 / 3])),
    "floats among whole numbers": (np.arange(3), np.array([0.0, 1.0])),
    "strings among objects": (np.array(["a", "b", "c"], object), np.array(["a", "b"])),
    "large whole numbers": (2**60 + np.arange(3), 2**60 + np.arange(2)),
}


@pytest.mark.parametrize(("old", "new"), CASES.values(), ids=CASES)
def test_a_coordinate_is_found_in_another_type(old, new):
    found = find_coordinates("level", "the dimension 'g'", old, np.flip(new))
    np.testing.assert_array_equal(found, [1, 0])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (THIRDS, [0.001, np.nan]),
        (np.array(["a", "b"]), ["A", "c"]),
        (DAYS, DAYS[:2] - np.timedelta64(500, "D")),
    ],
    ids=["numbers", "strings", "dates"],
)
def test_another_coordinate_is_new(old, new):
    found = find_coordinates("level", "the dimension 'g'", old, np.asarray(new))
    assert (found == NEW).all()


@pytest.mark.parametrize("new", [np.array(["1", "2"]), DAYS], ids=["strings", "dates"])
def test_coordinates_that_cannot_be_the_same_are_refused(new):
    with pytest.raises(ModelError, match="are numbers in the posterior, such as 1, and"):
        find_coordinates("level", "the dimension 'g'", np.array([1, 2]), new)
