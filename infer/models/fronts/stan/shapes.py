"""Shapes that a Stan program declares for its data, as far as arithmetic on other data gives them.

The interpreter reads an array of any shape as a sequence of numbers, in Stan's order: it would take
the transpose of a matrix for another matrix. So shapes are compared here.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from bijectors.base import Shape

from ....errors import ModelError
from .program_text import ProgramText

# Sizes of the axes; None if it is not known.
Sizes = tuple[int | None, ...]

_STATEMENT = re.compile(
    r"(?:array\s*\[(?P<array>.*?)\]\s*(?=[a-z_]))?(?P<kind>[a-z_]+)\s*(?:\[(?P<sizes>.*)\])?\s*"
    r"(?P<names>[A-Za-z]\w*(?:\s*,\s*[A-Za-z]\w*)*)",
    re.S,
)
_BOUNDS = re.compile(r"(?<=[a-z])\s*<[^;]*?>(?=\s*[\[A-Za-z])", re.S)
_VECTORS = {"vector", "row_vector", "simplex", "unit_vector", "ordered", "positive_ordered"}
_VECTORS |= {"sum_to_zero_vector"}
_MATRICES = {"matrix", "cholesky_factor_cov", "column_stochastic_matrix", "row_stochastic_matrix"}
_MATRICES |= {"sum_to_zero_matrix"}
_SQUARE = {"cov_matrix", "corr_matrix", "cholesky_factor_corr", "cholesky_factor_cov"}
_OPERATORS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    # Stan rounds quotients of integers towards zero; sizes are not negative.
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
}


def refuse_other_shapes(text: ProgramText, data: Mapping[str, np.ndarray]) -> None:
    """Raise if data have another shape than the program declares.

    Axes of size 1 may be missing or added, since they change no order.

    Raises:
        ModelError: The shape of an array differs.
    """
    for name, declared in _declared_sizes(text, data):
        given = data[name].shape
        if not _fits(declared, given):
            turned = len(given) == 2 and _fits(declared, given[::-1])
            raise ModelError(
                name,
                f"the program declares it with shape {_write(declared)}, and the data have shape "
                f"{_write(given)}",
                f"Give its transpose, {name}.T."
                if turned
                else "Make the sizes in the data agree with the arrays.",
            )


def _declared_sizes(
    text: ProgramText, data: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, Sizes]]:
    """Yield the sizes of each declaration that is understood."""
    for statement in text.data_statements:
        found = _STATEMENT.fullmatch(_BOUNDS.sub("", statement).strip())
        own = found and _sizes_of_kind(found["kind"], _evaluate(found["sizes"], data))
        if found and own is not None:
            for name in found["names"].split(","):
                yield name.strip(), (*_evaluate(found["array"], data), *own)


def _sizes_of_kind(kind: str, sizes: Sizes) -> Sizes | None:
    if kind in _SQUARE and len(sizes) == 1:
        return sizes * 2
    known = {"int": 0, "real": 0} | dict.fromkeys(_VECTORS, 1) | dict.fromkeys(_MATRICES, 2)
    return sizes if known.get(kind) == len(sizes) else None


def _evaluate(sizes: str | None, data: Mapping[str, np.ndarray]) -> Sizes:
    """Evaluate sizes that are separated by commas."""
    if sizes is None:
        return ()
    try:
        made = ast.parse(f"({sizes.strip()},)", mode="eval").body
    except SyntaxError:
        # Such as the `?` of Stan; the commas of calls are then counted too, which fits no kind.
        return (None,) * (1 + sizes.count(","))
    assert isinstance(made, ast.Tuple)
    return tuple(_value(own, data) for own in made.elts)


def _value(node: ast.expr, data: Mapping[str, np.ndarray]) -> int | None:
    """Evaluate integer arithmetic; None if there is anything else in it."""
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name) if name in data and not data[name].shape:
            return int(data[name]) if data[name].dtype.kind in "iu" else None
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            sides = _value(left, data), _value(right, data)
            if sides[0] is None or sides[1] is None or (isinstance(op, ast.Div) and not sides[1]):
                return None
            return _OPERATORS[type(op)](sides[0], sides[1])
    return None


def _fits(declared: Sizes, given: Shape) -> bool:
    if 0 in declared:
        return 0 in given
    known = [size for size in declared if size != 1]
    found = [size for size in given if size != 1]
    if None in known:
        # It may be 1.
        return len(given) != len(declared) or _agree(declared, given)
    return known == found


def _agree(declared: Sizes, given: Shape) -> bool:
    return all(own in (None, size) for own, size in zip(declared, given, strict=True))


def _write(sizes: Sequence[int | None]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in sizes)})"
