"""A finding says what is wrong, of what kind it is, and where the documentation explains it."""

import copy
import pickle
import re
from pathlib import Path

import pytest

import infer
from infer.output.finding import read_pages

PACKAGE = Path(infer.__file__).parent


def test_a_finding_prints_what_was_found_what_to_do_and_where_to_read_on():
    found = infer.Finding("low_ess", "ESS is 7 for mu.", "Draw more.", ("mu",))
    assert str(found) == 'ESS is 7 for mu. Draw more. infer.explain_finding("low_ess") says more.'
    assert (found.kind, found.found, found.advice) == ("low_ess", "ESS is 7 for mu.", "Draw more.")
    assert found.sites == ("mu",)
    assert found.link == "docs/findings.md#low_ess"
    assert infer.explain_finding(found) == infer.explain_finding("low_ess")


def test_a_finding_survives_copying_and_pickling_and_cannot_be_changed():
    found = infer.Finding("low_ess", "ESS is 7.", sites=("mu",))
    for again in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert again == found
        assert again.sites == ("mu",)
    with pytest.raises(AttributeError):
        found.kind = "other"  # pyright: ignore


def test_every_kind_of_finding_has_a_section_with_meaning_and_advice():
    sources = [path.read_text() for path in PACKAGE.rglob("*.py")]
    kinds = {k for text in sources for k in re.findall(r'(?:Finding|Problem)\(\s*"(\w+)",', text)}
    assert len(kinds) > 10
    assert kinds == set(read_pages())
    for kind, page in read_pages().items():
        assert page.startswith(f"## {kind}\n")
        for part in ("**What it means.**", "**How to see it.**", "**What to do.**"):
            assert page.count(part) == 1, (kind, part)


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(infer.RunError, match="is no kind of finding.*low_ess"):
        infer.explain_finding("low_es")


def test_a_page_shows_itself_in_a_session_and_in_a_notebook():
    page = infer.explain_finding("divergences")
    assert repr(page) == str(page) == page._repr_markdown_()
    assert "What no run can show" not in infer.explain_finding("several_data_sets")


def test_the_wheel_holds_the_page_of_findings():
    settings = (PACKAGE.parent / "pyproject.toml").read_text()
    assert '"docs/findings.md" = "infer/output/findings.md"' in settings
