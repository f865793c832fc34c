"""The pages that are written when the site is built: one for each example and each finding."""

import ast
import re
from pathlib import Path

from infer.output.finding import read_pages

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
PICTURES = DOCS / "pictures" / "gallery"
# The order of the gallery; an example that is missing here comes last.
ORDER = """
eight_schools hierarchical_regression crossed_effects mixture hidden_markov gaussian_process
time_series survival item_response ode spatial galaxy_scene bayesian_network evidence
many_data_sets minibatch bioassay diabetes power_law
"""
RANK = {name: rank for rank, name in enumerate(ORDER.split())}


def write_pages():
    """Write the pages of the gallery and of the findings."""
    write_all(DOCS / "gallery", dict(gallery_pages()))
    write_all(DOCS / "findings", dict(finding_pages()))


def write_all(folder, pages):
    """Write pages into a folder, leave those that have not changed, and remove all others."""
    folder.mkdir(exist_ok=True)
    for file in folder.glob("*.md"):
        if file.stem not in pages:
            file.unlink()
    for name, text in pages.items():
        file = folder / f"{name}.md"
        if not file.exists() or file.read_text() != text:
            file.write_text(text)


def gallery_pages():
    """Yield a name and a text for each page of the gallery; the first shows them all."""
    names = [path.stem for path in EXAMPLES.glob("*.py")]
    names = [name for name in names if (PICTURES / f"{name}.png").exists()]
    names.sort(key=lambda name: (RANK.get(name, len(RANK)), name))
    examples = {name: read_example(name) for name in names}
    cards = "\n".join(CARD.format(name=name, **examples[name]) for name in names)
    entries = "\n".join(f"{examples[name]['title']} <{name}>" for name in names)
    yield "index", GALLERY.format(cards=cards, entries=entries)
    for name in names:
        yield name, EXAMPLE.format(name=name, **examples[name])


def read_example(name):
    """Return what the first lines of an example say, and the number of the line after them.

    The first line is a title, a colon, and what the example shows.
    """
    tree = ast.parse((EXAMPLES / f"{name}.py").read_text())
    first, _, text = ast.get_docstring(tree).partition("\n\n")
    title, _, shown = " ".join(first.split()).rstrip(".").partition(": ")
    shown, line = shown[:1].upper() + shown[1:], tree.body[0].end_lineno + 2
    return {"title": title, "shown": shown, "text": text, "line": line}


def finding_pages():
    """Yield a name and a text for each kind of finding, and a list of all kinds."""
    pages = read_pages()
    rows = "\n".join(f"| []({kind}.md) | {first_sentence(text)} |" for kind, text in pages.items())
    yield "index", FINDINGS.format(rows=rows, kinds="\n".join(pages))
    for kind, text in pages.items():
        yield kind, f"({kind})=\n{relink(text, pages).replace('## ', '# ', 1)}\n"


def first_sentence(text):
    """Return the first sentence of what a finding means, without links and on one line."""
    meaning = text.partition("**What it means.**")[2].partition("\n\n")[0]
    line = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(meaning.split()))
    return re.match(r".*?[.:](?=\s|$)", line)[0].rstrip(":.") + "."


def relink(text, kinds):
    """Turn the links of one long page into links of a page in a folder."""

    def point(link):
        return f"]({'' if link[1] in kinds else '../'}{link[1]}.md"

    text = re.sub(r"\]\(#(\w+)", r"](\1.md", text)
    return re.sub(r"\]\((\w+)\.md", point, text)


CARD = """:::{{grid-item-card}} {title}
:link: {name}
:link-type: doc
:img-top: ../pictures/gallery/{name}.png
:img-alt: {shown}

{shown}
:::
"""

GALLERY = """# Gallery

Each example is one script in `examples/`, with real or simulated data and a check that its answer
is right. Run one with `python examples/eight_schools.py`; `python -m benchmarks.gallery` makes the
pictures.

::::{{grid}} 1 2 2 3
:gutter: 3
:class-container: gallery

{cards}
::::

```{{toctree}}
:hidden:

{entries}
```
"""

EXAMPLE = """# {title}

{shown}.

![{title}: {shown}](../pictures/gallery/{name}.png)

{text}

```{{literalinclude}} ../../examples/{name}.py
:language: python
:class: example
:lines: {line}-
```

It prints

```{{literalinclude}} ../pictures/gallery/{name}.txt
:language: text
:class: example
```

{{download}}`{name}.py <../../examples/{name}.py>`
"""

FINDINGS = """# Every warning

The kinds of problems that `infer.sample`, `infer.maximize` and `infer.fit` find in their results.
`infer.explain_finding(kind)` returns the same pages in a session; [](../findings.md) says how
findings are used.

| kind | what it means |
| --- | --- |
{rows}

```{{toctree}}
:hidden:

{kinds}
```
"""


def setup(app):
    """Write the pages before Sphinx looks for pages."""
    app.connect("config-inited", lambda app, config: write_pages())
    return {"parallel_read_safe": True}
