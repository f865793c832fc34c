"""What tells a model from all others, in every process: its traced program and what is declared."""

import sys
from collections import OrderedDict
from hashlib import sha256
from types import FunctionType
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr

from .protocol.account import Account
from .protocol.site import Declaration
from .protocol.surveyor import Surveyor

# Packages whose classes compute the same wherever their source is the same.
KNOWN = ("bijectors", "infer", "jax", "jaxlib", "numpy", "numpyro")
PLAIN = (type(None), bool, int, float, complex, str, bytes)


class Outline(NamedTuple):
    """What a model computes, as far as one abstract run of it shows.

    Attributes:
        program: From the leaves of the model to its log density, its derived and its observed
            values, and what `list_results` lists.
        terms: Name and role of each term, whether it has a value, and whether it is partial.
        declared: Describes the distributions, sets and maps of the sites, whose arrays are results
            of the program; None if something else decides what the model computes: one of them is
            of a class of the user's own, a site is summed out or repeated, or a plate has a
            minibatch.
    """

    program: ClosedJaxpr
    terms: tuple[tuple[str, str, bool, bool], ...]
    declared: str | None


def list_results(account: Account, surveyor: Surveyor) -> tuple[list[Any], str | None]:
    """List the rows of each term, the images of latent sites, and the arrays of what is declared.

    Returns:
        The arrays, and `Outline.declared`. Some of what is declared is in no term: the bounds of a
        set beside a map that is given, or the location of a prior that is masked.
    """
    results = [[term.rows for term in account.terms], list(account.images.values())]
    if account.summed or account.divided or surveyor.in_steps or surveyor.minibatches:
        return jax.tree.leaves(results), None
    declared = [*account.declarations, *account.frozen.values()]
    try:
        described = "\n".join(map(_describe_declaration, declared))
    except (_UnknownError, RecursionError):
        return jax.tree.leaves(results), None
    arrays = [jax.tree.leaves(_list_parts(own)) for own in declared]
    results.append([a for own in arrays for a in own if isinstance(a, jax.Array)])
    return jax.tree.leaves(results), described


def outline(program: ClosedJaxpr, account: Account, declared: str | None) -> Outline:
    """Gather what an abstract run found."""
    terms = tuple((t.name, t.role, t.has_value, t.is_partial) for t in account.terms)
    return Outline(program, terms, declared)


class _UnknownError(Exception):
    """Something may be another in another process, although it looks the same."""


def _list_parts(declaration: Declaration) -> tuple[Any, ...]:
    prior = declaration.prior
    return declaration.constraint, prior and prior.distribution, declaration.bijector


def _describe_declaration(declaration: Declaration) -> str:
    return _describe((declaration.name, *_list_parts(declaration), declaration.prior))


def _describe(value: Any) -> str:
    """Describe a value, and all that it is made of, but for the numbers in traced arrays.

    Raises:
        _UnknownError: Some part is a function, or of a class, that is not known.
    """
    kind = type(value)
    if kind in PLAIN:
        return f"{kind.__name__} {value!r}"
    if isinstance(value, Tracer):
        return f"{value.dtype}{value.shape}"
    if isinstance(value, jax.Array | np.ndarray | np.generic | np.dtype):
        return _describe_numbers(value)
    if isinstance(value, tuple | list):
        return f"{_name_known(kind)}({', '.join(map(_describe, value))})"
    if kind is OrderedDict:
        return f"ordered {_describe(list(value.items()))}"
    if isinstance(value, dict):
        parts = sorted((str(key), _describe(own)) for key, own in value.items())
        return f"{_name_known(kind)}{parts}"
    if isinstance(value, type | FunctionType):
        return _name_known(value)
    if kind.__module__ == "builtins" or not hasattr(value, "__dict__"):
        raise _UnknownError(value)
    return f"{_name_known(kind)}{_describe(value.__dict__)}"


def _describe_numbers(value: Any) -> str:
    if isinstance(value, np.dtype):
        return f"type {value}"
    if value.dtype.hasobject or jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended):
        raise _UnknownError(value)
    return f"{value.dtype}{value.shape}{sha256(np.asarray(value).tobytes()).hexdigest()}"


def _name_known(value: Any) -> str:
    """Return where a class or a function of a known package is found."""
    module, name = value.__module__ or "", value.__qualname__
    if module.split(".")[0] not in (*KNOWN, "builtins"):
        raise _UnknownError(value)
    # A decorator such as `functools.wraps` gives a function of the user's the name of another.
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not value:
        raise _UnknownError(value)
    return f"{module}.{name}"
