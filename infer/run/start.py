"""Make a run: survey the model, check it against the engine, and find where to start."""

import time
from collections.abc import Sequence
from dataclasses import replace

import jax
import numpy as np
from jaxtyping import Array

from ..density.family import Family, family
from ..density.start import Points, Starts, find_starts, refuse_misfits
from ..engines.base import Engine, State, Tuning
from ..errors import RunError
from ..models.base import Model
from ..models.data import on_device
from ..target import Components
from .collect import Group, regrouped
from .devices import Plan, plan, together
from .loop import chain_keys
from .native import Program, program
from .offers import chosen_starts, refuse_number, refuse_unless_offered
from .run import Run, RunState, Timing, joined, made_for


def start(
    model: Model | Sequence[Model], engine: Engine, *, chains: int = 4, warmup: int | None = None,
    starts: Starts | None = None, tuning: Tuning | None = None, key: int | np.integer | Array = 0,
    group: int | None = None, threads: int | None = None, progress: bool | None = None,
    state: RunState | None = None,
) -> Run:  # fmt: skip
    """Make a run: survey the model, check it against the engine and find starting points.

    Args:
        model: What a front end returned; or several that differ in the numbers in their arrays
            alone, each of which gets its own chains, starts and tuning.
        engine: The engine.
        chains: Number of chains, of each model.
        warmup: Warm-up draws per chain; by default the engine's. With 0 and no tuning, a
            sampler keeps its first guess of a step size.
        starts: "uniform", "prior", or constrained values by name; by default "uniform", unless
            the engine itself moves draws from the prior to the posterior.
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
    refuse_number("chains", chains, 1)
    refuse_number("warmup", engine.default_warmup if warmup is None else warmup, 0)
    models = [model] if isinstance(model, Model) else list(model)
    members = family(models, jacobian=engine.jacobian)
    density = members.member(0)
    refuse_unless_offered(density, engine)
    members = Family(jax.tree.map(on_device, members.shared), members.own, members.count)
    if state is not None:
        return _resumed(members, engine, state, progress)
    begins: Starts = chosen_starts(engine, starts)
    refuse_misfits(density, chains, begins)
    engine = engine.prepared([members.member(i) for i in range(members.count)])
    began = time.perf_counter()
    warmup = engine.default_warmup if warmup is None else warmup
    keys, start_key = chain_keys(key, chains * members.count)
    points = find_starts(members, chains, start_key, begins)
    fresh = _first_tuning(engine, points, members.count)
    timing = Timing(starts=time.perf_counter() - began)
    chosen = _planned(engine, chains, members.count, group, threads)
    return Run(
        members,
        engine,
        chosen,
        fresh if tuning is None else engine.reuse(_fitting(tuning, fresh), fresh),
        _first_groups(keys, _init(engine, density.has_value, points), chosen.width),
        engine.windows(warmup),
        warmup,
        timing=timing,
        progress=progress,
    )


def _planned(
    engine: Engine, chains: int, count: int, group: int | None, threads: int | None
) -> Plan:
    if engine.scope == "population":
        return together(chains, count, group, threads)
    return plan(chains * count, group, threads)


def _first_tuning(engine: Engine, points: Points, count: int) -> Tuning:
    pairs = zip(*(np.split(a, count) for a in (points.positions, points.gradients)), strict=True)
    return joined([engine.first_tuning(*pair) for pair in pairs])


def _init(engine: Engine, has_value: bool, points: Points) -> State:
    made, _ = program(_init_all, (engine, has_value), tuple(points), native=False)
    assert isinstance(made, Program)
    return jax.tree.map(np.asarray, made.call(*points))


def _init_all(engine: Engine, has_value: bool, positions: Array, *here: Array) -> State:
    components = Components(*here)
    if has_value:
        return jax.vmap(engine.init)(positions, components.value, components.gradient)
    return jax.vmap(engine.init_unvalued)(positions, components)


def _first_groups(keys: np.ndarray, states: State, width: int) -> list[Group]:
    chains = len(keys)
    every = Group(range(chains), keys, states, np.zeros(chains, np.int32), [[]] * chains)
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


def _resumed(members: Family, engine: Engine, state: RunState, progress: bool | None) -> Run:
    if state.made_for != made_for(members, engine):
        raise RunError(
            "state",
            f"it belongs to {state.made_for}, not to {made_for(members, engine)}",
            "Resume with the engine and the model that were stopped; data may differ.",
        )
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
    )
