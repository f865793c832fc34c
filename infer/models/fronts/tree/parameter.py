"""Read wrapper nodes of a tree: nodes that hold a value with its constraint and prior."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from bijectors.base import Bijector, Constraint
from bijectors.sets.cholesky import LowerCholesky
from bijectors.sets.interval import Interval
from bijectors.sets.nonnegative import Nonnegative
from bijectors.sets.positive import Positive
from bijectors.sets.real import Real

from ...priors import distributions as dist
from ...priors.distributions import is_constraint, is_distribution
from ...priors.sets import set_of
from .unwrapped import Unwrapped, unwrap

# Attributes under which a node may keep its constraint.
_NAMES = ("constraint", "_constraint", "tag")
# Constraints that are given as a tag.
_TAGS: Mapping[str, Callable[[], Constraint]] = {
    "real": Real,
    "positive": Positive,
    "non_negative": Nonnegative,
    "sigmoid": lambda: Interval(0.0, 1.0),
    "lower_triangular": LowerCholesky,
}


@dataclass(frozen=True, eq=False)
class Parameter:
    """What a wrapper node specifies for the value it holds.

    Attributes:
        value: Its constrained value, an array.
        constraint: Set of its values; by default the prior's, or the reals.
        prior: Distribution of the constrained value.
        bijector: Map to use instead of the set's default.
        frozen: Whether it is held fixed.
        attribute: Name of the attribute that holds the value itself. `None` if there is none:
            then the bare value replaces the node.
        inverse: From constrained values, with any leading axes, to the one array that such a
            node holds instead. With it, results contain the node rather than the bare value.
    """

    value: Any
    constraint: Constraint | None = None
    prior: Any = None
    bijector: Bijector | None = None
    frozen: bool = False
    attribute: str | None = None
    inverse: Callable[[Any], Any] | None = None


# Returns what a node specifies; `None` for a node that it does not know.
Read = Callable[[Any], Parameter | None]


def read_attributes(node: Any) -> Parameter | None:
    """Read a node that has a constraint, a value or `unwrap()`, and optionally a prior.

    The constraint is one of ours or of NumPyro, or a tag such as "positive", in the attribute
    `constraint`, `_constraint` or `tag`. This reads GPJax's parameters.
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

    Its map is what `unwrap` does to the trainable arrays inside. A wrapper whose value is not a
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
    trained = [index for index, is_trained in enumerate(_are_trained(node)) if is_trained]
    return Parameter(value, bijector=Unwrapped.of(node, trained) if trained else None)


READERS: tuple[Read, ...] = (read_attributes, read_paramax)


def spread_frozen(tree: Any) -> Any:
    """Replace a `NonTrainable` around a whole subtree by one around each of its arrays."""
    paramax = sys.modules.get("paramax")
    if paramax is None:
        return tree

    def spread(node: Any) -> Any:
        is_subtree = _is_non_trainable(node) and not _is_array(unwrap(node))
        return paramax.non_trainable(node.tree) if is_subtree else node

    return jax.tree.map(spread, tree, is_leaf=_is_non_trainable)


def _is_node(node: Any) -> bool:
    kinds = type | jax.Array | np.ndarray | str
    is_open = is_dataclass(node) or not jax.tree_util.all_leaves([node])
    return is_open and not isinstance(node, kinds) and not is_distribution(node)


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray | float)


def _constraint(node: Any) -> tuple[Constraint, Any] | None:
    """Return a node's constraint, as ours and as the node has it."""
    for name in _NAMES:
        theirs = getattr(node, name, None)
        if isinstance(theirs, Constraint):
            return theirs, theirs
        if isinstance(theirs, str) and theirs in _TAGS:
            return _TAGS[theirs](), theirs
        if is_constraint(theirs):
            return set_of(theirs, type(node).__name__), theirs
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
    return any(map(_is_non_trainable, inside)) and not any(_are_trained(node))


def _are_trained(node: Any) -> list[bool]:
    """Return, for each leaf of a node, whether it is a trainable array of floats."""
    found: list[bool] = []
    for part in jax.tree.leaves(node, is_leaf=_is_non_trainable):
        leaves = jax.tree.leaves(part)
        found += [not _is_non_trainable(part) and eqx.is_inexact_array(leaf) for leaf in leaves]
    return found


def _is_non_trainable(node: Any) -> bool:
    paramax = sys.modules.get("paramax")
    return paramax is not None and isinstance(node, paramax.NonTrainable)


def _inverse(node: Any, theirs: Any, value: Any) -> Callable[[Any], Any] | None:
    """Return the inverse map if the node holds unconstrained values as NumPyro maps them."""
    arrays = [leaf for leaf in jax.tree.leaves(node) if eqx.is_inexact_array(leaf)]
    if not is_constraint(theirs) or len(arrays) != 1:
        return None
    inverse = dist.biject_to(theirs).inv
    kept = jnp.asarray(inverse(value))
    if kept.shape != arrays[0].shape or isinstance(kept, Tracer):
        return None
    return inverse if np.allclose(kept, arrays[0], rtol=1e-3, atol=1e-3) else None
