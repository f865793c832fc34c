"""Questions one may ask of a set: is this a member, give me one, how many free numbers has it."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Num

from .base import Bijector, Constraint, Shape
from .errors import BijectorError
from .registry import bijector_for
from .rule import Rules
from .table import RULES

Choice = Bijector | str | None


def in_support(constraint: Constraint, value: Num[Array, "..."] | float) -> Bool[Array, "..."]:
    """Tell which values are members of a set.

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
            f"Give an array of {constraint.event_ndims} axes or more.",
        )
    return constraint.contains(value)


def unconstrained_shape(
    constraint: Constraint, shape: Shape | None = None, choice: Choice = None, rules: Rules = RULES
) -> Shape:
    """Shape of the unconstrained value behind one of shape `shape` (by default the set's own)."""
    shape = constraint.declared_shape if shape is None else shape
    return bijector_for(constraint, shape, choice, rules).unconstrained_shape(shape)


def feasible_point(
    constraint: Constraint, shape: Shape | None = None, choice: Choice = None, rules: Rules = RULES
) -> Array:
    """Give a member of a set, in its middle where it has one: the image of zero.

    Of a redundant map, whose zero has no image, the image of ones.
    """
    shape = constraint.declared_shape if shape is None else shape
    bijector = bijector_for(constraint, shape, choice, rules)
    fill = jnp.ones if bijector.is_redundant else jnp.zeros
    return bijector.forward(fill(bijector.unconstrained_shape(shape)))


def coordinate_labels(
    name: str,
    constraint: Constraint,
    shape: Shape | None = None,
    choice: Choice = None,
    rules: Rules = RULES,
) -> list[str]:
    """Name every unconstrained number of a value: "mu", "w[0]", "L[2,1]"."""
    shape = constraint.declared_shape if shape is None else shape
    entries = bijector_for(constraint, shape, choice, rules).entries(shape)
    return [f"{name}[{','.join(map(str, entry))}]" if entry else name for entry in entries]
