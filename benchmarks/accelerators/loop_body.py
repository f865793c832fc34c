"""Count the kernels in the body of a compiled loop, in the text that XLA prints of a program."""

import re
from collections.abc import Iterator
from math import prod
from typing import NamedTuple

# Operations that name or regroup memory, and launch nothing.
FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "copy-done",
    "partition-id", "replica-id", "opt-barrier", "async-done",
}  # fmt: skip
CALLED = re.compile(r"(?:to_apply|true_computation|false_computation|body)=%?([\w.\-]+)")
BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
KNOWN_PASSES = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
ARRAY = re.compile(r"([a-z]+)(\d*)\[([\d,]*)\]")


class Operation(NamedTuple):
    """One operation of a computation.

    Attributes:
        kind: Its name, such as "fusion".
        shape: The text of its type.
        calls: Names of the computations that it runs; those inside a fusion are not listed.
        passes: How often a loop is passed through, if XLA knows; else 0.
    """

    kind: str
    shape: str
    calls: tuple[str, ...]
    passes: int = 0


class LoopBody(NamedTuple):
    """What one pass through the body of a loop runs, on every path.

    Attributes:
        kernels: Everything that is launched, copies included.
        fusions: Fused kernels among them.
        copies: Copies among them.
        copied: Bytes that these copy.
        custom_calls: Calls of a library among them.
        conditionals: Branches; an accelerator's host waits for the predicate of each.
        loops: Inner loops, for whose predicates it waits as well, unless XLA knows how often
            they are passed through.
        stride: Passes between two questions whether to go on.
    """

    kernels: int = 0
    fusions: int = 0
    copies: int = 0
    copied: int = 0
    custom_calls: int = 0
    conditionals: int = 0
    loops: int = 0
    stride: int = 1


def count_loop_body(text: str) -> LoopBody:
    """Count what is in the body of the largest loop of a program.

    An inner loop is counted as if it were passed once, and of a branch all sides are counted. If
    nearly all is in an inner loop, the loop passes through that many times between two questions.

    Raises:
        ValueError: The program has no loop.
    """
    computations = read_computations(text)
    loops = [
        (_count(computations, operation.calls), operation)
        for operations in computations.values()
        for operation in operations
        if operation.kind == "while"
    ]
    if not loops:
        raise ValueError("the program has no loop")
    body, loop = max(loops)
    inside = [
        operation.passes
        for name in loop.calls
        for operation in computations[name]
        if operation.kind == "while"
        and 2 * _count(computations, operation.calls).kernels > body.kernels
    ]
    return body._replace(stride=max([1, *inside]))


def read_computations(text: str) -> dict[str, list[Operation]]:
    """Read the computations of a program, by name."""
    found: dict[str, list[Operation]] = {}
    own: list[Operation] = []
    for line in text.splitlines():
        if line.endswith("{") and "->" in line:
            name = line.removeprefix("ENTRY ").split()[0].lstrip("%")
            own = found.setdefault(name, [])
        elif line.startswith(" ") and " = " in line:
            own.append(_read(line))
    return found


def _read(line: str) -> Operation:
    right = line.split(" = ", 1)[1]
    end = _end_of_shape(right)
    kind, _, rest = right[end:].strip().partition("(")
    calls = () if kind == "fusion" else (*CALLED.findall(rest), *_branches(rest))
    # The operation that a reduction or a sort applies to each pair is part of its kernel.
    is_run = kind in {"while", "conditional", "call", "async-start"}
    passes = KNOWN_PASSES.search(rest)
    known = int(passes[1]) if passes else 0
    return Operation(kind, right[:end], calls if is_run else (), known)


def _end_of_shape(right: str) -> int:
    if not right.startswith("("):
        return right.index(" ")
    depth = 0
    for i, letter in enumerate(right):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return i + 1
    raise ValueError(f"unbalanced parentheses in {right!r}")


def _branches(rest: str) -> Iterator[str]:
    for names in BRANCHES.findall(rest):
        yield from (name.strip().lstrip("%") for name in names.split(","))


def _count(computations: dict[str, list[Operation]], names: tuple[str, ...]) -> LoopBody:
    total = LoopBody()
    for name in names:
        for operation in computations[name]:
            own = (_count_one(operation), _count(computations, operation.calls))
            total = LoopBody(*(sum(parts) for parts in zip(total, *own, strict=True)))
    return total._replace(stride=1)


def _count_one(operation: Operation) -> LoopBody:
    kind = operation.kind
    if kind in FREE or kind in {"call", "async-start"}:
        return LoopBody()
    if kind in {"while", "conditional"}:
        is_asked = kind == "while" and not operation.passes
        return LoopBody(loops=is_asked, conditionals=kind == "conditional")
    copies = kind in {"copy", "copy-start"}
    return LoopBody(
        kernels=1, fusions=kind == "fusion", copies=copies,
        copied=_bytes(operation.shape) if copies else 0, custom_calls=kind == "custom-call",
    )  # fmt: skip


def _bytes(shape: str) -> int:
    """Return the bytes of an array, or of the first one of a tuple."""
    found = ARRAY.search(shape)
    if found is None:
        return 0
    kind, bits, sizes = found.groups()
    width = 1 if kind == "pred" else int(bits or 8) // 8
    return width * prod(int(size) for size in sizes.split(",") if size)
