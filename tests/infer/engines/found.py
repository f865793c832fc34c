"""Find every engine by walking the package: a new file joins the tests by itself."""

import dataclasses
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
    # An empty default stands for a choice that the user has to make.
    required = [f.name for f in dataclasses.fields(kind) if f.default in (dataclasses.MISSING, "")]
    return kind(**{name: _choice_of(hints[name]) for name in required})


def _choice_of(hint: typing.Any) -> typing.Any:
    """Take the first of what may be chosen, or a small number."""
    return typing.get_args(hint)[0] if typing.get_args(hint) else hint(0.01)


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
