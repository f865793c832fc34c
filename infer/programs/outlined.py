"""Find what an earlier process compiled or found out, before a program is traced.

Tracing takes longer than all else in a process that compiles nothing. What a program is traced to
depends on its function, which is ours; on the shapes of its arguments; on the settings of JAX; and
on the model, which is known exactly from its survey: the one trace that is always made. If nothing
else of the user's plays a part, the hash of all this names a file that says what came of it.
"""

import os
import sys
import time
from collections.abc import Callable
from functools import cache, lru_cache, partial, wraps
from hashlib import sha256
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np
from jax.tree_util import PyTreeDef

from bijectors.table import RULES

from ..models.abstract import run_abstractly
from ..models.model import Model
from ..models.surroundings import describe_surroundings
from ..types import ProgramSignature, signature_of
from .cached import find_out, is_on, keep, number_leaves
from .described import Description, NotDescribedError
from .recalled import describe_settings
from .switch import is_native_allowed

OURS = "bijectors", "infer"
# Packages of which our programs are made; besides them there is JAX, whose version is compared.
SOURCES = (*OURS, "numpyro", "equinox", "jaxtyping", "optax", "optimistix", "lineax", "blackjax")
# Files of packages whose rules of differentiation depend on nothing but what they are given, if
# their names end in "_jvp": `functools.wraps` gives a rule of the user's the name of a function.
# That of `jax.lax.custom_root`, which calls a function of the user, is in none of them.
RULES_IN = {
    "jax": ("_src/nn/", "_src/numpy/", "_src/scipy/", "_src/third_party/", "_src/lax/other.py",
            "_src/lax/erf.py"),
    "numpyro": ("distributions/util.py",),
    "infer": ("numerics/long_sum.py",),
}  # fmt: skip
# Seconds by which the clock of a file system may be ahead of ours.
SKEW = 2.0
_imported = time.time()
# Their functions depend on no more of a model than its outline tells.
COVERED = ("infer.density.", "infer.run.", "infer.output.data.", "infer.output.judge.")


def describe_call(
    function: Callable[..., Any], arguments: tuple[Any, ...], form: str
) -> str | None:
    """Describe a program that is compiled for the shapes of arguments; None if that is not exact.

    Args:
        function: A function of this package, or a `partial` of one.
        arguments: Pytrees of arrays.
        form: How it is compiled.
    """
    if not is_on():
        return None
    signature = signature_of(arguments)
    if any(where is not None for *_, where in signature.leaves):
        return None
    return _describe((form, function, signature.outline()))


def recalled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function of values and signatures, whose results later processes are to look up.

    Args:
        function: A function of this package; it returns what can be pickled, and not None.
    """

    @wraps(function)
    def recall(*arguments: Any) -> Any:
        values = [a.outline() if isinstance(a, ProgramSignature) else a for a in arguments]
        described = _describe((function.__module__, function.__qualname__, values))
        found = find_out(described)
        if found is None:
            found = function(*arguments)
            keep(described, found)
        return found

    return recall


def _describe(value: Any) -> str | None:
    """Describe a value, and besides it all that a trace depends on; None if that is not exact."""
    if not is_on() or (sources := _describe_sources()) is None:
        return None
    description = _CallDescription()
    try:
        own = description.describe(value)
    except NotDescribedError:
        return None
    if description.lacks_model:
        return None
    configuration = repr(signature_of(()).configuration)
    parts = own, configuration, describe_settings(), str(is_native_allowed()), sources
    return sha256("\0".join(parts).encode()).hexdigest()


class _CallDescription(Description):
    """Describes functions of ours, values of our classes, and models by their outlines.

    Attributes:
        models: Whether each model is with its arrays; one without has the structure of another.
    """

    def __init__(self) -> None:
        super().__init__()
        self.models: list[bool] = []

    @property
    def lacks_model(self) -> bool:
        return bool(self.models) and not any(self.models)

    def _describe_once(self, value: Any) -> str:
        if isinstance(value, PyTreeDef):
            return f"tree of {self.describe(number_leaves(value))}"
        if isinstance(value, Model):
            if not all(isinstance(a, jax.ShapeDtypeStruct) for a in jax.tree.leaves(value)):
                raise NotDescribedError(value)
            signature = signature_of(value)
            is_whole = len(signature.leaves) == len(value.shapes)
            self.models.append(is_whole)
            return self._describe_model(signature) if is_whole else _describe_no_leaves(signature)
        if isinstance(value, jax.ShapeDtypeStruct):
            return self._describe_shape(value)
        if isinstance(value, partial):
            return f"partial{self.describe((value.func, value.args, value.keywords))}"
        if isinstance(value, tuple) and type(value) is not tuple and not _is_ours(type(value)):
            raise NotDescribedError(type(value))
        return super()._describe_once(value)

    def _describe_model(self, signature: ProgramSignature) -> str:
        described, now = _describe_model(signature), signature.outline()
        if described is None:
            raise NotDescribedError(signature)
        read = now.surroundings
        if not (read and read.is_whole) or describe_surroundings(now.program) != read:
            # A trace may see other global variables than the survey did.
            raise NotDescribedError(now)
        return described

    def _describe_shape(self, shape: jax.ShapeDtypeStruct) -> str:
        generator = self.describe(getattr(shape.dtype, "_impl", None))
        return f"{shape.dtype}{generator}{shape.shape}{'~' if shape.weak_type else ''}"

    def _describe_other(self, value: Any) -> str:
        if callable(value) and hasattr(value, "__qualname__") and _is_ours(value):
            if isinstance(value, type) or value.__module__.startswith(COVERED):
                return f"{value.__module__}.{value.__qualname__}"
            raise NotDescribedError(value)
        if _is_ours(type(value)) and hasattr(value, "__dict__"):
            kind = type(value)
            return f"{kind.__module__}.{kind.__qualname__}{self.describe(dict(vars(value)))}"
        return super()._describe_other(value)


def _is_ours(value: Any) -> bool:
    """Return whether a function or a type is found in our packages under its name."""
    module, name = getattr(value, "__module__", None) or "", value.__qualname__
    return module.split(".")[0] in OURS and getattr(sys.modules.get(module), name, None) is value


class _ModelDescription(Description):
    """Describes the outline of a model, with the places of known rules of differentiation."""

    def _describe_operation(self, equation: Any) -> str:
        names = "jvp_jaxpr_fun", "fwd_jaxpr_thunk", "bwd"
        rules = [equation.params[name] for name in names if name in equation.params]
        return f"{list(map(_place, rules))}{super()._describe_operation(equation)}"


@lru_cache(maxsize=64)
def _describe_model(signature: ProgramSignature) -> str | None:
    """Describe a model; None if that is not exact."""
    model: Model = signature.outline()
    if tuple(leaf[0] for leaf in signature.leaves) != model.shapes or model.rules is not RULES:
        return None
    run = run_abstractly(model)
    if run.outline.declared is None:
        return None
    sizes = {dim: (len(own), dim in model.labels.given) for dim, own in model.labels.coords.items()}
    known = (
        type(model.program),
        run.sites,
        run.outline.terms,
        run.outline.declared,
        sizes,
        model.changes,
    )
    try:
        program = _ModelDescription().describe(run.outline.program)
        return sha256(f"{program}\0{_CallDescription().describe(known)}".encode()).hexdigest()
    except NotDescribedError:
        return None


def _describe_no_leaves(signature: ProgramSignature) -> str:
    """Describe a model whose arrays are all in another argument, of the same structure."""
    if signature.leaves:
        raise NotDescribedError(signature)
    return "without leaves"


def _place(rule: Any) -> str:
    """Return where a rule of differentiation was written, in JAX, NumPyro or here.

    Raises:
        NotDescribedError: It is another one.
    """
    place = getattr(getattr(rule, "debug_info", None), "func_src_info", None) or ""
    name, _, file = place.partition(" at ")
    if not (name.endswith("_jvp") and file.startswith(_list_files_of_rules())):
        raise NotDescribedError(rule)
    return place


@cache
def _list_files_of_rules() -> tuple[str, ...]:
    return tuple(
        os.path.join(_find_package(name), *path.split("/"))
        for name, paths in RULES_IN.items()
        for path in paths
    )


@cache
def _find_package(name: str) -> str:
    """Return the folder of a package; empty if it is not installed."""
    spec = find_spec(name)
    return os.path.dirname(spec.origin or "") if spec is not None else ""


@cache
def _describe_sources() -> str | None:
    """Return a hash of size and time of each file of the packages that make programs.

    None if some are missing, as in a program packed as one, or if one was changed since they were
    imported, so that it may not be what is running.
    """
    found = []
    for name in SOURCES:
        folder = _find_package(name)
        own = _list_files(folder) if folder else []
        if not own and name in OURS:
            return None
        found += own
    if max(changed for *_, changed in found) > (_imported - SKEW) * 1e9:
        return None
    return sha256(repr((found, np.__version__, sys.version)).encode()).hexdigest()


def _list_files(folder: str) -> list[tuple[str, int, int, int]]:
    """List path, size and times of all files of Python in a folder, as fast as that can be done."""
    found, inner = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                stat = entry.stat()
                found.append((entry.path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
            elif entry.name != "__pycache__" and entry.is_dir():
                inner += _list_files(entry.path)
    return sorted(found + inner)
