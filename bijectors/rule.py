"""A rule assigns a map to a type of set; its cases and domains say what the tests check."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .base import Bijector, Constraint, Shape
from .domains import Domain, Domains

# Finds the map onto a part of a set, repeated over the batch axes of the part's shape.
Find = Callable[[Constraint, Shape], Bijector]


class Case(NamedTuple):
    """A set and the shape of a whole value, on which the tests check a map.

    Attributes:
        constraint: The set.
        shape: Shape of a whole value.
        domains: Domains at this size, if they differ from those of the rule.
    """

    constraint: Constraint
    shape: Shape = ()
    domains: Domains | None = None


@dataclass(frozen=True)
class Rule:
    """One row of the table: a type of set, and how to build a map onto it.

    Attributes:
        constraint: Type of set, matched exactly.
        name: Name of the map, with which a site can choose it.
        build: The map, or a function that makes the map for one set of that type. If the rule is
            `nested`, the function takes a second argument: a function of a set and a shape that
            finds the map onto a part. Functions of a module can be pickled, lambdas cannot.
        cases: Sets and shapes on which the tests check the map.
        float32: The domain in which the map is accurate in single precision.
        float64: The same in double precision.
        nested: Whether the set is made of other sets, so that `build` takes a second argument.
    """

    constraint: type[Constraint]
    name: str
    # Tables are hashed whenever a compiled program is looked up, and hashing a map is slow.
    build: Bijector | Callable[..., Bijector] = field(hash=False)
    cases: tuple[Case, ...] = field(default=(), repr=False, compare=False)
    float32: Domain = Domain(8.0, 2e-3)
    float64: Domain = Domain(20.0, 1e-6)
    nested: bool = False

    def domains(self, case: Case) -> Domains:
        """Return the domains in which the map is accurate for one case."""
        return case.domains or {"float32": self.float32, "float64": self.float64}


Rules = Sequence[Rule]


def cases(constraint: Constraint, *shapes: Shape) -> tuple[Case, ...]:
    """Make a case of one set for each of some shapes of a whole value.

    Args:
        constraint: The set.
        shapes: The shapes, each of a whole value with its batch axes.
    """
    return tuple(Case(constraint, shape) for shape in shapes)
