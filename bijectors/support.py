"""Query a set: membership, a feasible point, its unconstrained shape and coordinate labels."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Num

from .base import Bijector, Constraint, Shape
from .errors import BijectorError
from .registry import BijectorChoice, bijector_for
from .rule import Rules
from .table import RULES


def in_support(constraint: Constraint, value: Num[Array, "..."] | float) -> Bool[Array, "..."]:
    """Return which values are members of a set.

    Args:
        constraint: The set.
        value: Shape (*batch, *event).

    Returns:
        Shape (*batch,); false for NaN.

    Raises:
        BijectorError: The value has fewer axes than one member.
    """
    value = jnp.asarray(value)
    if value.ndim < constraint.event_ndims:
        raise BijectorError(
            repr(constraint),
            f"a value of shape {value.shape} has fewer axes than one member",
            f"Give an array with at least {constraint.event_ndims} axes.",
        )
    return constraint.contains(value)


def unconstrained_shape(
    constraint: Constraint,
    shape: Shape | None = None,
    choice: BijectorChoice = None,
    rules: Rules = RULES,
) -> Shape:
    """Return the shape of the unconstrained value that maps to a value of shape `shape`.

    Args:
        constraint: The set.
        shape: Shape of the whole value; by default, the shape that the set declares.
        choice: Name of a rule, or a map; by default, the default rule of the set.
        rules: The rules among which the map is chosen.
    """
    bijector, shape = _find_bijector(constraint, shape, choice, rules)
    return bijector.unconstrained_shape(shape)


def feasible_point(
    constraint: Constraint,
    shape: Shape | None = None,
    choice: BijectorChoice = None,
    rules: Rules = RULES,
) -> Array:
    """Return a member of a set, central if the set has a center: the image of zero.

    For a redundant map, under which zero has no image, it is the image of ones.

    Args:
        constraint: The set.
        shape: Shape of the whole value; by default, the shape that the set declares.
        choice: Name of a rule, or a map; by default, the default rule of the set.
        rules: The rules among which the map is chosen.

    Returns:
        The member, of shape `shape`.
    """
    bijector, shape = _find_bijector(constraint, shape, choice, rules)
    fill = jnp.ones if bijector.is_redundant else jnp.zeros
    return bijector.forward(fill(bijector.unconstrained_shape(shape)))


def coordinate_labels(
    name: str,
    constraint: Constraint,
    shape: Shape | None = None,
    choice: BijectorChoice = None,
    rules: Rules = RULES,
) -> list[str]:
    """Name every unconstrained number of a value: "mu", "w[0]", "L[2,1]".

    Args:
        name: Name of the value.
        constraint: The set.
        shape: Shape of the whole value; by default, the shape that the set declares.
        choice: Name of a rule, or a map; by default, the default rule of the set.
        rules: The rules among which the map is chosen.

    Returns:
        As many labels as the unconstrained value has numbers, in their order.
    """
    bijector, shape = _find_bijector(constraint, shape, choice, rules)
    entries = bijector.find_entries(shape)
    return [f"{name}[{','.join(map(str, entry))}]" if entry else name for entry in entries]


def _find_bijector(
    constraint: Constraint, shape: Shape | None, choice: BijectorChoice, rules: Rules
) -> tuple[Bijector, Shape]:
    shape = constraint.declared_shape if shape is None else shape
    return bijector_for(constraint, shape, choice, rules), shape
