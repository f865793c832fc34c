"""What made the draws of a store, an engine or a ladder, in plain values and back."""

from dataclasses import fields
from typing import Any

from ...engines.base import Engine
from ...errors import RunError
from ...run.ladder import Ladder
from ...store.engines import can_make, describe_engine, find_other_settings, make_engine


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
        given: The engine, if it cannot be made from the store, or the same engine or ladder again.

    Raises:
        RunError: The store is not of the engine or the ladder that is given, with its settings; or
            the engine cannot be made from the store, and is not given.
    """
    settings, described = about.get("ladder"), about["engine"]
    if isinstance(given, Ladder):
        if settings is None:
            raise _explain(where, described["name"], repr(given), described)
        _refuse_others(where, "Ladder", settings, given, described)
    engine = make_engine(described) if given is None else engine_of(given)
    refuse_other_settings(where, described, engine)
    return engine if settings is None else Ladder(engine, **settings)


def refuse_other_settings(where: str, described: dict[str, Any], engine: Engine) -> None:
    """Raise if a store has a run of another engine, or of one with other settings.

    A fingerprint leaves out the settings on which no program depends, such as `target_acceptance`.
    Settings that are not stored cannot be compared.
    """
    if type(engine).__name__ != described["name"]:
        raise _explain(where, described["name"], repr(engine), described)
    _refuse_others(where, described["name"], described["settings"], engine, described)


def _refuse_others(
    where: str, name: str, settings: dict[str, Any], given: Any, described: dict[str, Any]
) -> None:
    others = find_other_settings(settings, given)
    if others:
        stored = ", ".join(f"{n}={settings[n]!r}" for n in others)
        own = ", ".join(f"{n}={getattr(given, n, None)!r}" for n in others)
        raise _explain(where, f"{name} with {stored}", own, described)


def _explain(where: str, stored: str, given: str, described: dict[str, Any]) -> RunError:
    """Explain what a store holds, and what is given instead."""
    mend = (
        "Leave the engine out: the store has its settings."
        if can_make(described)
        else "Give the engine of that run again, with the same settings."
    )
    return RunError(where, f"it holds a run of {stored}, and {given} is given", mend)
