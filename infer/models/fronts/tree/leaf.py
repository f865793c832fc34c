"""What a user specifies for one leaf of a tree."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import isbuiltin, isfunction, ismethod
from typing import Any

from jaxtyping import Array

from bijectors.base import Bijector

from ....errors import ModelError
from ...priors.sets import is_set
from .parameter import Parameter

ROLES = ("frozen", "data", "static")
# A function of the values of the sites before, by path.
FunctionOfValues = Callable[[Mapping[str, Array]], Any]


@dataclass(frozen=True, eq=False)
class Leaf:
    """A leaf of a tree that is inferred, or may be.

    The prior is that of the constrained value. If a constraint is given as well, the prior is not
    renormalized over it. A leaf without a prior has a flat one.

    Attributes:
        prior: Distribution of NumPyro, or a function of the values of the sites before that
            returns one.
        constraint: A set of ours, a constraint of NumPyro or a bijector of TFP, or a function as
            above that returns one; by default the prior's support, or the reals.
        bijector: A map to use instead of the set's default, or its name.
        dims: Names of batch axes, then event axes.
        scale: Size of a typical move of its unconstrained numbers: it multiplies every engine's
            step along them. It changes neither the posterior nor the mode.
        frozen: Whether it stays at the value in the tree until `model.free` is called.
    """

    prior: Any = None
    constraint: Any = None
    bijector: Bijector | str | None = None
    dims: str | Sequence[str | None] | None = None
    scale: float | Array | None = None
    frozen: bool = False

    def fill_from(self, parameter: Parameter) -> "Leaf":
        """Fill in what is not given here from the wrapper node around the leaf."""
        constraint = parameter.constraint if self.constraint is None else self.constraint
        has_own_map = self.bijector is not None or self.constraint is not None
        return Leaf(
            parameter.prior if self.prior is None else self.prior,
            constraint,
            self.bijector if has_own_map else parameter.bijector,
            self.dims,
            self.scale,
            self.frozen or parameter.frozen,
        )


# What a user may give for a leaf; a function of the tree makes it a derived leaf.
Spec = Leaf | str | Callable[[Any], Any]


def read_spec(given: Any, where: str) -> Spec:
    """Read what a user gives for a leaf: a `Leaf`, a set, a role, a function or a prior.

    Raises:
        ModelError: It is a string that names no role.
    """
    if isinstance(given, Leaf):
        return given
    if is_set(given):
        return Leaf(constraint=given)
    if isinstance(given, str):
        if given not in ROLES:
            raise ModelError(
                where,
                f"{given!r} is not a role of a leaf",
                f"Give one of {', '.join(map(repr, ROLES))}, or an infer.Leaf.",
            )
        return given
    return given if is_function(given) else Leaf(prior=given)


def is_function(given: Any) -> bool:
    """Return whether this is a plain function, and not a distribution, which is callable too."""
    return isinstance(given, partial) or isfunction(given) or ismethod(given) or isbuiltin(given)
