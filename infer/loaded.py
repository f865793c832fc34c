"""Tell the class of an object without importing it: if nothing has, there is no such object."""

import sys
from typing import Any


def is_of_class(value: Any, name: str) -> bool:
    """Return whether an object is of a class of this package that few programs use.

    Args:
        value: The object.
        name: Module and class, such as "infer.engines.gibbs.Gibbs".
    """
    module, _, own = name.rpartition(".")
    loaded = sys.modules.get(module)
    # A module that another thread is importing may not have its classes yet.
    return isinstance(value, getattr(loaded, own, ()))
