"""Find every engine by walking the package, so that a new file is tested without an edit here."""

import importlib
import inspect
import pkgutil
import typing

import pytest

import infer.engines
from infer.engines.base import Engine

# Enough chains for a population.
POPULATION = 16


def every_engine() -> list[Engine]:
    """Make one of each engine, with example values for settings that have no default."""
    modules = [m.name for m in pkgutil.iter_modules(infer.engines.__path__)]
    kinds = {
        kind
        for name in modules
        for _, kind in inspect.getmembers(importlib.import_module(f"infer.engines.{name}"))
        if inspect.isclass(kind) and issubclass(kind, Engine) and not inspect.isabstract(kind)
    }
    return [kind(**kind.examples.valid) for kind in sorted(kinds, key=lambda k: k.__name__)]


def is_wrapped(engine: Engine) -> bool:
    """Return whether another library runs the engine."""
    return "blackjax" in type(engine).__module__


def is_population(engine: Engine) -> bool:
    """Return whether all chains of the engine move together."""
    return engine.scope == "population"


def engines_in_time(slow: typing.Callable[[Engine], bool]) -> list:
    """List every engine; mark the slow ones."""
    marks = {True: (pytest.mark.slow,), False: ()}
    return [pytest.param(engine, marks=marks[slow(engine)]) for engine in every_engine()]


def chains_of(engine: Engine, chains: int) -> int:
    """Return how many chains to run: as many as asked, or a population."""
    return POPULATION if is_population(engine) else chains


def named(engine: Engine) -> str:
    """Return the name of an engine, for the names of tests."""
    return type(engine).__name__
