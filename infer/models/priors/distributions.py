"""The names of `numpyro.distributions`, imported when the first of them is used.

Importing NumPyro takes 0.3 s of CPU time, and a model without distributions, such as a declared log
density, needs none of it. No import is needed to find out whether an object is of one of its
classes: if nothing has imported NumPyro, it is not.
"""

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bijectors.translate.numpyro_import import name_submodules

from ...loaded import find_loaded, is_of_class

if TYPE_CHECKING:
    from numpyro.distributions import Distribution as Distribution


def __getattr__(name: str) -> Any:
    # Python itself looks for some in any module, such as `__path__`.
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import(), name)


@cache
def _import() -> ModuleType:
    found = import_module("numpyro.distributions")
    name_submodules()
    return found


def is_imported() -> bool:
    """Return whether somebody has imported NumPyro, so that there may be distributions."""
    return find_loaded("numpyro.distributions.distribution.Distribution") is not None


def is_distribution(value: Any) -> bool:
    """Return whether an object is a distribution of NumPyro."""
    return is_of_class(value, "numpyro.distributions.distribution.Distribution")


def is_constraint(value: Any) -> bool:
    """Return whether an object is a constraint of NumPyro."""
    return is_of_class(value, "numpyro.distributions.constraints.Constraint")


def is_of_numpyro(value: Any) -> bool:
    """Return whether an object is of any class of NumPyro, or of a subclass."""
    return any(kind.__module__.startswith("numpyro.") for kind in type(value).__mro__)


def name_family(distribution: Any) -> str:
    """Return the name of NumPyro's class of a distribution; empty if its class is another."""
    kind = type(distribution)
    return kind.__name__ if kind.__module__.startswith("numpyro.") else ""
