"""Names, and globs of names: `*` matches part of one step of a path, `**` any number of steps."""

import re
from collections.abc import Iterable
from typing import Any

from ...errors import ModelError

# Regular expressions for the wildcards of a glob; longer wildcards come first.
_WILDCARDS = {"**.": r"(?:.*\.)?", ".**": r"(?:\..*)?", "**": ".*", "*": r"[^.]*", "?": "[^.]"}
_SPLIT = re.compile("(" + "|".join(map(re.escape, _WILDCARDS)) + ")")


def is_name(value: Any) -> bool:
    """Return whether a site or a dimension may be called so; ArviZ separates groups by "/"."""
    return isinstance(value, str) and value != "" and "/" not in value


def refuse_unnamed(name: Any) -> None:
    """Raise if a site may not be called so."""
    if not is_name(name):
        raise ModelError(
            repr(name), "a name must be a non-empty string without '/'", "Choose another name."
        )


def match_names(glob: str, names: Iterable[str]) -> list[str]:
    """List the names that a glob matches in full, in their order.

    "layers.*.weight" matches "layers.0.weight"; "**.weight" matches a weight anywhere. A
    leading dot is ignored, and a name that is equal to the glob always matches.
    """
    glob = glob.removeprefix(".")
    parts = _SPLIT.split(glob)
    pattern = re.compile("".join(_WILDCARDS.get(part, re.escape(part)) for part in parts))
    return [name for name in names if name == glob or pattern.fullmatch(name)]


def join_names(names: Iterable[str], most: int = 12) -> str:
    """Join names for an error; of many names, only the first `most`."""
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
