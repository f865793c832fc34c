"""Find every engine by walking the package: a new file joins the tests by itself."""

import dataclasses
import importlib
import inspect
import pkgutil
import typing

import infer.engines
from infer.engines.base import Engine


def every_engine() -> list[Engine]:
    """Make one of each engine, with the first choice for settings that have no default."""
    modules = [m.name for m in pkgutil.iter_modules(infer.engines.__path__)]
    kinds = {
        kind
        for name in modules
        for _, kind in inspect.getmembers(importlib.import_module(f"infer.engines.{name}"))
        if inspect.isclass(kind) and issubclass(kind, Engine) and kind is not Engine
    }
    return [_first_of(kind) for kind in sorted(kinds, key=lambda k: k.__name__)]


def _first_of(kind: type[Engine]) -> Engine:
    hints = typing.get_type_hints(kind)
    required = [f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING]
    return kind(**{name: typing.get_args(hints[name])[0] for name in required})


def named(engine: Engine) -> str:
    """Name an engine in a test's identity."""
    return type(engine).__name__
