"""What tells a model from all others, in every process: its traced program and what is declared."""

from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr

from .protocol.account import Account
from .protocol.surveyor import Surveyor

# Packages whose classes compute the same wherever their source is the same.
KNOWN = ("bijectors", "infer", "jax", "jaxlib", "numpy", "numpyro")


class Outline(NamedTuple):
    """What a model computes, as far as one abstract run of it shows.

    Attributes:
        program: From the leaves of the model to its log density, its derived and its observed
            values, and what `list_results` lists.
        terms: Name and role of each term, whether it has a value, and whether it is partial.
        is_whole: Whether nothing else decides what the model computes: no distribution, set or map
            is of a class of the user's own, and no site is summed out or repeated.
    """

    program: ClosedJaxpr
    terms: tuple[tuple[str, str, bool, bool], ...]
    is_whole: bool


def list_results(account: Account) -> list[Any]:
    """List the rows of each term, and the value of each latent site, which its map decides."""
    images = [image.value for image in account.images.values()]
    return [term.rows for term in account.terms] + images


def outline(program: ClosedJaxpr, account: Account, surveyor: Surveyor) -> Outline:
    """Gather what an abstract run found."""
    terms = tuple((t.name, t.role, t.has_value, t.is_partial) for t in account.terms)
    parts = [(d.constraint, d.prior, d.bijector) for d in account.declarations]
    is_plain = not (account.summed or account.divided or surveyor.in_steps)
    return Outline(program, terms, is_plain and all(map(_is_known, parts)))


def _is_known(value: Any) -> bool:
    """Return whether a value, and all that it is made of, is of known classes."""
    kind = type(value)
    if isinstance(value, tuple | list):
        return all(map(_is_known, value))
    if isinstance(value, dict):
        return all(map(_is_known, value.values()))
    if value is None or isinstance(value, jax.Array) or kind.__module__ == "builtins":
        # A function may be anyone's.
        return not callable(value) or _is_of_known_package(value)
    if not _is_of_known_package(value if isinstance(value, type) else kind):
        return False
    return isinstance(value, type) or _is_known(getattr(value, "__dict__", {}))


def _is_of_known_package(value: Any) -> bool:
    return (getattr(value, "__module__", None) or "").split(".")[0] in KNOWN
