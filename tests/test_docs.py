"""Every Python block of the docs and of the README runs, page by page, in order."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from .scripts import run_script

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```python\n(.*?)```", re.S)
# The quickest pages, 2 s of CPU each; the others take 5 to 25, so `make test-all` runs them.
QUICK = {"README", "adding_an_engine", "findings"}
# Pages about a library that `make test` does not install.
NEEDS = {
    "cluster": ("distributed",),
    "pymc": ("pymc", "bambi"),
    "coming_from_pymc": ("pymc",),
    "stan": ("stanli", "bridgestan"),
}


def pages():
    for page in PAGES:
        marks = [] if page.stem in QUICK else [pytest.mark.slow]
        lacking = [name for name in NEEDS.get(page.stem, ()) if find_spec(name) is None]
        if lacking:
            marks.append(pytest.mark.skip(reason=f"{lacking[0]} is not installed"))
        if BLOCK.search(page.read_text()):
            yield pytest.param(page, id=page.stem, marks=marks)


def code_of(page):
    """Return the blocks of a page, with each line where it stands on the page."""
    text, code = page.read_text(), ""
    for block in BLOCK.finditer(text):
        above = text[: block.start(1)].count("\n") - code.count("\n")
        code += "\n" * above + block[1]
    return code


@pytest.mark.parametrize("page", [*pages()])
def test_the_blocks_of_a_page_run(page, tmp_path):
    # A name that hides no package: `docs/blackjax.md` imports BlackJAX.
    script = tmp_path / f"page_{page.stem}.py"
    script.write_text(code_of(page))
    run_script(script)


def test_every_front_end_has_five_mistakes():
    text = (ROOT / "docs" / "errors.md").read_text()
    counts = {part.split("\n")[0]: part.count("\n### ") for part in text.split("\n## ")[1:]}
    assert len(counts) == 9
    assert min(counts.values()) >= 5, counts


@pytest.mark.parametrize(
    ("script", "page"), [("translations", "translations"), ("mistakes", "errors")]
)
def test_a_generated_page_is_as_its_command_prints_it(script, page, capsys):
    run_script(ROOT / "benchmarks" / f"{script}.py")
    assert capsys.readouterr().out == (ROOT / "docs" / f"{page}.md").read_text()
