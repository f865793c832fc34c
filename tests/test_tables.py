"""Tables of pages are filled by the commands that stand above them."""

import pytest

from benchmarks import tables

PAGE = """Before.

<!-- python -c "print('said'); print('| a |')" -->
{}<!-- end -->

<!-- python -c "raise SystemExit(3)" -->
| kept |
<!-- end -->

After.
"""


@pytest.mark.parametrize("old", ["", "| old |\n"])
def test_a_table_is_what_its_command_prints_and_stays_if_that_fails(tmp_path, old):
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(old))
    tables.fill(page, [])
    assert page.read_text() == PAGE.format("| a |\n\nsaid\n")


def test_other_tables_than_the_wanted_ones_stay(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(""))
    tables.fill(page, ["nothing like it"])
    assert page.read_text() == PAGE.format("")
