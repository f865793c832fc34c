"""A finding: one problem with a result, what to do about it, and the page that explains it."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..calls import check_arguments
from ..errors import RunError
from ..models.inputs.names import join_names

# In a wheel the page of findings lies beside this file; in a checkout it is among the docs.
PAGES = (Path(__file__).with_name("findings.md"), Path(__file__).parents[2] / "docs/findings.md")


@dataclass(frozen=True, eq=False, repr=False)
class Finding(str):
    """One problem with a result; as a string, the sentences that warn of it.

    Attributes:
        kind: Which problem it is, such as "divergences"; `infer.explain_finding` takes it.
        found: What was found.
        advice: What to do next; may be empty.
        sites: Names of the quantities it concerns, the worst first; empty if it concerns all.
    """

    kind: str
    found: str
    advice: str = ""
    sites: tuple[str, ...] = ()

    def __new__(cls, kind: str, found: str, advice: str = "", sites: tuple[str, ...] = ()):
        page = f'infer.explain_finding("{kind}") says more.'
        return super().__new__(cls, " ".join(part for part in (found, advice, page) if part))

    def __reduce__(self):
        return type(self), (self.kind, self.found, self.advice, self.sites)

    @property
    def link(self) -> str:
        """Where the documentation explains this kind of finding, relative to the repository."""
        return f"docs/findings.md#{self.kind}"


class Page(str):
    """A page of the documentation, in Markdown."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        return str(self)


@check_arguments("infer.explain_finding")
def explain_finding(kind: str) -> Page:
    """Return what the documentation says about a kind of finding.

    Args:
        kind: A finding, or its kind, such as "divergences".

    Returns:
        What it means, how to see it and what to do, in Markdown; a string.

    Raises:
        RunError: There is no such kind.
    """
    name, pages = str(getattr(kind, "kind", kind)), read_pages()
    if name not in pages:
        kinds = f"The kinds are {join_names(pages, len(pages))}."
        raise RunError("kind", f"{name!r} is no kind of finding", kinds)
    return pages[name]


@cache
def read_pages() -> dict[str, Page]:
    """Read the page of findings, section by section; each heading is a kind."""
    text = next(path for path in PAGES if path.exists()).read_text(encoding="utf-8")
    # A heading of one word is a kind.
    sections = re.finditer(r"^## (\w+)\n.*?(?=^## |\Z)", text, flags=re.M | re.S)
    return {section[1]: Page(section[0].strip()) for section in sections}
