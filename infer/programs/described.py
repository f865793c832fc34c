"""Describe a traced program exactly, so that what was compiled from it is found without lowering.

Two programs with the same description are lowered to the same operations by the same version of
JAX. A program is described only if that is certain: all its operations are JAX's own, it calls no
Python and no foreign function, and each parameter is of a type that this file knows.
"""

import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from hashlib import sha256
from types import NoneType
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.extend.core import Literal

PLAIN = (NoneType, bool, int, float, complex, str, bytes)
# How a function is differentiated, which no longer matters.
IGNORED = {
    "custom_jvp_call": {"jvp_jaxpr_fun", "jvp_jaxpr_thunk"},
    "custom_vjp_call": {"fwd_jaxpr_thunk", "bwd", "out_trees"},
}
# Of JAX, with nothing that their name does not say.
SINGLETONS = {"UnspecifiedValue"}


class NotDescribedError(Exception):
    """A program has something that is not known to be the same in another process."""


def describe_program(program: Any) -> str | None:
    """Return the hash of a description of a jaxpr; None if it cannot be described exactly."""
    try:
        return Description().describe(program)
    except NotDescribedError:
        return None


@cache
def _is_own_primitive(primitive: Any) -> bool:
    """Return whether a primitive is one of JAX, which computes the same in every process."""
    name = primitive.name.replace("-", "_")
    if "callback" in name or "ffi" in name:
        return False
    if any(getattr(own, f"{name}_p", None) is primitive for own in _list_modules()):
        return True
    # It may be of a module that was imported since.
    _list_modules.cache_clear()
    return any(getattr(own, f"{name}_p", None) is primitive for own in _list_modules())


@cache
def _list_modules() -> list[Any]:
    """Return JAX's modules; there are two thousand of others."""
    # Copied, as other threads may import modules meanwhile.
    return [own for key, own in list(sys.modules.items()) if key.startswith("jax._src.")]


class Description:
    """What was described so far, by identity: objects are shared by many equations."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        # An identity is reused after its object is gone.
        self._alive: list[Any] = []

    def describe(self, value: Any) -> str:
        """Describe a parameter of an equation.

        Raises:
            NotDescribedError: It is of a type that is not known.
        """
        kind = type(value)
        if kind in PLAIN:
            return f"{kind.__name__} {value!r}"
        if id(value) not in self._known:
            self._known[id(value)] = self._describe_once(value)
            self._alive.append(value)
        return self._known[id(value)]

    def _describe_once(self, value: Any) -> str:
        if hasattr(value, "eqns"):
            return sha256("\n".join(self._list_equations(value)).encode()).hexdigest()
        if isinstance(value, np.ndarray | np.generic | jax.Array):
            return self._describe_array(value)
        if isinstance(value, tuple | list):
            return f"{type(value).__qualname__}({', '.join(map(self.describe, value))})"
        if isinstance(value, dict | frozenset | set):
            parts = value.items() if isinstance(value, dict) else value
            return f"{type(value).__qualname__}{sorted(map(self.describe, parts))}"
        return self._describe_other(value)

    def _describe_other(self, value: Any) -> str:
        kind = type(value)
        if isinstance(value, np.dtype):
            return f"type {value}"
        if callable(value) and is_of_jax(value):
            return f"{value.__module__}.{value.__qualname__}"
        if isinstance(value, Enum):
            return f"{kind.__qualname__}.{value.name}"
        if kind.__module__.split(".")[0] not in ("jax", "jaxlib"):
            raise NotDescribedError(kind)
        if kind.__name__ in SINGLETONS or getattr(value, "empty", False) is True:
            return kind.__qualname__
        if is_dataclass(value):
            own = [f"{f.name}={self.describe(getattr(value, f.name))}" for f in fields(value)]
            return f"{kind.__qualname__}({', '.join(own)})"
        if kind.__module__ == "jax._src.flattree" and " at 0x" not in repr(value):
            # Which arguments of a loop are carried; nothing else in it is lowered.
            return repr(value)
        raise NotDescribedError(kind)

    def _describe_array(self, value: Any) -> str:
        if not isinstance(value, np.ndarray | np.generic) and not _is_concrete(value):
            raise NotDescribedError(type(value))
        host = np.ascontiguousarray(value)
        if host.dtype.hasobject:
            raise NotDescribedError(host.dtype)
        return f"{host.dtype}{host.shape}{sha256(host.tobytes()).hexdigest()}"

    def _list_equations(self, program: Any) -> list[str]:
        """Describe a jaxpr line by line; its variables are numbered in order."""
        jaxpr, numbers = program.jaxpr if hasattr(program, "jaxpr") else program, {}
        if jaxpr.effects:
            raise NotDescribedError(jaxpr.effects)

        def declare(variable: Any) -> str:
            numbers[variable] = len(numbers)
            return f"{numbers[variable]}:{self._describe_type(variable.aval)}"

        def read(atom: Any) -> str:
            if isinstance(atom, Literal):
                value = self._describe_array(np.asarray(atom.val))
                return f"{value}:{self._describe_type(atom.aval)}"
            return str(numbers[atom])

        constants = list(map(self.describe, getattr(program, "consts", ())))
        lines = [*map(declare, (*jaxpr.constvars, *jaxpr.invars)), *constants]
        for equation in jaxpr.eqns:
            operands = [read(atom) for atom in equation.invars]
            lines.append(self._describe_operation(equation) + ",".join(operands))
            lines.append(",".join(map(declare, equation.outvars)))
        return [*lines, *map(read, jaxpr.outvars)]

    def _describe_operation(self, equation: Any) -> str:
        name = equation.primitive.name
        if not _is_own_primitive(equation.primitive):
            raise NotDescribedError(equation.primitive)
        ignored = IGNORED.get(name, set())
        own = [
            f"{key}={self.describe(value)}"
            for key, value in sorted(equation.params.items())
            if key not in ignored
        ]
        return f"{name}[{'; '.join(own)}]{self._describe_context(equation.ctx)} "

    def _describe_context(self, context: Any) -> str:
        if id(context) not in self._known:
            # The configs are the other slots once more, with objects that cannot be described.
            unread = {"configs", "__weakref__"}
            slots = [name for name in type(context).__slots__ if name not in unread]
            own = [f"{name}={self.describe(getattr(context, name, None))}" for name in slots]
            self._known[id(context)] = "; ".join(own)
            self._alive.append(context)
        return self._known[id(context)]

    def _describe_type(self, aval: Any) -> str:
        if type(aval).__name__ != "ShapedArray":
            raise NotDescribedError(type(aval))
        # The type of a key says what generates random numbers, which users can define.
        generator = self.describe(getattr(aval.dtype, "_impl", None))
        return f"{aval.dtype}{generator}{aval.shape}{'~' if aval.weak_type else ''}"


def _is_concrete(value: Any) -> bool:
    is_traced = isinstance(value, Tracer)
    return not is_traced and not jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended)


def is_of_jax(value: Callable[..., Any]) -> bool:
    """Return whether a function or a type is found in JAX or NumPy under its name."""
    module, name = getattr(value, "__module__", None) or "", getattr(value, "__qualname__", "")
    is_theirs = module.split(".")[0] in ("jax", "jaxlib", "numpy", "builtins")
    return is_theirs and getattr(sys.modules.get(module), name, None) is value
