"""What the functions of a model read besides their arguments, such as global variables."""

import builtins
import copyreg
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from copy import copy
from functools import cache, cached_property
from hashlib import sha256
from types import (
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer
from jax.tree_util import PyTreeDef

from ..errors import ModelError
from .bytecode import read_code
from .contents import CONTAINERS, PLAIN, describe_entries, describe_plain, sum_pickled

# Further parts are not read, and arrays that would make more bytes are compared only in a process.
MOST_PARTS, MOST_BYTES = 10_000, 2**24
# Packages that nobody changes while a program runs, besides Python's own.
KNOWN = {
    "beartype", "bijectors", "blackjax", "diffrax", "distrax", "equinox", "flax", "haiku", "infer",
    "jax", "jaxlib", "jaxtyping", "lineax", "numpy", "numpyro", "optax", "optimistix", "scipy",
    "tensorflow_probability", "typing_extensions",
}  # fmt: skip
# Modules of them, functions and builtins that return something else another time.
MODULES_THAT_VARY = (
    "_io", "datetime", "glob", "io", "nt", "numpy.random", "os", "pathlib", "posix", "random",
    "scipy.io", "secrets", "shelve", "socket", "sqlite3", "subprocess", "sys", "tempfile",
    "threading", "time", "urllib", "uuid",
)  # fmt: skip
NAMES_THAT_VARY = {
    "__import__", "compile", "eval", "exec", "fromfile", "fromregex", "genfromtxt", "globals",
    "input", "load", "loadtxt", "memmap", "open", "tree_deserialise_leaves", "vars",
}  # fmt: skip
# Attributes of a class that do not affect what it does.
UNREAD = {
    "__abstractmethods__", "__annotate__", "__annotate_func__", "__annotations__",
    "__annotations_cache__", "__dataclass_fields__", "__dataclass_params__", "__dict__", "__doc__",
    "__firstlineno__", "__match_args__", "__module__", "__orig_bases__", "__parameters__",
    "__qualname__", "__slotnames__", "__static_attributes__", "__weakref__", "_abc_impl",
}  # fmt: skip
# Parts of classes that are written in C, and types of numbers.
NAMED = (
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
    np.dtype,
)


class Surroundings(NamedTuple):
    """What the functions of a model read; those of one process can be compared.

    Attributes:
        digest: A hash of what was followed.
        is_whole: Whether that is all; if not, something may change without another hash.
    """

    digest: str
    is_whole: bool


def describe_surroundings(program: Any) -> Surroundings:
    """Describe what the functions of a program read.

    They follow global variables, closures, defaults, attributes of modules, the user's objects and
    classes, and the functions that are called. Packages are taken for unchanged; objects of theirs,
    such as tables of pandas, are pickled and compared in one process.

    Args:
        program: What a front end made of functions of the user's; its arrays are not read.

    Raises:
        ModelError: An array that they read was changed in place, and JAX has not seen that.
    """
    found = _Walk()
    try:
        described = found.describe(jax.tree.structure(program))
    except RecursionError:
        return Surroundings("", False)
    return Surroundings(sha256(described.encode()).hexdigest(), found.is_whole)


def renew(models: Sequence[Any]) -> list[Any]:
    """Return the same models, marked with what the functions of the first one read now.

    Programs are traced and kept for one mark. So after a change of a global variable, none that was
    made before is used. What is no model is returned as it is, to be refused.
    """
    if not all(hasattr(own, "surroundings") for own in models):
        return list(models)
    now = [describe_surroundings(own.program) for own in models[:1]]
    return [own if [own.surroundings] == now else _mark(own, *now) for own in models]


def _mark(model: Any, surroundings: Surroundings) -> Any:
    # A stacked model still has the shapes that one model had when it was made.
    made = copy(model)
    vars(made)["surroundings"] = surroundings
    return made


class _UnknownError(Exception):
    """Something may change unnoticed."""


# Stands for what a function reads and cannot be described, such as the time.
_UNKNOWN = object()


class _Walk:
    """Goes from object to object.

    Attributes:
        is_whole: Whether all that was met could be described.
    """

    def __init__(self) -> None:
        self.is_whole = True
        # What was met already, by identity; it is kept alive, so that no identity is used again.
        self._met: dict[int, Any] = {}
        self._parts = self._bytes = 0

    def describe(self, value: Any) -> str:
        kind = type(value)
        self._parts += 1
        if self._parts > MOST_PARTS or value is _UNKNOWN:
            return self._give_up(value)
        if kind in PLAIN:
            return f"{kind.__name__} {value!r}"
        if id(value) in self._met:
            return f"met {self._met[id(value)][0]}"
        self._met[id(value)] = len(self._met), value
        try:
            if isinstance(value, jax.Array) or kind is np.ndarray or isinstance(value, np.generic):
                return self._describe_numbers(value)
            if (name := _find_name(value)) is not None:
                return name
            if _is_foreign(value):
                self.is_whole = False
                return f"{kind.__module__}.{kind.__qualname__} {sum_pickled(value)}"
            if kind in CONTAINERS and (plain := describe_plain(value)) is not None:
                return plain
            parts = self._list_parts(value)
        except ModelError:
            raise
        except Exception:  # Objects of the user's may raise what they like.
            return self._give_up(value)
        return f"{kind.__module__}.{kind.__qualname__}[{', '.join(map(self.describe, parts))}]"

    def _give_up(self, value: Any) -> str:
        self.is_whole = False
        named = value if isinstance(value, type | FunctionType) else type(value)
        return f"unknown {named.__module__}.{named.__qualname__}"

    def _describe_numbers(self, value: Any) -> str:
        if isinstance(value, Tracer):
            raise _UnknownError(value)
        if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            return f"{value.dtype}{self._describe_numbers(jax.random.key_data(value))}"
        self._bytes += value.nbytes
        kind = f"{type(value).__name__} {value.dtype}{value.shape}"
        if value.dtype.hasobject:
            return f"{kind}{self.describe(value.tolist())}"
        is_small = self._bytes <= MOST_BYTES
        self.is_whole &= is_small
        return f"{kind}{describe_entries(value, is_small)}"

    def _list_parts(self, value: Any) -> list[Any]:
        kind = type(value)
        if kind in (list, tuple):
            return list(value)
        if kind is dict:
            return [part for pair in value.items() for part in pair]
        if isinstance(value, FunctionType):
            return _list_read(value)
        if isinstance(value, MethodType):
            return [value.__func__, value.__self__]
        if isinstance(value, type):
            return _list_parts_of_class(value)
        if isinstance(value, PyTreeDef):
            return [jax.tree.unflatten(value, range(value.num_leaves))]
        if isinstance(value, property):
            return [value.fget]
        if isinstance(value, cached_property):
            return [value.func]
        if isinstance(value, staticmethod | classmethod):
            return [value.__func__]
        return _list_parts_of_object(value)


def _list_parts_of_class(kind: type) -> list[Any]:
    own = {name: part for name, part in vars(kind).items() if name not in UNREAD}
    return [kind.__bases__, type(kind), own]


def _list_parts_of_object(value: Any) -> list[Any]:
    """List all that an object holds.

    Raises:
        _UnknownError: It is a module.
        TypeError: It cannot be pickled, so that it may hold something that is not seen.
    """
    kind, own = type(value), getattr(value, "__dict__", None)
    if isinstance(value, ModuleType):
        raise _UnknownError(value)
    if hasattr(value, "__wrapped__"):
        return [kind, value.__wrapped__, own]
    if kind.__module__.split(".")[0] == "infer":
        return [own]
    slots = [getattr(value, name, None) for name in copyreg._slotnames(kind)]  # type: ignore[attr-defined]
    reduced = value.__reduce_ex__(4)
    if isinstance(reduced, str):
        raise _UnknownError(value)
    whole = [list(part) if isinstance(part, Iterator) else part for part in reduced]
    # The first two of a plain object say that it is of its class.
    return [kind, own, slots, *(whole if _has_own_state(kind) else whole[2:])]


def _has_own_state(kind: type) -> bool:
    return (
        kind.__reduce__ is not object.__reduce__ or kind.__reduce_ex__ is not object.__reduce_ex__
    )


def _list_read(function: FunctionType) -> list[Any]:
    """List what a function reads: its code, defaults, closure, globals, and parts of modules."""
    code, found = read_code(function.__code__), []
    cells = zip(
        function.__code__.co_freevars, map(_read_cell, function.__closure__ or ()), strict=True
    )
    scopes = [scope for scope in (dict(cells), function.__globals__) if scope]
    # The class of a method, for `super`, is in a cell that no code names.
    for name, *attributes in (*code.chains, ("__class__",)):
        read = [scope[name] for scope in scopes if name in scope]
        if not read and name in NAMES_THAT_VARY and hasattr(builtins, name):
            found.append(_UNKNOWN)
        # What is only appended to, such as a list that counts calls, is not read.
        only_appended = attributes == ["append"] and all(type(own) is list for own in read)
        found += [] if only_appended else [_follow(own, attributes) for own in read]
    imported = [sys.modules.get(name) for name in code.imports]
    defaults = function.__defaults__, function.__kwdefaults__
    found += [_UNKNOWN] if code.is_impure else []
    return [code.digest, defaults, function.__dict__, imported, *found]


def _follow(value: Any, attributes: list[str]) -> Any:
    """Return what a function reads of a variable, which may be a module."""
    while isinstance(value, ModuleType) and attributes:
        name, *attributes = attributes
        if _varies(value.__name__):
            return _UNKNOWN
        # A known package may import its parts when they are first read, as ours and SciPy do.
        if name not in vars(value) and not (_is_known(value.__name__) and hasattr(value, name)):
            return value
        value = getattr(value, name)
    return value


def _read_cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # It is still empty.
        return None


def _find_name(value: Any) -> str | None:
    """Return where Python or a known package has a module, a class or a function.

    None if it is something else.

    Raises:
        _UnknownError: It returns something else another time, or is of another package.
    """
    if isinstance(value, NAMED):
        return repr(value)
    if isinstance(value, ModuleType):
        module, names = value.__name__, []
    elif callable(value):
        is_ufunc = isinstance(value, np.ufunc)
        module = "numpy" if is_ufunc else getattr(value, "__module__", None) or ""
        names = (getattr(value, "__qualname__", None) or getattr(value, "__name__", "")).split(".")
    else:
        return None
    if not (_is_known(module) or _is_installed(module)):
        return None
    found: Any = sys.modules.get(module)
    for name in names:
        found = getattr(found, name, None)
    if found is not value:
        return None
    if not _is_known(module) or _varies(module) or names[-1:] and names[-1] in NAMES_THAT_VARY:
        raise _UnknownError(value)
    return ".".join((module, *names))


def _varies(module: str) -> bool:
    return any(module == own or module.startswith(f"{own}.") for own in MODULES_THAT_VARY)


def _is_foreign(value: Any) -> bool:
    """Return whether a value is an object of an installed package that is not known."""
    kind = type(value)
    return not isinstance(value, type | ModuleType) and _is_installed(kind.__module__)


@cache
def _is_known(module: str) -> bool:
    """Return whether a module is one of Python or of a known package, not of the user's."""
    top = module.split(".")[0]
    if top in KNOWN:
        return True
    file = getattr(sys.modules.get(top), "__file__", None)
    if top not in sys.stdlib_module_names:
        return False
    # A file of the user's may have the name of a module of Python.
    folders = sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")
    return not file or (file.startswith(folders) and "-packages" not in file)


@cache
def _is_installed(module: str) -> bool:
    """Return whether a module is one of an installed package that is not known."""
    top = module.split(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return top != "__main__" and not _is_known(module) and "-packages" in file
