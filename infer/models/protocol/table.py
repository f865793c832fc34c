"""A printable table of every quantity of a model."""

from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from bijectors.base import Shape


class Row(NamedTuple):
    """One quantity of a model.

    Attributes:
        name: Name of the site, or path of the leaf.
        role: What it is: free, frozen, data, static, derived or observed.
        shape: Shape of its value; `None` if it is not an array.
        set: Name of the type of its set.
        prior: Name of the type of its prior, or "flat".
        note: Name of its map if it is free, or another remark.
    """

    name: str
    role: str
    shape: Shape | None
    set: str = ""
    prior: str = ""
    note: str = ""


class Table(NamedTuple):
    """Rows, which print as columns with a line of totals, and remarks on priors."""

    rows: tuple[Row, ...]
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        heads, rows = self.cells()
        return "\n".join([*align([heads, *rows]), self._totals(), *self.remarks])

    def cells(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return the heads of the columns, and the text of each row."""
        heads = ("name", "role", "shape", "set", "prior", "map or note")
        return heads, [(r.name, r.role, _text(r.shape), *r[3:]) for r in self.rows]

    def role_of(self, name: str) -> str:
        """Return the role of a quantity."""
        return {row.name: row.role for row in self.rows}[name]

    def _totals(self) -> str:
        """Count the rows of each role and, in parentheses, the numbers in them."""
        count, numbers = Counter(), Counter()
        for row in self.rows:
            count[row.role] += 1
            numbers[row.role] += 0 if row.shape is None else prod(row.shape)
        return "; ".join(f"{count[role]} {role} ({numbers[role]})" for role in count)


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Write rows of text as lines whose columns are aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _text(shape: Shape | None) -> str:
    return "" if shape is None else f"[{', '.join(map(str, shape))}]"
