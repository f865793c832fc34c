"""Every Python block of the docs and of the README runs, page by page, in order."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```python\n(.*?)```", re.S)
# Pages that take 8 to 26 seconds each, and of which few readers begin with one.
LATER = {
    "adding_a_bijector", "base_measures", "bayes_by_backprop", "blackjax", "calibration", "density",
    "flows", "freezing", "from_numpyro", "from_tfp", "many_data_sets", "models", "score_priors",
    "trees",
}  # fmt: skip


def pages():
    for page in PAGES:
        marks = [pytest.mark.slow] if page.stem in LATER else []
        if BLOCK.search(page.read_text()):
            yield pytest.param(page, id=page.stem, marks=marks)


@pytest.mark.parametrize("page", pages())
def test_the_blocks_of_a_page_run(page):
    code = "\n".join(BLOCK.findall(page.read_text()))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("script", "page"), [("translations", "translations"), ("mistakes", "errors")]
)
def test_a_generated_page_is_as_its_command_prints_it(script, page):
    command = [sys.executable, str(ROOT / "benchmarks" / f"{script}.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == (ROOT / "docs" / f"{page}.md").read_text()
