"""Tell the class of an object without importing it: if nothing has, there is no such object."""

import sys
from typing import Any


def is_of_class(value: Any, name: str) -> bool:
    """Return whether an object is of a class that few programs use.

    Args:
        value: The object.
        name: Module and class, such as "infer.engines.gibbs.Gibbs".
    """
    return isinstance(value, find_loaded(name) or ())


def find_loaded(name: str) -> Any:
    """Return what a module has under a name; None unless something has imported the module.

    Args:
        name: Module and name, such as "numpyro.distributions.Normal".
    """
    module, _, own = name.rpartition(".")
    # A module that another thread is importing may not have its names yet.
    return getattr(sys.modules.get(module), own, None)
