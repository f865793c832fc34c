"""Pick names by glob: `*` stands for part of one step of a path, `**` for any number of steps."""

import re
from collections.abc import Iterable

# What each sign of a glob stands for; the longer signs come first.
_SIGNS = {"**.": r"(?:.*\.)?", ".**": r"(?:\..*)?", "**": ".*", "*": r"[^.]*", "?": "[^.]"}
_SPLIT = re.compile("(" + "|".join(map(re.escape, _SIGNS)) + ")")


def matching(glob: str, names: Iterable[str]) -> list[str]:
    """List the names that a glob matches whole, in their order.

    "layers.*.weight" matches "layers.0.weight"; "**.weight" matches a weight anywhere. A
    leading dot is ignored, and a name that is equal to the glob always matches.
    """
    glob = glob.removeprefix(".")
    parts = _SPLIT.split(glob)
    pattern = re.compile("".join(_SIGNS.get(part, re.escape(part)) for part in parts))
    return [name for name in names if name == glob or pattern.fullmatch(name)]


def listed(names: Iterable[str], most: int = 12) -> str:
    """Join names for an error, the first few of them."""
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
