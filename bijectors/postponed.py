"""Postpone running parts of equinox and JAX until one of their names is used.

`import equinox` runs the files of its neural networks, internals and tools for debugging, which
define some 60 classes, and JAX's compiler of kernels. No map, model or sampler here needs them.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any

# Each part, with names that are read at once and the file that has them.
PARTS: dict[str, dict[str, str]] = {
    "jax.extend.pallas": {},
    "equinox.debug": {},
    "equinox.internal": {},
    "equinox.nn": {"inference_mode": "_inference"},
}


class _Part(ModuleType):
    """A package whose file has not run yet; it runs when a name is read that is not there."""

    def __getattr__(self, name: str) -> Any:
        # What Python itself looks for in any module; only `__all__` is of its file.
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name in PARTS[self.__name__]:
            # A release that has it elsewhere runs the whole file.
            with suppress(ImportError, AttributeError):
                file = f"{self.__name__}.{PARTS[self.__name__][name]}"
                return getattr(import_module(file), name)
        _run(self)
        return ModuleType.__getattribute__(self, name)

    def __dir__(self) -> list[str]:
        _run(self)
        return list(ModuleType.__dir__(self))


class _Postponing(Loader):
    """Makes a module without running its file, which `_run` does.

    Attributes:
        loader: Runs the file.
        lock: Held by the thread that does.
        is_running: Whether it does.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader, self.lock, self.is_running = loader, RLock(), False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = _Part


def _run(part: ModuleType) -> None:
    """Run the file of a part, while other threads wait; it is then a module like any other."""
    spec = part.__spec__
    if spec is None or not isinstance(own := spec.loader, _Postponing):
        return
    with own.lock:
        # The file itself may read a name that is missing.
        if own.is_running or spec.loader is not own:
            return
        own.is_running = True
        try:
            own.loader.exec_module(part)
        finally:
            own.is_running = False
        part.__class__, part.__loader__, spec.loader = ModuleType, own.loader, own.loader


class _Finder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in PARTS else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Postponing(spec.loader)
        return spec


def import_equinox() -> None:
    """Import equinox without running the parts, unless it is there already.

    Only meanwhile does the process have another finder; it leaves all other names to the rest.
    """
    if "equinox" not in sys.modules:
        sys.meta_path.insert(0, finder := _Finder())
        try:
            import_module("equinox")
        finally:
            # Somebody may have set another list meanwhile, without it.
            with suppress(ValueError):
                sys.meta_path.remove(finder)
