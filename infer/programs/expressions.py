"""Find arrays of a program that the same expression computes more than once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn, Literal

# Expressions of more operations, one in the other, count as different.
DEEPEST = 64

# A computed array: in which call of an inner program, and its variable there.
Origin = tuple[int, Any]


class Call(NamedTuple):
    """One call of an inner program.

    Attributes:
        jaxpr: The program.
        constants: Values of its variables that nothing in it computes, as far as they are known.
        caller: In which call it was called; None for the whole program.
        arguments: Atoms of the caller that are its first arguments: all of them, but for those that
            a loop changes.
        results: Variables of the caller; none for a loop or a branch.
    """

    jaxpr: Any
    constants: Sequence[Any] = ()
    caller: int | None = None
    arguments: Sequence[Any] = ()
    results: Sequence[Any] = ()


class Expressions:
    """Expressions of a program and of those that it calls, compared by what they compute from."""

    def __init__(self) -> None:
        self.calls: dict[int, Call] = {}
        self.inner: dict[Origin, Origin] = {}
        self.outer: dict[Origin, Origin] = {}
        self.makers: dict[Any, dict[Any, tuple[int, JaxprEqn]]] = {}
        self.known: dict[tuple[int, Origin, Origin], bool] = {}
        self.uses: Counter[Any] = Counter()

    def note(self, number: int, call: Call) -> None:
        """Note a call; its number is larger than that of its caller."""
        self.calls[number] = call
        self.uses[call.jaxpr] += 1
        if call.caller is not None:
            for own, result in zip(call.results, call.jaxpr.outvars, strict=False):
                self.inner[call.caller, own] = number, result
                if not isinstance(result, Literal):
                    self.outer.setdefault((number, result), (call.caller, own))

    def find_copies(
        self, left: Iterable[Origin], right: Iterable[Origin]
    ) -> Iterator[tuple[Any, Any]]:
        """Find arrays on the left that an expression on the right computes again.

        All calls must have been noted.

        Yields:
            Two variables of one program that hold the same in all its calls, the first one first.
        """
        by_name: dict[Any, list[Origin]] = defaultdict(list)
        for origin in right:
            if found := self._find_maker(origin):
                by_name[found[1].primitive].append(origin)
        for one in left if by_name else ():
            found = self._find_maker(one)
            for other in by_name[found[1].primitive] if found else ():
                if pair := self._lift(one, other):
                    yield pair

    def _lift(self, one: Origin, other: Origin) -> tuple[Any, Any] | None:
        """Return the variables of two arrays where both are visible, if the arrays are the same."""
        highest, lowest = sorted((one, other), key=lambda origin: origin[0])
        while highest[0] != lowest[0]:
            if lowest not in self.outer:
                return None
            highest, lowest = sorted((highest, self.outer[lowest]), key=lambda origin: origin[0])
        found = self._find_maker(highest), self._find_maker(lowest)
        if not (found[0] and found[1]) or highest == lowest:
            return None
        if not self._are_same(highest[0], highest, lowest, DEEPEST):
            return None
        pair = (highest[1], lowest[1])
        return pair if found[0][0] <= found[1][0] else pair[::-1]

    def _find_maker(self, origin: Origin) -> tuple[int, JaxprEqn] | None:
        """Return the equation that makes an array, and its place; None if it enters a program."""
        jaxpr = self.calls[origin[0]].jaxpr
        if jaxpr not in self.makers:
            equations = enumerate(jaxpr.eqns)
            self.makers[jaxpr] = {own: (n, made) for n, made in equations for own in made.outvars}
        return self.makers[jaxpr].get(origin[1])

    def _resolve(self, top: int, origin: Origin) -> Origin:
        """Follow arguments and results of calls to where an array is computed.

        What enters `top` is followed no further if its program is called elsewhere too, perhaps
        with other arguments.
        """
        while not isinstance(origin[1], Literal):
            call = self.calls[origin[0]]
            if origin in self.inner:
                origin = self.inner[origin]
                continue
            known = zip(call.jaxpr.invars, call.arguments, strict=False)
            outside = next((given for own, given in known if own is origin[1]), None)
            is_shared = origin[0] == top and self.uses[call.jaxpr] > 1
            if call.caller is None or outside is None or is_shared:
                break
            origin = call.caller, outside
        return origin

    def _are_same(self, top: int, one: Origin, other: Origin, depth: int) -> bool:
        """Return whether two arrays in the call `top` are always computed alike."""
        one, other = self._resolve(top, one), self._resolve(top, other)
        if one == other:
            return True
        if isinstance(one[1], Literal) or isinstance(other[1], Literal):
            return self._are_same_constants(one, other)
        key = top, one, other
        if key not in self.known:
            self.known[key] = depth > 0 and self._are_made_alike(top, one, other, depth - 1)
        return self.known[key]

    def _are_made_alike(self, top: int, one: Origin, other: Origin, depth: int) -> bool:
        found, again = self._find_maker(one), self._find_maker(other)
        if found is None or again is None:
            return self._are_same_constants(one, other)
        first, second = found[1], again[1]
        pairs = zip(first.invars, second.invars, strict=False)
        return (
            first.primitive is second.primitive
            and not (first.effects or second.effects)
            and len(first.invars) == len(second.invars)
            and first.outvars.index(one[1]) == second.outvars.index(other[1])
            and _are_equal(first.params, second.params)
            and all(self._are_same(top, (one[0], a), (other[0], b), depth) for a, b in pairs)
        )

    def _are_same_constants(self, one: Origin, other: Origin) -> bool:
        """Return whether both are constants, which are the same in all calls, of the same bits."""
        first, second = self._find_constant(one), self._find_constant(other)
        if first is None or second is None or one[1].aval != other[1].aval:
            return False
        is_key = jnp.issubdtype(one[1].aval.dtype, jax.dtypes.extended)
        return first is second or (
            not is_key and np.asarray(first).tobytes() == np.asarray(second).tobytes()
        )

    def _find_constant(self, origin: Origin) -> Any:
        if isinstance(origin[1], Literal):
            return origin[1].val
        call = self.calls[origin[0]]
        return dict(zip(call.jaxpr.constvars, call.constants, strict=False)).get(origin[1])


def _are_equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether parameters are known to be equal; arrays among them are not compared."""
    if one is other:
        return True
    equal = (one[name] is other[name] or one[name] == other[name] for name in one)
    return one.keys() == other.keys() and all(own is True for own in equal)
