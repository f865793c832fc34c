"""Cases of one test, of which `make test` runs some and `make test-all` every one."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def mark_slow(cases: Iterable[Any], quick: Collection[Any]) -> list[Any]:
    """Return parameters for all cases, marked slow except for the quick ones."""
    cases = list(cases)
    assert set(quick) <= set(cases), "a quick case does not exist"
    return [pytest.param(case, marks=[] if case in quick else [pytest.mark.slow]) for case in cases]
