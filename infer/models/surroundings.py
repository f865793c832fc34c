"""What the functions of a model read besides their arguments, such as global variables."""

import sys
from functools import cache, partial
from hashlib import sha256
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import jax
import numpy as np

PLAIN = (type(None), bool, int, float, complex, str, bytes)
# With more parts, or a larger array, nothing is described.
MOST_PARTS, MOST_BYTES = 10_000, 2**24


def describe_surroundings(program: Any) -> str:
    """Describe what the functions of a program read; two descriptions of one process compare.

    They follow global variables, closures, defaults, attributes of the user's modules and objects,
    and the functions that are called. Numbers of JAX's arrays, which nobody changes, are not read.

    Args:
        program: What a front end made of functions of the user's.

    Returns:
        A hash; empty if they cannot be followed.
    """
    try:
        return sha256(_Surroundings().describe(program).encode()).hexdigest()
    except Exception:  # Objects of the user's may raise what they like, and be linked without end.
        return ""


class _Surroundings:
    def __init__(self) -> None:
        # What was met already, by identity; it is kept alive, so that no identity is used again.
        self._met: dict[int, Any] = {}

    def describe(self, value: Any) -> str:
        if type(value) in PLAIN:
            return repr(value)
        if isinstance(value, jax.Array):
            return f"array {id(value)}"
        if isinstance(value, np.ndarray | np.generic):
            return self._describe_numbers(value)
        if id(value) in self._met:
            return "met"
        if len(self._met) > MOST_PARTS:
            raise RecursionError
        self._met[id(value)] = value
        return f"{type(value).__qualname__}{list(map(self.describe, self._list_parts(value)))}"

    def _describe_numbers(self, value: np.ndarray | np.generic) -> str:
        if value.nbytes > MOST_BYTES:
            raise OverflowError
        return f"{value.dtype}{value.shape}{sha256(value.tobytes()).hexdigest()}"

    def _list_parts(self, value: Any) -> list[Any]:
        if isinstance(value, list | tuple):
            return list(value)
        if isinstance(value, dict):
            return [part for pair in value.items() for part in pair]
        if isinstance(value, partial):
            return [value.func, value.args, value.keywords]
        if isinstance(value, MethodType):
            return [value.__func__, value.__self__]
        if isinstance(value, FunctionType):
            return [] if _is_of_library(value) else _list_read(value)
        if isinstance(value, ModuleType) or (isinstance(value, type) and _is_of_library(value)):
            return []
        own = dict(getattr(value, "__dict__", {}))
        return [part for pair in own.items() if pair[0][:2] != "__" for part in pair] + [
            own.get("__wrapped__")
        ]


def _list_read(function: FunctionType) -> list[Any]:
    """List what a function reads: its code, defaults, closure, globals, and parts of modules."""
    names, constants = _list_names(function.__code__)
    read = [function.__globals__[name] for name in names if name in function.__globals__]
    modules = [own for own in read if isinstance(own, ModuleType) and not _is_known(own.__name__)]
    read += [vars(own)[name] for own in modules for name in names if name in vars(own)]
    cells = [_read_cell(cell) for cell in function.__closure__ or ()]
    defaults = function.__defaults__, function.__kwdefaults__
    return [constants, *cells, *defaults, *read]


def _list_names(code: CodeType) -> tuple[list[str], str]:
    """List names of globals and attributes in code, and in that of inner functions; and hash it."""
    inner = [_list_names(own) for own in code.co_consts if isinstance(own, CodeType)]
    names = [name for own, _ in inner for name in own] + list(code.co_names)
    plain = [own for own in code.co_consts if not isinstance(own, CodeType)]
    return names, repr((code.co_code, plain, [own for _, own in inner]))


def _read_cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # It is still empty.
        return None


def _is_of_library(value: Any) -> bool:
    return _is_known(value.__module__ or "")


@cache
def _is_known(module: str) -> bool:
    """Return whether a module is one of Python or of an installed package, or of ours."""
    top = module.split(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    is_installed = "site-packages" in file or "dist-packages" in file
    return is_installed or top in (*sys.stdlib_module_names, "infer", "bijectors")
