"""Pieces of an HTML page that needs nothing from outside; all text is escaped here."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files

from .plots import Picture

# Nothing may be loaded or run, even if a name of a site were not escaped.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_BAD = ' class="bad"'


def page(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """Put a page together.

    Args:
        title: Its heading, as text.
        lead: A sentence below the heading, as text.
        sections: Heading and HTML of each section.
    """
    style = files("infer.output.report").joinpath("page.css").read_text("utf-8")
    links = "".join(f'<li><a href="#{_id(h)}">{escape(h)}</a></li>' for h, _ in sections)
    body = "\n".join(
        f'<section id="{_id(heading)}" aria-labelledby="{_id(heading)}-heading">\n'
        f'<h2 id="{_id(heading)}-heading">{escape(heading)}</h2>\n{content}\n</section>'
        for heading, content in sections
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="lead">{escape(lead)}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main>
{body}
</main>
</body>
</html>
"""


def _id(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def paragraph(text: str) -> str:
    """Write a remark."""
    return f'<p class="note">{escape(text)}</p>'


def subheading(text: str) -> str:
    """Write a heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def plain(text: str) -> str:
    """Write text as it is laid out."""
    return f'<pre tabindex="0">{escape(text)}</pre>'


def verdict_box(head: str, findings: Sequence[str], is_bad: bool) -> str:
    """Write a sentence and a list of findings, green or red."""
    items = "".join(f"<li>{escape(finding)}</li>" for finding in findings)
    listed = f"<ol>{items}</ol>" if findings else ""
    return f'<div class="verdict{" bad" * is_bad}"><p>{escape(head)}</p>{listed}</div>'


def facts(named: Mapping[str, str]) -> str:
    """Lay out a few numbers with their names."""
    each = (f"<div><dt>{escape(n)}</dt><dd>{escape(v)}</dd></div>" for n, v in named.items())
    return f"<dl>{''.join(each)}</dl>"


def number_table(
    heads: Sequence[str], rows: Iterable[tuple[str, Sequence[tuple[str, bool]]]]
) -> str:
    """Write a table of numbers.

    Args:
        heads: Headings of all columns.
        rows: The name of each row, and its cells: their text, and whether to mark them.
    """
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td{_BAD * bad}>{escape(text)}</td>" for text, bad in cells)
        + "</tr>"
        for name, cells in rows
    )
    return (
        f'<div class="wide" tabindex="0"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def text_table(named: Mapping[str, str]) -> str:
    """Write a table of names and text."""
    rows = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>'
        for name, text in named.items()
    )
    return f'<table class="text"><tbody>\n{rows}\n</tbody></table>'


def figure(picture: Picture) -> str:
    """Write a plot with its caption, or say why it could not be drawn."""
    if picture.failure:
        text = f"ArviZ could not draw this plot ({picture.failure}). {picture.alt}"
        return f'<p class="failure">{escape(text)}</p>'
    source = f"data:image/png;base64,{b64encode(picture.png).decode()}"
    return (
        f'<figure><img src="{source}" alt="{escape(picture.alt)}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )
