"""A rule says which map belongs to a type of set; its cases and domains let the tests prove it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict

from .base import Bijector, Constraint, Shape

# Finds the map of a part of a set, repeated over the batch axes of the part's shape.
Find = Callable[[Constraint, Shape], Bijector]


class Domain(NamedTuple):
    """Where a map keeps its promises in one precision.

    Attributes:
        radius: Largest |y| with a finite value, a member of the set, that maps back.
        tolerance: Largest error of y after a round trip, absolute.
    """

    radius: float
    tolerance: float


class Domains(TypedDict):
    """A domain for each precision, as keyword arguments of a rule."""

    float32: Domain
    float64: Domain


class Case(NamedTuple):
    """A set and the shape of a whole value of it, for tests.

    Attributes:
        constraint: The set.
        shape: Shape of a whole value.
        domains: Where the map keeps its promises at this size, if not where the rule says.
    """

    constraint: Constraint
    shape: Shape = ()
    domains: Domains | None = None


@dataclass(frozen=True)
class Rule:
    """One row of the table: a type of set, and how to build a map onto it.

    Attributes:
        constraint: Type of set, matched exactly.
        name: Name of the map, by which a site may ask for it.
        build: The map, or a function that makes it for one set of that type. In a rule of a
            set made of others, the function also takes one that finds their maps, called with
            a set and a shape. A function of a module can be pickled, a lambda cannot.
        cases: Sets and shapes on which the tests try the map.
        float32: Where the map keeps its promises in single precision.
        float64: The same in double precision.
        nested: Whether `build` takes that function as its second argument.
    """

    constraint: type[Constraint]
    name: str
    # Tables are hashed whenever a compiled program is looked up; a map's hash takes its time.
    build: Bijector | Callable[..., Bijector] = field(hash=False)
    cases: tuple[Case, ...] = field(default=(), repr=False, compare=False)
    float32: Domain = Domain(8.0, 2e-3)
    float64: Domain = Domain(20.0, 1e-6)
    nested: bool = False

    def domains(self, case: Case) -> Domains:
        """Where the map keeps its promises in one case."""
        return case.domains or {"float32": self.float32, "float64": self.float64}


Rules = tuple[Rule, ...]


def cases(constraint: Constraint, *shapes: Shape) -> tuple[Case, ...]:
    """List one set at several shapes of a whole value."""
    return tuple(Case(constraint, shape) for shape in shapes)
