"""Sets of values and the maps onto them from unconstrained vectors.

`forward` always goes from unconstrained to constrained. `table` imports every set with its maps
and has a row for each map. Each public name is listed in `__init__.pyi` and imported at its first
use.
"""

from threading import RLock as _RLock
from typing import Any as _Any

import lazy_loader as _lazy_loader

from .garbage import pause_collection as _pause_collection
from .postponed import import_equinox as _import_equinox

_import, __dir__, __all__ = _lazy_loader.attach_stub(__name__, __file__)

# Threads that import modules of a circle at once may see one before its names.
_one_at_a_time = _RLock()


def __getattr__(name: str) -> _Any:
    with _one_at_a_time, _pause_collection():
        _import_equinox()
        return _import(name)
