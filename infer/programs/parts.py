"""Call a program on rows of many members: parts of few rows, each of one member, many in a call.

A call for each member would take longer than its rows.
"""

from collections.abc import Callable, Hashable
from itertools import pairwise
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from .native import CompiledProgram, Form, compile_program, prepare
from .slices import call_in_slices, choose_rows, join_slices

# Parts of the largest size in a call, all of which together have as many rows as a slice.
PARTS = 16
# Rows of the smallest size. The last bit may depend on the place of a row in a vector register.
FEWEST = 16
# Members from which on a program for the few rows of a start is worth compiling.
MANY = 64
# Numbers that are worked on at a time: what is made of them fits into a cache, and in memory that
# was used before. Memory that a process has never used costs a second or two a gigabyte.
CACHED = 2**19


def choose_part(numbers: int, needed: int | None = None) -> int:
    """Return how many rows, of `numbers` entries each, make up a part.

    Args:
        numbers: Entries of a row.
        needed: Rows of each member; if they are few, parts are shorter.
    """
    rows = max(choose_rows(numbers) // PARTS, 1)
    return min(rows, FEWEST) if needed is not None and needed <= FEWEST else rows


def count_parts(numbers: int, rows: int) -> int:
    """Return how many parts of `rows` rows are in a call."""
    return PARTS * choose_part(numbers) // rows


class Members(NamedTuple):
    """Pytrees of one structure with their leaves in lists, which a program takes much faster.

    Attributes:
        structure: The structure of the pair of what all share and what each has of its own.
        shared: Leaves that all share.
        own: Leaves with a leading axis of members.
    """

    structure: Hashable
    shared: list[Any]
    own: list[Any]

    def some(self, few: slice) -> "Members":
        """Return some of the members."""
        return self._replace(own=[leaf[few] for leaf in self.own])

    @classmethod
    def of(cls, shared: Any, own: Any) -> "Members":
        """Flatten pytrees, each with `None` in the place of the other's leaves."""
        left, right = jax.tree.flatten(shared), jax.tree.flatten(own)
        return cls((left[1], right[1]), left[0], right[0])


def prepare_call(
    function: Callable[..., Any], members: Members, rows: int, parts: int,
    examples: tuple[np.ndarray, ...], form: Form = "kernels",
) -> None:  # fmt: skip
    """Begin to compile the program of `call_each`.

    Args:
        function: As in `call_each`, like the other arguments.
        members: The members.
        rows: Rows of a part.
        parts: Parts of a call.
        examples: Arrays of the shape and dtype of one row.
        form: How to compile it.
    """
    blank = [np.zeros((parts, rows, *a.shape), a.dtype) for a in examples]
    few = [leaf[np.zeros(parts, int)] for leaf in members.own]
    static = function, members.structure
    prepare(_call_parts, static, (members.shared, few, *blank), form)


def call_each(
    function: Callable[..., Any], members: Members, rows: int, parts: int,
    arrays: tuple[np.ndarray, ...], form: Form = "kernels",
) -> Any:  # fmt: skip
    """Call `function(member, *arrays)` on parts of the rows of each member, and join its results.

    Args:
        function: A module-level function of a member and some of its rows.
        members: The members.
        rows: Rows of a part; the last one of a member is padded by repeating its last row.
        parts: Parts of a call.
        arrays: Arrays of shape (members, n, ...), n at least one.
        form: How to compile the program.

    Returns:
        A pytree of arrays of shape (members, n, ...).
    """
    static, programs = (function, members.structure), []

    def call(of: np.ndarray, cut: tuple[np.ndarray, ...]) -> Any:
        given = members.shared, [leaf[of] for leaf in members.own], *cut
        if not programs:
            programs.append(compile_program(_call_parts, static, given, form)[0])
        assert isinstance(programs[0], CompiledProgram)
        return programs[0].call(*given)

    return call_in_parts(call, arrays, rows, parts)


def _call_parts(
    function: Callable[..., Any], structure: Any, shared: list[Any], own: list[Any], *arrays: Any
) -> Any:
    whole = jax.tree.unflatten(structure[0], shared)

    def one(part: Any) -> Any:
        member = jax.tree.unflatten(structure[1], part[0])
        return function(eqx.combine(whole, member), *part[1:])

    return jax.lax.map(one, (own, *arrays))


def call_in_parts(
    call: Callable[[np.ndarray, Any], Any], arrays: Any, rows: int, parts: int = PARTS
) -> Any:
    """Call a program on parts of `rows` rows and join its results, on the host.

    Args:
        call: Maps the members of the parts in a call, shape (parts,), and arrays of shape (parts,
            rows, ...) to arrays of such a shape.
        arrays: A pytree of arrays of shape (members, n, ...).
        rows: Rows of a part; the last one of a member is padded by repeating its last row.
        parts: Parts of a call.

    Returns:
        Arrays of shape (members, n, ...).
    """
    members, count = jax.tree.leaves(arrays)[0].shape[:2]
    each = -(-count // rows)
    places = np.minimum(np.arange(each * rows), count - 1).reshape(each, rows)

    def call_some(numbers: np.ndarray) -> Any:
        of, part = np.divmod(numbers, each)
        return call(of, jax.tree.map(lambda a: a[of[:, None], places[part]], arrays))

    found = call_in_slices(call_some, np.arange(members * each), parts)
    return jax.tree.map(lambda a: a.reshape(members, each * rows, *a.shape[2:])[:, :count], found)


def work_in_turn(work: Callable[[slice], Any], members: int, numbers: int) -> Any:
    """Do something for some members at a time, and join what it returns for each of them.

    Args:
        work: Maps a range of members to a pytree of arrays with as many entries.
        members: Number of members.
        numbers: Numbers that each of them has.
    """
    # At least `MANY`, so that they use the same programs as all together.
    turns = max(members // max(CACHED // max(numbers, 1), MANY), 1)
    if turns == 1:
        return work(slice(0, members))
    ends = [members * i // turns for i in range(turns + 1)]
    own = (slice(*pair) for pair in pairwise(ends))
    return join_slices(((few.start, work(few)) for few in own), members)
