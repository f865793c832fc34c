"""The public names and their arguments are those that are listed."""

from .public_names import LISTED, list_names


def test_no_public_name_or_argument_changes_unnoticed():
    assert list_names() == LISTED.read_text().splitlines()
