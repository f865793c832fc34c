"""What a user says of one leaf of a tree."""

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
# A function of the values settled before, by path.
Rule = Callable[[Mapping[str, Array]], Any]


@dataclass(frozen=True, eq=False)
class Leaf:
    """A leaf of a tree that is inferred, or may be.

    The prior is that of the constrained value. Where the constraint is given beside it, the
    prior is not renormalized over it. Without a prior the leaf has a flat one.

    Attributes:
        prior: Distribution of NumPyro, or a function of the values settled before that
            returns one.
        constraint: A set of ours, a constraint of NumPyro or a bijector of TFP, or a function as
            above that returns one; by default the prior's support, or the reals.
        bijector: A map to use instead of the set's default, or its name.
        dims: Names of batch axes, then event axes.
        scale: Size of a typical move of its unconstrained numbers: every engine's step along
            it is so many times as long. It changes neither posterior nor mode.
        frozen: Whether it is held at the value in the tree until `model.free` is called.
    """

    prior: Any = None
    constraint: Any = None
    bijector: Bijector | str | None = None
    dims: str | Sequence[str | None] | None = None
    scale: float | Array | None = None
    frozen: bool = False

    def over(self, parameter: Parameter) -> "Leaf":
        """Fill in what is not said here by what a wrapper node says of itself."""
        constraint = parameter.constraint if self.constraint is None else self.constraint
        ours = self.bijector is not None or self.constraint is not None
        return Leaf(
            parameter.prior if self.prior is None else self.prior,
            constraint,
            self.bijector if ours else parameter.bijector,
            self.dims,
            self.scale,
            self.frozen or parameter.frozen,
        )


# What may be said of a leaf; a function of the tree makes it a derived one.
Spec = Leaf | str | Callable[[Any], Any]


def spec_of(said: Any, where: str) -> Spec:
    """Read what is said of a leaf: a `Leaf`, a set, a role, a function or a prior.

    Raises:
        ModelError: It is a word that names no role.
    """
    if isinstance(said, Leaf):
        return said
    if is_set(said):
        return Leaf(constraint=said)
    if isinstance(said, str):
        if said not in ROLES:
            raise ModelError(
                where,
                f"{said!r} says nothing of a leaf",
                f"Say one of {', '.join(map(repr, ROLES))}, or give an infer.Leaf.",
            )
        return said
    return said if is_rule(said) else Leaf(prior=said)


def is_rule(said: Any) -> bool:
    """Tell a plain function from a distribution, which can be called too."""
    return isinstance(said, partial) or isfunction(said) or ismethod(said) or isbuiltin(said)
