"""Find every engine by walking the package: a new file joins the tests by itself."""

import importlib
import inspect
import pkgutil
import typing

import pytest

import infer.engines
from infer.engines.base import Engine

# As many chains as make a population.
POPULATION = 16


def every_engine() -> list[Engine]:
    """Make one of each engine, with its examples for the settings that have no default."""
    modules = [m.name for m in pkgutil.iter_modules(infer.engines.__path__)]
    kinds = {
        kind
        for name in modules
        for _, kind in inspect.getmembers(importlib.import_module(f"infer.engines.{name}"))
        if inspect.isclass(kind) and issubclass(kind, Engine) and not inspect.isabstract(kind)
    }
    return [kind(**kind.examples.valid) for kind in sorted(kinds, key=lambda k: k.__name__)]


def is_wrapped(engine: Engine) -> bool:
    """Tell whether another library carries an engine out."""
    return "blackjax" in type(engine).__module__


def is_population(engine: Engine) -> bool:
    """Tell whether all chains of an engine move together."""
    return engine.scope == "population"


def engines_in_time(slow: typing.Callable[[Engine], bool]) -> list:
    """List every engine, some of them only where there is time."""
    marks = {True: (pytest.mark.slow,), False: ()}
    return [pytest.param(engine, marks=marks[slow(engine)]) for engine in every_engine()]


def chains_of(engine: Engine, chains: int) -> int:
    """Choose how many chains to run: so many, or a population."""
    return POPULATION if is_population(engine) else chains


def named(engine: Engine) -> str:
    """Name an engine in a test's identity."""
    return type(engine).__name__
