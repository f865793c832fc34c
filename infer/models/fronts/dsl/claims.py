"""Names of sites, which are unique in a model and among its dimensions."""

from collections.abc import Collection

from ....errors import ModelError


def join_name(prefix: str, name: str) -> str:
    """Join a name to the prefix of its scope; refuse what is no name."""
    if not isinstance(name, str) or not name or "/" in name:
        raise ModelError(
            repr(name), "a name must be a non-empty string without '/'", "Choose another name."
        )
    return prefix + name


def refuse_taken(name: str, taken: Collection[str], dims: Collection[str]) -> None:
    """Raise if another quantity or a dimension has a name."""
    is_dim = name in dims
    if is_dim or name in taken:
        raise ModelError(
            name,
            "a dimension has this name" if is_dim else "the name is declared twice",
            "Give every site its own name; site.scope(prefix) gives copies different names.",
        )
