"""Find what a program must compute once: numbers compared with numbers that are taken from them.

XLA may compute an array once for each of its uses, with different last bits. Then an entry no
longer equals the maximum that was taken of it, nor itself in another place: `x == x.max()`, which
the derivative of a maximum evaluates, is false everywhere, a gradient lacks a term, and
`x[:, None] == x` is false on the diagonal. JAX's own compiled programs do so on CPUs, in 0.10 and
0.12. So if both sides of a comparison, or of a difference that is compared with something, may hold
the same entry of a computed array, this array is stored: all that use it read the same bits.

The larger of two arrays equals the first one where that is at least the second. JAX 0.12 asks this
in its derivative; JAX 0.10 asks what equals the larger one, and is answered without storing arrays.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn, Literal
from jaxtyping import Array

from ..equations import CALLS, count_carried
from .expressions import Call, Expressions, Origin

# The last one is `searchsorted` in JAX 0.12.
COMPARED = frozenset(
    ("eq", "ne", "lt", "le", "gt", "ge", "eq_to", "le_to", "lt_to", "call_hi_primitive")
)
# Results have only entries of the operands, or those with another sign or in fewer digits.
MOVED = frozenset(
    ("broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "rev", "slice", "split")
    + ("dynamic_slice", "dynamic_update_slice", "gather", "concatenate", "pad", "select_n", "copy")
    + ("max", "min", "clamp", "reduce_max", "reduce_min", "reduce", "cummax", "cummin", "top_k")
    + ("reduce_window", "reduce_window_max", "reduce_window_min", "select_and_gather_add", "sort")
    + ("scatter", "scatter-min", "scatter-max", "scatter-add", "scatter-sub", "scatter-mul")
    + ("neg", "abs", "floor", "ceil", "round", "convert_element_type", "reduce_precision")
    + ("optimization_barrier", "tile", "stack", "unstack", "real")
)
# Results are zero where the operands are.
ZERO_AT_ZERO = frozenset(
    ("add", "add_any", "mul", "div", "square", "integer_pow", "pow", "sqrt", "reduce_sum", "sub")
    + ("dot_general", "cumsum")
)
# Equations that hold programs, besides calls.
HELD = frozenset(("scan", "while", "cond", "custom_linear_solve"))
LARGER_OR_EQUAL = {"max": "ge", "min": "le"}
# An array that may hold entries of more arrays than these counts as computed itself.
MOST_ORIGINS = 256


class Entries(NamedTuple):
    """What is known of the entries of an array.

    Attributes:
        origins: Computed arrays whose entries they may be; none if they are read from memory.
        differences: Computed arrays for which they are zero wherever two of its entries are equal.
    """

    origins: frozenset[Origin] = frozenset()
    differences: frozenset[Origin] = frozenset()


class Compared(NamedTuple):
    """What a program compares, and how it is answered whatever the rounding.

    Attributes:
        once: Variables to compute once.
        instead: By the result of an equation, another comparison: its name and operands.
        copies: By a variable, an earlier one of the same program that the same expression computes.
    """

    once: set[Any]
    instead: dict[Any, tuple[str, Any, Any]]
    copies: dict[Any, Any]

    def changes(self, equation: JaxprEqn) -> bool:
        return any(own in known for known in self for own in equation.outvars)


NOTHING = Entries()
_found: WeakKeyDictionary[Any, Compared] = WeakKeyDictionary()


def find_compared(program: Any) -> Compared:
    """Find what a program compares with itself, also in the programs that it calls and repeats.

    What a loop carries from one step to the next is read from memory, and not followed. Numbers
    after arithmetic count as new ones, whose ties XLA may still break: `b[:, None] / b == 1`.
    """
    jaxpr = getattr(program, "jaxpr", program)
    if jaxpr not in _found:
        search = _Search()
        search.follow(program, [NOTHING] * len(jaxpr.invars))
        copies = search.find_copies()
        _found[jaxpr] = Compared(search.once | {*copies.values()}, search.instead, copies)
    return _found[jaxpr]


def store(array: Array) -> Array:
    """Return an array that is computed once, and read wherever it is used.

    XLA's CPU compiler removes barriers before it fuses operations in JAX 0.10, but never looks
    through a choice that depends on numbers; one choice has the first entry written once more.
    """
    keeps_barriers = jax.__version_info__ >= (0, 12) or jax.default_backend() != "cpu"
    if keeps_barriers or not array.size:
        return jax.lax.optimization_barrier(array)
    blocks = array.reshape(array.shape or (1,))
    corner = (0,) * blocks.ndim
    known = jnp.inf if jnp.issubdtype(array.dtype, jnp.inexact) else 1
    again = jnp.full((1,) * blocks.ndim, known, array.dtype)
    choices = [lambda a: a, lambda a: jax.lax.dynamic_update_slice(a, again, corner)]
    chosen = jax.lax.switch(jnp.int32(blocks[corner] == again[corner]), choices, blocks)
    return chosen.reshape(array.shape)


class _Search:
    def __init__(self) -> None:
        self.once: set[Any] = set()
        self.instead: dict[Any, tuple[str, Any, Any]] = {}
        self.apart: list[tuple[frozenset[Origin], frozenset[Origin]]] = []
        self.behind: dict[Origin, frozenset[Origin]] = {}
        self.expressions = Expressions()
        self.calls = 0

    def follow(
        self, program: Any, given: Sequence[Entries], caller: int | None = None,
        arguments: Sequence[Any] = (), results: Sequence[Any] = (),
    ) -> list[Entries]:  # fmt: skip
        """Follow a program whose arguments are given; return its results.

        `arguments` and `results` are those of the caller; see `Call`.
        """
        self.calls += 1
        jaxpr = getattr(program, "jaxpr", program)
        constants = getattr(program, "consts", ())
        self.expressions.note(self.calls, Call(jaxpr, constants, caller, arguments, results))
        scope = _Scope(self.calls, dict.fromkeys(jaxpr.constvars, NOTHING))
        scope.known.update(zip(jaxpr.invars, given, strict=True))
        larger: dict[Any, JaxprEqn] = {}
        for equation in jaxpr.eqns:
            name = equation.primitive.name
            if name in MOVED:
                if name in LARGER_OR_EQUAL:
                    larger[equation.outvars[0]] = equation
                if any(map(_is_float, equation.outvars)):
                    own = _join(map(scope.read, equation.invars))
                    self._note(equation, scope, [own] * len(equation.outvars))
            elif name in ZERO_AT_ZERO:
                if scope.knows_any(equation.invars):
                    self._subtract(equation, scope)
            elif name in COMPARED:
                if scope.knows_any(equation.invars):
                    self._compare(equation, scope, larger)
            elif name == "sign":
                self._keep(scope.read(equation.invars[0]).differences)
            elif name in CALLS:
                scope.known.update(zip(equation.outvars, self._enter(equation, scope), strict=True))
            elif name in HELD:
                self._note(equation, scope, self._enter(equation, scope))
        return [scope.read(atom) for atom in jaxpr.outvars]

    def _enter(self, equation: JaxprEqn, scope: "_Scope") -> list[Entries]:
        """Follow the programs that an equation holds; return its results."""
        name, params, atoms = equation.primitive.name, equation.params, equation.invars
        given = [scope.read(atom) for atom in atoms]
        follow = partial(self.follow, caller=scope.call)
        if name in CALLS:
            own = {"arguments": atoms, "results": equation.outvars}
            return follow(params[CALLS[name]], given, **own)
        if name == "cond":
            branches = [follow(b, given[1:], arguments=atoms[1:]) for b in params["branches"]]
            return [_join(own) for own in zip(*branches, strict=True)]
        if name == "custom_linear_solve":
            own = select_solver_operands(params, atoms)
            return follow(params["jaxprs"].solve, [scope.read(atom) for atom in own], arguments=own)
        if name == "scan":
            carried, first = count_carried(equation, params["jaxpr"])
            after = follow(params["jaxpr"], given, arguments=atoms[:first])
            before = given[first : first + carried]
        else:
            tests, first = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
            before = given[first:]
            test = params["cond_jaxpr"]
            follow(test, [*given[:tests], *before], arguments=atoms[:tests])
            after = follow(params["body_jaxpr"], given[tests:], arguments=atoms[tests:first])
        before += [NOTHING] * (len(after) - len(before))
        return [_join(pair) for pair in zip(before, after, strict=True)]

    def _compare(self, equation: JaxprEqn, scope: "_Scope", larger: dict[Any, JaxprEqn]) -> None:
        if len(equation.invars) != 2 or equation.invars[0] is equation.invars[1]:
            return  # A test for NaN, or no comparison.
        first, second = equation.invars
        if equation.primitive.name == "eq":
            for one, other in ((first, second), (second, first)):
                if not isinstance(other, Literal) and other in larger and _is_float(one):
                    pair, name = larger[other].invars, larger[other].primitive.name
                    rest = [own for own in pair if not _is_same(one, own)]
                    if len(rest) < 2:
                        first, second = one, (rest or pair)[0]
                        answer = LARGER_OR_EQUAL[name], first, second
                        self.instead[equation.outvars[0]] = answer
        left, right = scope.read(first), scope.read(second)
        self._keep(self._find_shared(left, right))
        self._keep(left.differences | right.differences)

    def _find_shared(self, left: Entries, right: Entries) -> frozenset[Origin]:
        """Return the computed arrays on both sides, and record the others for `find_copies`."""
        shared = left.origins & right.origins
        self.apart.append((left.origins - shared, right.origins - shared))
        return shared

    def find_copies(self) -> dict[Any, Any]:
        """Find what is computed again on the other side of a comparison; see `Compared`."""
        pairs = (pair for sides in self.apart for pair in self.expressions.find_copies(*sides))
        return {again: first for first, again in pairs}

    def _subtract(self, equation: JaxprEqn, scope: "_Scope") -> None:
        own = [scope.read(atom) for atom in equation.invars]
        found = _join(own).differences
        if equation.primitive.name == "sub":
            found |= self._find_shared(*own)
        if found:
            (result,) = equation.outvars
            scope.known[result] = Entries(frozenset(((scope.call, result),)), found)

    def _note(self, equation: JaxprEqn, scope: "_Scope", results: Sequence[Entries]) -> None:
        """Note what the results of an equation may hold, which are computed arrays themselves."""
        for variable, own in zip(equation.outvars, results, strict=True):
            if own.origins and _is_float(variable):
                origin = scope.call, variable
                behind = own.origins if len(own.origins) < MOST_ORIGINS else frozenset()
                self.behind[origin] = behind
                own = own._replace(origins=behind | {origin})
            scope.known[variable] = own

    def _keep(self, shared: frozenset[Origin]) -> None:
        """Have the arrays computed once from which no other shared array takes its entries."""
        if shared:
            behind = frozenset().union(*(self.behind.get(own, ()) for own in shared))
            self.once |= {variable for _, variable in shared - behind}


class _Scope(NamedTuple):
    """One call of a program: its number, and what is known of its variables."""

    call: int
    known: dict[Any, Entries]

    def read(self, atom: Any) -> Entries:
        if isinstance(atom, Literal):
            return NOTHING
        if (found := self.known.get(atom)) is not None:
            return found
        if not _is_float(atom):
            return NOTHING
        return Entries(frozenset(((self.call, atom),)))

    def knows_any(self, atoms: Iterable[Any]) -> bool:
        """Return whether anything is known of an operand; if not, it is computed by itself."""
        known = (self.known.get(a, NOTHING) for a in atoms if not isinstance(a, Literal))
        return any(own is not NOTHING for own in known)


def select_solver_operands(params: dict[str, Any], operands: list[Any]) -> list[Any]:
    """Select the operands of a linear solve that its solver takes."""
    lengths = params["const_lengths"]
    begin = lengths.matvec + lengths.vecmat
    return operands[begin : begin + lengths.solve] + operands[sum(lengths) :]


def _is_float(atom: Any) -> bool:
    # The kind of bfloat16 is V.
    return getattr(getattr(atom.aval, "dtype", None), "kind", "") in ("f", "V")


def _is_same(one: Any, other: Any) -> bool:
    both = isinstance(one, Literal) and isinstance(other, Literal)
    return one is other or (both and bool(one.val == other.val))


def _join(entries: Iterable[Entries]) -> Entries:
    known = [own for own in entries if own is not NOTHING]
    if len(known) < 2:
        return known[0] if known else NOTHING
    return Entries(*(frozenset().union(*sets) for sets in zip(*known, strict=True)))
