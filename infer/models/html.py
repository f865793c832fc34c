"""Round numbers for people, and lay results out for notebooks."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

# Digits of a number, and numbers of an array, that are shown.
DIGITS, SHOWN = 4, 12


def rounded(value: Any) -> str:
    """Write an array of numbers with four digits each, and a large one by its shape and range."""
    array = np.asarray(value)
    if array.size > SHOWN:
        shape = "x".join(map(str, array.shape))
        if array.dtype.kind not in "iuf":
            return f"array({shape})"
        return f"array({shape}, {_number(array.min())} to {_number(array.max())})"
    return _nested(array)


def _nested(array: Any) -> str:
    if np.ndim(array) == 0:
        return _number(np.asarray(array)[()])
    return f"[{', '.join(map(_nested, array))}]"


def _number(number: Any) -> str:
    return f"{number:.{DIGITS}g}" if np.asarray(number).dtype.kind in "iufc" else str(number)


def html_of_model(model: Any) -> str:
    """Lay the table of a model out; of one that cannot run, what is printed of it."""
    try:
        table = model.table()
    except Exception:  # noqa: BLE001 - a model that cannot run can still be shown
        return html_table(repr(model), ())
    heads, rows = table.cells()
    return html_table(type(model).__name__, rows, table.remarks, heads)


def html_table(
    title: str,
    rows: Sequence[Sequence[str]],
    remarks: Iterable[str] = (),
    heads: Sequence[str] = (),
) -> str:
    """Lay rows of text out as an HTML table, with remarks below."""
    below = "".join(f"<p>{escape(remark)}</p>" for remark in remarks)
    if not rows:
        return f"<div><strong>{escape(title)}</strong>{below}</div>"
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(text))}</td>" for text in row) + "</tr>" for row in rows
    )
    return (
        f"<div><strong>{escape(title)}</strong><table>"
        + (f"<thead><tr>{head}</tr></thead>" if heads else "")
        + f"<tbody>{body}</tbody></table>{below}</div>"
    )
