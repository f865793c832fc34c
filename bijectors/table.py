"""The table of rules, whose rows are imported with the sets that they are for.

A new set needs one file in `sets`, one row in `rows`, the name of its file in `FILES`, and one line
in `__init__.pyi`. Few models need more than three of the sets.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib import import_module
from typing import Any, final

from .base import Constraint
from .rule import Rule, Rules

# For each file of `rows`, the files of `sets` of which it has all rules.
FILES = {
    "numbers": ("real", "positive", "nonnegative"),
    "bounded": ("negative", "bounds", "interval", "circular", "complex"),
    "vectors": (
        "simplex", "log_simplex", "stochastic", "zero_sum", "ordered", "descending",
        "positive_ordered", "sphere", "ball", "concatenation", "circulant",
    ),
    "matrices": ("cholesky", "correlation_cholesky", "correlation", "covariance"),
}  # fmt: skip
SETS = f"{__package__}.sets"


@final
class Table(Rules):
    """The rules of this package, a sequence whose parts are imported when a set needs them.

    It equals itself alone, and is pickled by its name.

    Attributes:
        files: As `FILES`.
    """

    def __init__(self, files: Mapping[str, tuple[str, ...]]) -> None:
        self.files = files

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """All rules."""
        return tuple(rule for file in self.files for rule in _import_rows(file))

    def rules_near(self, kind: type[Constraint]) -> Rules:
        """Return the rules of one file, among which are all for one type of set."""
        package, _, name = kind.__module__.rpartition(".")
        found = [f for f, own in self.files.items() if name in own and package == SETS]
        return _import_rows(*found) if found else ()

    def __getitem__(self, index: Any) -> Any:
        return self.rules[index]

    def __len__(self) -> int:
        return len(self.rules)

    def __add__(self, others: Iterable[Rule]) -> tuple[Rule, ...]:
        return (*self, *others)

    def __radd__(self, others: Iterable[Rule]) -> tuple[Rule, ...]:
        return (*others, *self)

    def __repr__(self) -> str:
        return "bijectors.RULES"

    def __reduce__(self) -> str:
        return "RULES"


def _import_rows(file: str) -> Rules:
    return import_module(f"{__package__}.rows.{file}").RULES


RULES = Table(FILES)
