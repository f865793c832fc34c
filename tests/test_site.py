"""The site says what the results of the benchmarks say, and leaves out no public name."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

from .public_names import LISTED

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
PICTURES = ROOT / "docs" / "pictures" / "gallery"
LANDING = (ROOT / "docs" / "index.md").read_text()
REFERENCE = (ROOT / "docs" / "api.md").read_text()
# Each number of the first page: what it is there, and what its result says.
NUMBERS = {
    "5.0 ×": (
        "peers.md",
        r"\| cold, fastest of NumPyro, BlackJAX and nutpie / ours .* 5\.0 \\\* \|\n",
    ),
    "7.9 ×": ("peers.md", r"\| ESS / s, ours / NumPyro and BlackJAX .* 7\.9 \|\n"),
    "3.8 ×": ("peers.md", r"\| ESS / s, ours / nutpie .* 3\.8 \|\n"),
    "150 : 0.6": ("geometry.md", r"\| funnel \| 0\.6 \(74\) \| 154\.9 \(0\) \| 150\.3 \(0\)"),
    "10,000": ("many_datasets.md", r"\| one call, compiling \| 10000 \|"),
    "200 kills": ("faults.md", r"make 200 kills(.|\n)* 0 failed"),
}


def test_the_first_page_has_no_number_without_a_result():
    assert re.findall(r"\[(.*)\]\{\.figure-of-merit\}", LANDING) == list(NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_of_the_first_page_is_that_of_its_result(number):
    file, line = NUMBERS[number]
    assert re.search(line, (RESULTS / file).read_text()), (
        f"{file} says otherwise: write its number into docs/index.md"
    )


def test_the_reference_has_every_public_name():
    names = {re.search(r"\.(\w+)", line)[1] for line in LISTED.read_text().splitlines()}
    documented = set(re.findall(r"\.\. (?:auto\w+|py:data):: (?:[\w.]+\.)?(\w+)", REFERENCE))
    assert names <= documented, names - documented


def test_every_example_has_a_small_picture_and_its_text_in_the_gallery():
    for suffix in ("png", "txt"):
        assert sorted(path.stem for path in PICTURES.glob(f"*.{suffix}")) == EXAMPLES
    assert all(path.stat().st_size < 60_000 for path in PICTURES.glob("*.png"))


# A signature of its own for each engine; and a handle that only `sample_in_background` makes.
WITHOUT_PARAMETERS = {"infer.Engine", "infer.BackgroundRun"}


def documented_parameters():
    for line in LISTED.read_text().splitlines():
        found = re.match(r"(?:class )?((\w+)\.(\w+))\(", line)
        if found and found[1] not in WITHOUT_PARAMETERS:
            public = getattr(importlib.import_module(found[2]), found[3])
            parents = public.__mro__ if isinstance(public, type) else (public,)
            yield found[1], public, " ".join(parent.__doc__ or "" for parent in parents)


def test_the_reference_says_something_about_every_parameter():
    silent = {
        name: missing
        for name, public, text in documented_parameters()
        if (missing := set(inspect.signature(public).parameters) - set(re.findall(r"\w+", text)))
    }
    assert silent == {}
