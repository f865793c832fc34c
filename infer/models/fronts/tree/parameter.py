"""Read the wrapper nodes of a tree that hold a value with its constraint and prior."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.core import Tracer

from bijectors.base import Bijector, Constraint
from bijectors.sets.cholesky import LowerCholesky
from bijectors.sets.interval import Interval
from bijectors.sets.nonnegative import Nonnegative
from bijectors.sets.positive import Positive
from bijectors.sets.real import Real
from bijectors.translate.numpyro import from_numpyro

from .unwrapped import Unwrapped, unwrap

# Under one of these names a node keeps its constraint.
_NAMES = ("constraint", "_constraint", "tag")
# What a constraint is called where it is a tag.
_TAGS: Mapping[str, Callable[[], Constraint]] = {
    "real": Real,
    "positive": Positive,
    "non_negative": Nonnegative,
    "sigmoid": lambda: Interval(0.0, 1.0),
    "lower_triangular": LowerCholesky,
}


@dataclass(frozen=True, eq=False)
class Parameter:
    """What a wrapper node says of the value it holds.

    Attributes:
        value: Its constrained value, an array.
        constraint: Set of its values; by default the prior's, or the reals.
        prior: Distribution of the constrained value.
        bijector: Map to use instead of the set's default.
        frozen: Whether it is not to be moved.
        attribute: Name of the attribute that holds the value itself. `None` if there is
            none: then a bare value takes the place of the node.
        inverse: From constrained values, with any leading axes, to the one array that such a
            node keeps instead. With it the node is made anew in results.
    """

    value: Any
    constraint: Constraint | None = None
    prior: Any = None
    bijector: Bijector | None = None
    frozen: bool = False
    attribute: str | None = None
    inverse: Callable[[Any], Any] | None = None


# Says what a node holds; `None` of a node that it does not know.
Read = Callable[[Any], Parameter | None]


def read_attributes(node: Any) -> Parameter | None:
    """Read a node that has a constraint, a value or `unwrap()`, and perhaps a prior.

    The constraint is one of ours or of NumPyro, or a tag such as "positive", under one of the
    names `constraint`, `_constraint` and `tag`. So GPJax's parameters are read.
    """
    found = _constraint(node) if _is_node(node) else None
    value = None if found is None else _value(node)
    if found is None or not _is_array(value):
        return None
    constraint, theirs = found
    bare = not _is_array(getattr(node, "value", None))
    return Parameter(
        value,
        constraint,
        getattr(node, "prior", None),
        frozen=_is_frozen(node),
        attribute=None if bare else "value",
        inverse=_inverse(node, theirs, value) if bare else None,
    )


def read_paramax(node: Any) -> Parameter | None:
    """Read a wrapper of paramax, such as `Parameterize` or `NonTrainable`.

    Its map is what `unwrap` does to the arrays inside that may be trained. One that holds no
    single array is left as it is.
    """
    paramax = sys.modules.get("paramax")
    if paramax is None or not isinstance(node, paramax.AbstractUnwrappable):
        return None
    value = unwrap(node)
    if not _is_array(value):
        return None
    if _is_frozen(node):
        return Parameter(value, frozen=True)
    trained = [place for place, moves in enumerate(_trained(node)) if moves]
    return Parameter(value, bijector=Unwrapped.of(node, trained) if trained else None)


READERS: tuple[Read, ...] = (read_attributes, read_paramax)


def spread_frozen(tree: Any) -> Any:
    """Move a `NonTrainable` around a whole sub-tree to each of its arrays."""
    paramax = sys.modules.get("paramax")
    if paramax is None:
        return tree

    def spread(node: Any) -> Any:
        whole = _is_non_trainable(node) and not _is_array(unwrap(node))
        return paramax.non_trainable(node.tree) if whole else node

    return jax.tree.map(spread, tree, is_leaf=_is_non_trainable)


def _is_node(node: Any) -> bool:
    kinds = type | jax.Array | np.ndarray | dist.Distribution | str
    is_open = is_dataclass(node) or not jax.tree_util.all_leaves([node])
    return is_open and not isinstance(node, kinds)


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray | float)


def _constraint(node: Any) -> tuple[Constraint, Any] | None:
    """Find a node's constraint, as ours and as it stands there."""
    for name in _NAMES:
        theirs = getattr(node, name, None)
        if isinstance(theirs, Constraint):
            return theirs, theirs
        if isinstance(theirs, str) and theirs in _TAGS:
            return _TAGS[theirs](), theirs
        if isinstance(theirs, dist.constraints.Constraint):
            return from_numpyro(theirs, type(node).__name__), theirs
    return None


def _value(node: Any) -> Any:
    value = getattr(node, "value", None)
    if _is_array(value):
        return value
    if unwrap(node) is not node:
        return unwrap(node)
    own = getattr(node, "unwrap", None)
    return unwrap(value) if own is None else own()


def _is_frozen(node: Any) -> bool:
    if getattr(node, "frozen", False) is True or getattr(node, "trainable", True) is False:
        return True
    inside = jax.tree.leaves(node, is_leaf=_is_non_trainable)
    return any(map(_is_non_trainable, inside)) and not any(_trained(node))


def _trained(node: Any) -> list[bool]:
    """Tell of each leaf of a node whether it is a float array that may be trained."""
    told: list[bool] = []
    for part in jax.tree.leaves(node, is_leaf=_is_non_trainable):
        held = jax.tree.leaves(part)
        told += [not _is_non_trainable(part) and eqx.is_inexact_array(leaf) for leaf in held]
    return told


def _is_non_trainable(node: Any) -> bool:
    paramax = sys.modules.get("paramax")
    return paramax is not None and isinstance(node, paramax.NonTrainable)


def _inverse(node: Any, theirs: Any, value: Any) -> Callable[[Any], Any] | None:
    """Find how a node keeps its value, if it does so in NumPyro's way."""
    arrays = [leaf for leaf in jax.tree.leaves(node) if eqx.is_inexact_array(leaf)]
    if not isinstance(theirs, dist.constraints.Constraint) or len(arrays) != 1:
        return None
    inverse = dist.biject_to(theirs).inv
    kept = jnp.asarray(inverse(value))
    if kept.shape != arrays[0].shape or isinstance(kept, Tracer):
        return None
    return inverse if np.allclose(kept, arrays[0], rtol=1e-3, atol=1e-3) else None
