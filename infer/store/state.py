"""Warm-up and its chains as arrays by name, and back into the structures of engine and family."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..density.family import Family
from ..density.points import Points
from ..density.recentered import Centering, match_earlier
from ..engines.base import Draws, Engine
from ..errors import RunError
from ..run.blocks import find_format
from ..run.chains import make_tuning, outline_points, outline_states
from ..run.collect import Group, regroup
from ..run.loop import SAMPLING, RecordFormat
from ..run.packed import Packed
from ..run.recentering import begin_centering
from ..run.tuned import list_forms
from ..run.warmup import Move, Warmup
from .nested import find_outline, flatten, rebuild

# Fields of a warm-up that are plain numbers.
COUNTS = ("planned", "densities", "window", "draws", "gradients")
WINDOWS = ("windows", "skipped_windows")
# Fields of chains that are arrays with one row for each chain.
BY_CHAIN = ("keys", "drawn", "executed", "entering")


def write_warmup(
    warmup: Warmup, records: RecordFormat
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Write a warm-up as arrays by name and plain values; gradients of sampling are left out."""
    kept = _kept_columns(warmup.window, records)
    arrays = flatten("tuning", warmup.tuning)
    numbers: dict[str, Any] = {name: int(getattr(warmup, name)) for name in COUNTS}
    numbers["on_host"] = warmup.groups[0].state.on_host
    numbers |= {name: list(getattr(warmup, name)) for name in WINDOWS}
    for part in ("groups", "scouts"):
        own, limits = _write_chains(getattr(warmup, part), kept)
        arrays |= {f"{part}.{name}": a for name, a in own.items()}
        numbers[part] = limits
    if warmup.centering is not None:
        arrays |= {"centering": warmup.centering.degrees}
    arrays |= {} if warmup.spare is None else flatten("spare", warmup.spare)
    for index, draws in enumerate(warmup.recent):
        arrays |= flatten(f"recent{index}", draws)
    for index, move in enumerate(warmup.moves):
        arrays |= {f"move{index}.left": move.left, f"move{index}.reached": move.reached}
    arrays |= {} if warmup.scouted is None else flatten("scouted", warmup.scouted)
    for index, draws in enumerate(warmup.kept or ()):
        arrays |= flatten(f"kept{index}", draws)
    numbers["kept"] = None if warmup.kept is None else len(warmup.kept)
    numbers["recent"] = len(warmup.recent)
    numbers["moves"] = [move.chain for move in warmup.moves]
    return arrays, numbers


def read_warmup(
    arrays: Mapping[str, np.ndarray],
    numbers: Mapping[str, Any],
    family: Family,
    engine: Engine,
    chains: int,
    width: int,
) -> Warmup:
    """Read what `write_warmup` wrote.

    Args:
        arrays: Arrays by name.
        numbers: Plain values.
        family: The log densities that the run is of.
        engine: The engine of the run.
        chains: Number of chains of all densities together.
        width: Chains in one program.

    Raises:
        RunError: An array is missing, or does not have the shape and dtype that the engine gives
            it for these log densities.
    """
    points = outline_points(chains, family.member(0).size)
    states = outline_states(engine, points, numbers.get("on_host", False))
    forms = list_forms(engine, make_tuning(engine, family, points, None))
    tuning = rebuild("tuning", find_outline("tuning", forms, arrays), arrays)
    windows = {name: tuple(numbers[name]) for name in WINDOWS}
    counts = {name: numbers[name] for name in COUNTS}
    blank = Group(range(chains), *_no_rows(chains, states))
    outline = Warmup((blank,), tuning, 0, (), counts["densities"])
    records = find_format(engine, family, outline)
    kept = _kept_columns(counts["window"], records)
    parts = {
        part: tuple(regroup(_read_chains(arrays, numbers[part], part, states, kept), width))
        for part in ("groups", "scouts")
    }
    # As records have it; see `run_block`.
    kinds = (np.dtype(kind) for _, kind in states.outline)
    dtype = next(kind for kind in kinds if jnp.issubdtype(kind, jnp.floating))
    recent, kept_windows = (
        None
        if numbers[name] is None
        else tuple(
            _read_draws(arrays, f"{name}{i}", gradient, records, dtype)
            for i in range(numbers[name])
        )
        for name, gradient in (("recent", records.gradient_width), ("kept", 0))
    )
    has_scouted = "scouted.positions" in arrays
    scouted = _read_draws(arrays, "scouted", 0, records, dtype) if has_scouted else None
    moves = tuple(
        Move(chain, arrays[f"move{i}.left"], arrays[f"move{i}.reached"])
        for i, chain in enumerate(numbers["moves"])
    )
    return Warmup(
        tuning=tuning, recent=recent or (), moves=moves, kept=kept_windows,
        centering=read_centering(arrays, family), spare=_read_spare(arrays, points),
        scouted=scouted,
        **parts, **windows, **counts,
    )  # fmt: skip


def read_centering(arrays: Mapping[str, np.ndarray], family: Family) -> Centering | None:
    """Read how far sites are centered, if this was learned.

    Raises:
        RunError: The array is of another shape than the model asks for, or nothing is to be learned
            here.
    """
    if "centering" not in arrays:
        return None
    outline = begin_centering(family)
    if outline is None:
        raise RunError(
            "centering",
            f"it was learned for {arrays['centering'].size} entries, and here it is learned for 0",
            "Use a model with the same sites whose centering is learned.",
        )
    outline = match_earlier(outline, arrays["centering"].shape[-1])
    return outline._replace(degrees=rebuild("centering", outline.degrees, arrays))


def _read_spare(arrays: Mapping[str, np.ndarray], points: Points) -> Points | None:
    return rebuild("spare", points, arrays) if "spare.positions" in arrays else None


def _no_rows(chains: int, states: Packed) -> tuple[Any, ...]:
    zeros = np.zeros(chains, np.int32)
    keys, entering = np.zeros((chains, 2), np.uint32), np.ones(chains, bool)
    return keys, states, zeros, [[] for _ in range(chains)], zeros.astype(np.int64), entering


def _kept_columns(window: int, records: RecordFormat) -> np.ndarray:
    """Return which columns of a record are stored; only warm-up reads gradients again."""
    kept = np.ones(records.record, bool)
    if window == SAMPLING:
        kept[records.width : records.width + records.gradient_width] = False
    return kept


def _write_chains(
    groups: Sequence[Group], kept: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    if not groups:
        return {}, {"chains": 0}
    joined = {name: np.concatenate([getattr(g, name) for g in groups]) for name in BY_CHAIN}
    parts = [jax.tree.map(np.asarray, group.state.parts) for group in groups]
    state = flatten("state", {k: np.concatenate([p[k] for p in parts]) for k in parts[0]})
    blocks = [[block[:, kept] for block in own] for group in groups for own in group.rows]
    counts = np.array([sum(map(len, own)) for own in blocks])
    rows = [block for own in blocks for block in own if len(block)]
    joined |= {"counts": counts, "rows": np.concatenate(rows) if rows else np.zeros((0, 0))}
    limits = [group.limit for group in groups]
    return joined | state, {
        "chains": len(counts), "limit": min(limits), "dropped": groups[0].dropped,
    }  # fmt: skip


def _read_chains(
    arrays: Mapping[str, np.ndarray],
    numbers: Mapping[str, Any],
    part: str,
    states: Packed,
    kept: np.ndarray,
) -> list[Group]:
    chains = numbers["chains"]
    if not chains:
        return []
    own = {name: _read(arrays, f"{part}.{name}", chains) for name in BY_CHAIN}
    state = replace(states, parts=rebuild(f"{part}.state", states.parts, arrays))
    counts = _read(arrays, f"{part}.counts", chains)
    stored = _read(arrays, f"{part}.rows", int(counts.sum()))
    rows = np.full((len(stored), len(kept)), np.nan, stored.dtype)
    if len(stored):
        rows[:, kept] = stored
    blocks = np.split(rows, np.cumsum(counts)[:-1])
    return [
        Group(
            range(chains),
            state=state,
            rows=[[b] if len(b) else [] for b in blocks],
            limit=numbers["limit"],
            dropped=numbers["dropped"],
            **own,
        )  # fmt: skip
    ]


def _read(arrays: Mapping[str, np.ndarray], name: str, rows: int) -> np.ndarray:
    if name not in arrays or len(arrays[name]) != rows:
        raise RunError(name, f"it does not have {rows} rows", "Give the store that a run wrote.")
    return arrays[name]


def _read_draws(
    arrays: Mapping[str, np.ndarray],
    name: str,
    gradient_width: int,
    records: RecordFormat,
    dtype: np.dtype,
) -> Draws:
    lead = arrays[f"{name}.positions"].shape[:2]
    outline = Draws(
        np.empty((*lead, records.width), dtype),
        np.empty((*lead, gradient_width), dtype),
        {stat: np.empty(lead, kind) for stat, kind in records.dtypes.items()},
    )
    return rebuild(name, outline, arrays)
