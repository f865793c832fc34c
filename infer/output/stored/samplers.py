"""What made the draws of a store, an engine or a ladder, in plain values and back."""

from dataclasses import fields
from typing import Any

from ...engines.base import Engine
from ...errors import RunError
from ...run.ladder import Ladder
from ...store.engines import describe_engine, make_engine


def engine_of(sampler: Engine | Ladder) -> Engine:
    """Return the engine; that of the last rung of a ladder."""
    return sampler.engine if isinstance(sampler, Ladder) else sampler


def describe_sampler(sampler: Engine | Ladder) -> dict[str, Any]:
    """Describe an engine or a ladder in plain values."""
    described: dict[str, Any] = {"engine": describe_engine(engine_of(sampler))}
    if isinstance(sampler, Ladder):
        plain = {f.name: getattr(sampler, f.name) for f in fields(sampler) if f.name != "engine"}
        described["ladder"] = plain
    return described


def make_sampler(
    where: str, about: dict[str, Any], given: Engine | Ladder | None
) -> Engine | Ladder:
    """Make the engine or the ladder that was described.

    Args:
        where: Path or URL of the store.
        about: What the store is of.
        given: The engine, if it cannot be made from the store, or the same ladder again.

    Raises:
        RunError: A ladder is given, and the store is not of one with its settings; or the engine
            cannot be made from the store, and is not given.
    """
    engine = engine_of(given) if given is not None else make_engine(about["engine"])
    settings = about.get("ladder")
    stored = engine if settings is None else Ladder(engine, **settings)
    if isinstance(given, Ladder) and given != stored:
        made_by = about["engine"]["name"] if settings is None else f"Ladder({settings})"
        raise RunError(
            where,
            f"it holds a run of {made_by}, and {given!r} is given",
            "Leave the engine out: the store has its settings.",
        )
    return stored
