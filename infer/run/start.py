"""Make a run: survey the model, check it against the engine, and find where to start."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..calls import checks_arguments
from ..counts import whole
from ..density.chain_starts import Starts, assign_starts, needs_search, read_starts
from ..density.family import Family, make_family
from ..density.gathers import check_indices
from ..density.slopes import warn_of_wrong_gradients
from ..density.start import Points, find_starts, make_evaluator
from ..density.unused import warn_of_unused
from ..engines.base import Engine, Tuning
from ..errors import RunError
from ..models.inputs.precision import on_device
from ..models.model import Model
from ..numerics.keys import derive_chain_keys, read_key_data
from ..programs.forked import refuse_if_forked
from ..programs.garbage import uncollected
from ..programs.native import Program, prepare, program
from ..target import Components
from ..types import Kinds, kinds
from .choice import choose_from, describe_machine, gather_facts
from .collect import Group, regrouped
from .devices import Plan, plan, together
from .fingerprint import refuse_others
from .packed import Packed, pack
from .refusals import choose_starts, refuse_unless_engine, refuse_unless_offered
from .run import Run, RunState, joined
from .scouts import CHAINS_ENOUGH

_log = logging.getLogger("infer")


@checks_arguments("infer.start")
@uncollected()
def start(
    model: Model | Sequence[Model], engine: Engine | None = None, *,
    chains: int = 4, warmup: int | None = None,
    starts: Starts | None = None, tuning: Tuning | None = None, key: int | np.integer | Array = 0,
    group: int | None = None, threads: int | None = None, progress: bool | None = None,
    state: RunState | None = None,
) -> Run:  # fmt: skip
    """Make a run: survey the model, check it against the engine and find starting points.

    Args:
        model: What a front end returned; or several that differ in the numbers in their arrays
            alone, each of which gets its own chains, starts and tuning.
        engine: The engine; by default `choose` picks a sampler, and `Run.reasons` says why.
        chains: Number of chains, of each model.
        warmup: Warm-up draws per chain; by default the engine's for so many chains. With 0 and no
            tuning, a sampler keeps its first guess of a step size.
        starts: "uniform", "prior" or "initial", constrained values by name, a result that has
            such values, or a list of these with one for each chain; see `sample`. By default
            "uniform", unless the engine itself moves draws from the prior to the posterior.
        tuning: What an earlier run learned; with `warmup=0` it is used as it is.
        key: A seed or a JAX key.
        group: Chains per program; by default 1 on a CPU, all on an accelerator.
        threads: Programs called at the same time on a CPU; changes no draw.
        progress: Whether to show a bar; by default where standard error is a terminal.
        state: Where an earlier run stopped; the run goes on from there, and of the other
            arguments only the model, the engine and `progress` are read.

    Raises:
        ModelError: The model cannot be used; the message names the site.
        StartError: No finite starting point was found; the message names the term.
        EngineError: The engine needs what the density does not offer.
        RunError: The numbers do not fit together.
    """
    refuse_if_forked()
    chains = whole("chains", chains, 1)
    warmup = None if warmup is None else whole("warmup", warmup, 0)
    root = read_key_data(key)
    refuse_unless_engine(engine)
    members = make_family(model, jacobian=engine is None or engine.needs.jacobian)
    density = members.member(0)
    engine, reasons = _chosen(members, chains, state) if engine is None else (engine, ())
    refuse_unless_offered(density, engine)
    for index in range(members.count):
        check_indices(members.member(index).model)
    warn_of_unused(density.model)
    members = Family(jax.tree.map(on_device, members.shared), members.own, members.count)
    if state is not None:
        return _resumed(members, engine, state, progress, reasons)
    begins = read_starts(choose_starts(engine, starts))
    assign_starts(members, chains, begins)
    planned = engine.plan_warmup(chains, warmup)
    keys, start_key = derive_chain_keys(root, chains * members.count)
    chosen = _planned(engine, chains, members.count, group, threads)
    blank = _blank_points(len(keys), density.size)
    run = Run(
        members,
        engine,
        chosen,
        _first_tuning(engine, members, blank, tuning),
        _first_groups(keys, _blank_states(engine, blank), chosen.width),
        planned.windows,
        planned.draws,
        progress=progress,
        reasons=reasons,
    )
    if needs_search(begins):
        # Values that the user gives are looked at before anything compiles.
        run.prepare()
        prepare(_init_all, (engine,), tuple(blank), "brief")
    began = time.perf_counter()
    points, spare = find_starts(members, chains, start_key, begins)
    run.evaluate = make_evaluator(members, chains, start_key, begins)
    if engine.needs.gradient:
        warn_of_wrong_gradients(members, points, run.evaluate)
    run.tuning = _first_tuning(engine, members, points, tuning)
    run.groups = _first_groups(keys, _init(engine, points), run.plan.width)
    # An early end leaves out other windows than the last.
    if spare and chains < CHAINS_ENOUGH and 0 < planned.scout_draws <= sum(run.windows[-1:]):
        their_keys = derive_chain_keys(root, 2 * len(keys))[0][len(keys) :]
        scouts = _init(engine, spare)
        run.scouts = _first_groups(their_keys, scouts, run.plan.width)
    run.timing.starts = time.perf_counter() - began
    return run


def _chosen(members: Family, chains: int, state: RunState | None) -> tuple[Engine, tuple[str, ...]]:
    if state is not None:
        chains = sum(len(group.chains) for group in state.groups) // members.count
    made = choose_from(gather_facts(members.member(0)), describe_machine(), chains, members.count)
    _log.info("chosen: %s", made)
    return made.engine, made.reasons


def _blank_points(lanes: int, size: int) -> Points:
    """Make points that have the shapes of starts, which are all that a program is made for."""
    dtype = jnp.result_type(float)
    wide, narrow = np.zeros((lanes, size), dtype), np.zeros(lanes, dtype)
    return Points(wide, narrow, wide, wide)


def _blank_states(engine: Engine, points: Points) -> Packed:
    shapes = _states_of(engine, kinds(tuple(points)))
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


@lru_cache(maxsize=64)
def _states_of(engine: Engine, points: Kinds) -> Packed:
    return jax.eval_shape(partial(_init_all, engine), *points.outline())


def _planned(
    engine: Engine, chains: int, count: int, group: int | None, threads: int | None
) -> Plan:
    if engine.scope == "population":
        return together(chains, count, group, threads)
    return plan(chains * count, group, threads)


def _first_tuning(
    engine: Engine, members: Family, points: Points, learned: Tuning | None
) -> Tuning:
    each = (np.split(a, members.count) for a in (points.positions, points.gradients))
    pairs = enumerate(zip(*each, strict=True))
    fresh = joined([engine.first_tuning(members.member(i), *pair) for i, pair in pairs])
    return fresh if learned is None else engine.reuse(_fitting(learned, fresh), fresh)


def _init(engine: Engine, points: Points) -> Packed:
    made, _ = program(_init_all, (engine,), tuple(points), "brief")
    assert isinstance(made, Program)
    return jax.tree.map(np.asarray, made.call(*points))


def _init_all(engine: Engine, positions: Array, *here: Array) -> Packed:
    def init(position: Array, here: Components) -> Packed:
        return pack(engine.init(position, here))

    return jax.vmap(init)(positions, Components(*here))


def _first_groups(keys: np.ndarray, states: Packed, width: int) -> list[Group]:
    chains = len(keys)
    none, nothing = np.zeros(chains, np.int32), np.zeros(chains, np.int64)
    every = Group(range(chains), keys, states, none, [[]] * chains, nothing, np.ones(chains, bool))
    return regrouped([every], width)


def _fitting(tuning: Tuning, fresh: Tuning) -> Tuning:
    """Accept the tuning of an earlier run, if it is of the same engine and size."""
    shapes = [jax.tree.map(np.shape, t) for t in (tuning, fresh)]
    if shapes[0] != shapes[1]:
        found = ", ".join(str(np.shape(leaf)) for leaf in jax.tree.leaves(tuning))
        raise RunError(
            "tuning",
            f"it is a {type(tuning).__name__} of shapes {found}",
            "Give the tuning of a run of the same engine on a model of the same size.",
        )
    return tuning


def _resumed(
    members: Family, engine: Engine, state: RunState, progress: bool | None,
    reasons: tuple[str, ...],
) -> Run:  # fmt: skip
    refuse_others(state.made_for, members, engine)
    return Run(
        members,
        engine,
        state.plan,
        state.tuning,
        regrouped(state.groups, state.plan.width),
        state.windows,
        state.warmup,
        state.window,
        state.recent,
        state.why_not_native,
        replace(state.timing),
        progress,
        warmed=state.warmed,
        warmup_gradients=state.warmup_gradients,
        moves=state.moves,
        scouts=regrouped(state.scouts, state.plan.width),
        left_out=state.left_out,
        reasons=reasons,
    )
