"""Globs over names and paths."""

import pytest

from infer.models.inputs.names import join_names, match_names

NAMES = ["scale", "left.scale", "left.kernel.scale", "left.period", "layers.0.weight", "a*b"]


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("scale", ["scale"]),
        (".scale", ["scale"]),
        ("*", ["scale", "a*b"]),
        ("**", NAMES),
        ("**.scale", ["scale", "left.scale", "left.kernel.scale"]),
        ("left.*", ["left.scale", "left.period"]),
        ("left.**", ["left.scale", "left.kernel.scale", "left.period"]),
        ("left.**.scale", ["left.scale", "left.kernel.scale"]),
        ("layers.?.w*t", ["layers.0.weight"]),
        ("a*b", ["a*b"]),
        ("eft.scale", []),
        ("left.scal", []),
    ],
)
def test_a_glob_matches_full_names_step_by_step(glob, found):
    assert match_names(glob, NAMES) == found


def test_long_lists_of_names_are_truncated():
    assert join_names("abc") == "a, b, c"
    assert join_names(map(str, range(20))).endswith("11 and 8 more")
