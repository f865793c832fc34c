"""Metropolis within Gibbs: blocks of sites take turns, each with an engine of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from ..errors import EngineError
from ..numerics.conditional import (
    Conditional,
    Segments,
    StandardNormal,
    count_entries,
    put_entries,
    take_entries,
)
from ..numerics.dependent_leaves import find_dependent_leaves
from ..numerics.long_sum import two_sum
from ..numerics.windows import plan_windows
from ..target import Components, Target
from ..types import Scalar, Vector
from .base import Draws, Engine, Examples, Needs, State, Tick, Tuning, WarmupPlan, WindowEnd
from .random_walk import RandomWalk

REST = "rest"


class GibbsTuning(eqx.Module):
    """The tuning of each block, by the names of its sites; traced."""

    blocks: dict[str, Tuning]


class GibbsState(NamedTuple):
    """One chain within a sweep over the blocks.

    Attributes:
        position: Where all blocks are.
        reference: The reference from which the blocks measure log densities, in nats.
        states: State of each block's engine.
        stats: Statistics of each block's newest draw.
        block: Index of the block whose turn it is.
        is_stale: Whether other blocks have moved since this one's state was made.
    """

    position: Vector
    reference: Scalar
    states: tuple[State, ...]
    stats: tuple[dict[str, Array], ...]
    block: Int[Array, ""]
    is_stale: Bool[Array, ""]


@dataclass(frozen=True)
class Gibbs(Engine):
    """Blocks of sites take turns: each moves by an engine of its own, given the others.

    `Gibbs({"z": infer.Slice()}, rest=infer.NUTS())` moves z by slice sampling given the other
    sites, then those by NUTS given z. A draw is one turn of each block. The posterior is invariant,
    since each engine leaves the conditional distribution of its block as it is. Blocks that
    correlate strongly mix slowly; they belong in one block.

    Each turn evaluates the log density once more than the engine does, where the others have moved
    to. The statistics of a block have its name at the end, such as `acceptance_rate_z`.

    Attributes:
        blocks: An engine for a site, or for several sites together, by name or names.
        rest: The engine of all other sites together; it may also be given as the block "rest".
        segments: Where each block is in the flat vector, once a run has bound the engine to a
            model.

    Source: Geman & Geman (1984); Tierney (1994), Markov chains for exploring posterior
        distributions, section 2.4, on Metropolis within Gibbs.
    """

    examples: ClassVar[Examples] = Examples(
        valid={"blocks": {}, "rest": RandomWalk(), "segments": (((0, 3),),)},
        invalid={"blocks": {}, "rest": None},
    )
    blocks: Any
    rest: Any = None
    segments: tuple[Segments, ...] = field(default=())

    def __post_init__(self) -> None:
        is_given = isinstance(self.blocks, Mapping)
        given = self.blocks.items() if is_given else self.blocks
        if not is_given and not isinstance(given, tuple):
            raise EngineError(
                "Gibbs", f"blocks is {given!r}", 'Give a dict, such as {"z": infer.Slice()}.'
            )
        pairs = tuple((_as_names(sites), engine) for sites, engine in given)
        object.__setattr__(self, "blocks", pairs)
        for label, engine in self._list_engines():
            _refuse_unfit(label, engine)
        if not self._list_engines():
            raise EngineError(
                "Gibbs", "it has no blocks", 'Give an engine by site, such as {"z": infer.Slice()}.'
            )

    @property
    def needs(self) -> Needs:
        return Needs(gradient=any(engine.needs.gradient for _, engine in self._list_engines()))

    def bind(self, sites: Mapping[str, slice]) -> "Gibbs":
        """Return the engine for a model, whose sites are at these places of the flat vector.

        Raises:
            EngineError: A site is unknown, in two blocks, or in none.
        """
        if self.rest is None and (REST,) in dict(self.blocks) and REST not in sites:
            blocks = dict(self.blocks)
            return replace(self, rest=blocks.pop((REST,)), blocks=blocks).bind(sites)
        named = [name for names, _ in self.blocks for name in names]
        for name in named:
            if name not in sites:
                raise EngineError(
                    "Gibbs", f"there is no latent site {name!r}", f"They are {', '.join(sites)}."
                )
            if named.count(name) > 1:
                raise EngineError("Gibbs", f"{name!r} is in two blocks", "Name each site once.")
        others = tuple(name for name in sites if name not in named)
        if others and self.rest is None:
            raise EngineError(
                "Gibbs",
                f"no block moves {', '.join(map(repr, others))}",
                "Add an engine for all other sites, such as rest=infer.NUTS().",
            )
        groups = [*(names for names, _ in self.blocks), *([others] if others else [])]
        places = lambda names: tuple((sites[n].start, sites[n].stop) for n in names)  # noqa: E731
        rest = self.rest if others else None
        return replace(self, rest=rest, segments=tuple(map(places, groups)))

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        plans = [engine.plan_warmup(chains, draws) for _, engine in self._list_engines()]
        longest = max(plan.draws for plan in plans)
        return WarmupPlan(longest, plan_windows(longest))

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> GibbsTuning:
        def make(engine: Engine, segments: Segments) -> Tuning:
            own = Conditional(target, positions[0], np.zeros((), positions.dtype), segments)
            each = (take_entries(a, segments) for a in (positions, gradients))
            return engine.first_tuning(own, *each)

        return GibbsTuning({label: make(engine, own) for label, engine, own in self._parts})

    def reuse(self, learned: GibbsTuning, fresh: GibbsTuning) -> GibbsTuning:
        each = {own: engine.reuse for own, engine, _ in self._parts}
        return GibbsTuning({n: f(learned.blocks[n], fresh.blocks[n]) for n, f in each.items()})

    def init(self, position: Vector, here: Components) -> GibbsState:
        relative = here._replace(value=0 * here.value)
        states = tuple(_begin(engine, own, position, relative) for _, engine, own in self._parts)
        stats = tuple(
            {name: jnp.zeros((), kind) for name, kind in _statistics(e, own, position.dtype)}
            for _, e, own in self._parts
        )
        return GibbsState(position, here.value, states, stats, jnp.int32(0), jnp.asarray(False))

    def enter(self, tuning: GibbsTuning, state: GibbsState, warming: Bool[Array, ""]) -> GibbsState:
        each = zip(self._parts, state.states, strict=True)
        states = (e.enter(tuning.blocks[own], s, warming) for (own, e, _), s in each)
        return state._replace(states=tuple(states))

    def tick(
        self, key: Array, target: Target, tuning: GibbsTuning, state: GibbsState
    ) -> tuple[GibbsState, Tick]:
        turns = [
            partial(self._advance, index, jax.random.fold_in(key, index), target, tuning)
            for index in range(len(self._parts))
        ]

        def advance(state: GibbsState) -> tuple[GibbsState, Tick]:
            moved = jax.lax.switch(state.block, turns, state)
            none = jnp.zeros_like(state.position)
            zero = jnp.zeros((), none.dtype)
            return moved, self._report(moved, Components(zero, none, none), jnp.asarray(False))

        refresh = partial(self._refresh, target)
        return jax.lax.cond(state.is_stale, refresh, advance, state)

    def _advance(
        self, index: int, key: Array, target: Target, tuning: GibbsTuning, state: GibbsState
    ) -> GibbsState:
        """Advance one block by a tick of its engine."""
        label, engine, segments = self._parts[index]
        given = Conditional(target, state.position, state.reference, segments)
        own, tick = engine.tick(key, given, tuning.blocks[label], state.states[index])
        moved = put_entries(state.position, segments, tick.position)
        newest = {name: tick.stats[name] for name in state.stats[index]}
        if "energy" in newest:
            newest["energy"] = newest["energy"] - state.reference
        complete = tick.complete
        return GibbsState(
            jnp.where(complete, moved, state.position),
            state.reference,
            _put_at(state.states, index, own),
            _put_at(state.stats, index, _where(complete, newest, state.stats[index])),
            jnp.where(complete, (index + 1) % len(self._parts), state.block).astype(jnp.int32),
            jnp.asarray(complete),
        )

    def _refresh(self, target: Target, state: GibbsState) -> tuple[GibbsState, Tick]:
        """Tell the next block where the others are; with the first one's turn, a draw is made."""
        value, gradient = target.evaluate_from(state.position, state.reference)
        total, remainder = two_sum(state.reference, value)
        here = Components(remainder, gradient, jnp.zeros_like(gradient))
        states = list(state.states)
        for index, (_, engine, segments) in enumerate(self._parts):
            fresh = _begin(engine, segments, state.position, here)
            leaves, structure = jax.tree.flatten(states[index])
            is_due = state.block == index
            # What the engine has learned in this window does not depend on the position.
            moving = _find_moving(engine, segments, state.position.dtype)
            pairs = zip(moving, jax.tree.leaves(fresh), leaves, strict=True)
            chosen = [jnp.where(is_due, new, old) if own else old for own, new, old in pairs]
            states[index] = jax.tree.unflatten(structure, chosen)
        after = state._replace(reference=total, states=tuple(states), is_stale=jnp.asarray(False))
        return after, self._report(after, here._replace(value=total), state.block == 0)

    def _report(self, state: GibbsState, here: Components, complete: Bool[Array, ""]) -> Tick:
        stats: dict[str, Array] = {
            f"{name}_{label}": number
            for (label, _, _), own in zip(self._parts, state.stats, strict=True)
            for name, number in own.items()
        }
        if len(stats) < sum(map(len, state.stats)):
            labels = ", ".join(repr(label) for label, _, _ in self._parts)
            raise EngineError(
                "Gibbs",
                f"statistics of two of the blocks {labels} have the same name",
                "Rename a site: one block's name ends with that of another.",
            )
        counts = [own["n_steps"] for own in state.stats if "n_steps" in own]
        stats |= {"lp": here.value, "n_steps": sum(counts, jnp.int32(0))}
        if diverging := [own["diverging"] for own in state.stats if "diverging" in own]:
            stats["diverging"] = jnp.stack(diverging).any()
        gradient = here.gradient if self.needs.gradient else here.gradient[:0]
        return Tick(complete, state.position, gradient, stats)

    def end_window(
        self, tuning: GibbsTuning, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        ends = {
            label: engine.end_window(
                tuning.blocks[label], [_take_block(w, label, segments) for w in recent], windows
            )
            for label, engine, segments in self._parts
        }
        longest = max((end.windows for end in ends.values()), key=sum)
        return WindowEnd(GibbsTuning({own: end.tuning for own, end in ends.items()}), longest)

    def _list_engines(self) -> list[tuple[str, Any]]:
        named = [("+".join(names), engine) for names, engine in self.blocks]
        # A site may have this name too.
        label = REST if REST not in dict(named) else f"{REST}_of_sites"
        return [*named, *([(label, self.rest)] if self.rest is not None else [])]

    @property
    def _parts(self) -> list[tuple[str, Engine, Segments]]:
        """Label, engine and place of each block; an `EngineError` if it is not bound to a model."""
        if not self.segments:
            raise EngineError(
                "Gibbs", "it does not know where the sites are", "Use it in infer.sample or start."
            )
        pairs = zip(self._list_engines(), self.segments, strict=True)
        return [(label, engine, segments) for (label, engine), segments in pairs]


def _begin(engine: Engine, segments: Segments, position: Vector, here: Components) -> State:
    """Make the state of a block's engine, given the others."""
    own = Components(here.value, *(take_entries(a, segments) for a in here[1:]))
    return engine.init(take_entries(position, segments), own)


@lru_cache(maxsize=64)
def _statistics(engine: Engine, segments: Segments, dtype: Any) -> list[tuple[str, Any]]:
    """List the statistics of an engine with their types; the log density is that of the draw."""
    target = StandardNormal(count_entries(segments))
    rows = np.random.default_rng(0).normal(size=(2, target.size)).astype(dtype)
    tuning = engine.first_tuning(target, rows, -rows)

    def tick(key: Array, position: Array) -> dict[str, Array]:
        state = engine.init(position, target.components(position))
        state = engine.enter(tuning, state, jnp.asarray(True))
        return engine.tick(key, target, tuning, state)[1].stats

    key = jax.eval_shape(lambda: jax.random.key(0))
    made = jax.eval_shape(tick, key, jax.ShapeDtypeStruct((target.size,), dtype))
    return [(name, a.dtype) for name, a in made.items() if name not in ("lp", "relative_lp")]


@lru_cache(maxsize=64)
def _find_moving(engine: Engine, segments: Segments, dtype: Any) -> list[bool]:
    """Return which leaves of the engine's state depend on where the chain is."""
    vector = jax.ShapeDtypeStruct((count_entries(segments),), dtype)
    here = Components(jax.ShapeDtypeStruct((), dtype), vector, vector)  # pyright: ignore
    return find_dependent_leaves(engine.init, vector, here)


def _take_block(draws: Draws, label: str, segments: Segments) -> Draws:
    """Take what a block's engine learns from: its entries, their gradients and its statistics."""
    positions, end = take_entries(draws.positions, segments), f"_{label}"
    gradients = draws.gradients
    gradients = take_entries(gradients, segments) if gradients.shape[-1] else gradients
    stats = {n.removesuffix(end): a for n, a in draws.stats.items() if n.endswith(end)}
    return Draws(positions, gradients, stats)


def _put_at(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*values[:index], value, *values[index + 1 :])


def _where(condition: Bool[Array, ""], new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _as_names(sites: Any) -> tuple[str, ...]:
    names: tuple[Any, ...] = sites if isinstance(sites, tuple) and sites else (sites,)
    if not all(isinstance(name, str) for name in names):
        raise EngineError(
            "Gibbs",
            f"a block is named {sites!r}",
            'Give the name of a site, such as "z", or a tuple of names.',
        )
    return names


def _refuse_unfit(label: str, engine: Any) -> None:
    """Raise if an engine cannot move a block."""
    if not isinstance(engine, Engine) or isinstance(engine, Gibbs):
        raise EngineError(
            "Gibbs", f"the engine of {label!r} is {engine!r}", "Give one such as infer.Slice()."
        )
    needs, simple = engine.needs, Needs(gradient=engine.needs.gradient)
    if engine.result != "draws" or engine.scope != "chain" or needs != simple:
        raise EngineError(
            "Gibbs",
            f"{type(engine).__name__} cannot move the block {label!r}: it makes no draws of one "
            "chain from the values of a log density alone",
            "Give NUTS(), HMC(), Slice(), RandomWalk() or DEMetropolis().",
        )
