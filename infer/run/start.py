"""Make a run, stage by stage, from a model to chains at their starts."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from bijectors.garbage import pause_collection

from ..calls import check_arguments
from ..counts import as_whole
from ..density.chain_starts import ChainStart, Starts, assign_starts, needs_search, read_starts
from ..density.family import Family, make_family, without_gradient
from ..density.gathers import check_indices, has_indices_in
from ..density.points import Evaluate, Points, make_evaluator
from ..density.recentered import Centering
from ..density.slopes import warn_of_wrong_gradients
from ..density.start import find_starts
from ..density.unused import warn_of_unused
from ..engines.base import Engine, Tuning, WarmupPlan
from ..models.inputs.precision import on_device
from ..models.model import Model
from ..numerics.keys import derive_chain_keys
from ..numerics.model_keys import read_keys
from ..programs.divided import explain_division
from ..programs.forked import refuse_if_forked
from .bound import bind_sites
from .chains import (
    make_groups,
    make_states,
    make_tuning,
    outline_points,
    outline_states,
    prepare_states,
)
from .collect import Group
from .coordinates import enter_coordinates, place_whitened, prepare_moves
from .devices import Plan
from .packed import Packed
from .places import Places, prepare_places
from .placing import Devices, choose_places
from .plans import plan_for, share_processes
from .recentering import begin_centering
from .refusals import choose_starts, refuse_unless_engine, refuse_unless_offered
from .run import Run
from .sharing import Place, limit
from .state import RunState, Timing, refuse_incomplete, refuse_unfit
from .stepped import choose_host
from .tuned import has_only_degrees, split_tuning
from .turns import call_together
from .warmup import CHAINS_ENOUGH, Warmup

_log = logging.getLogger("infer")


class _Chosen(NamedTuple):
    """An engine, with the reasons for it if the run chose it.

    Attributes:
        engine: The engine.
        reasons: Why this engine, one sentence each.
    """

    engine: Engine
    reasons: tuple[str, ...] = ()


class _Setup(NamedTuple):
    """All that is decided before anything is computed.

    Attributes:
        family: The log densities; their data are on the device.
        chosen: The engine.
        warmup: How long warm-up is.
        plan: How the chains share the machine.
        starts: Where each chain starts.
        root: Key data of the run.
        tuning: What an earlier run learned, if it was given.
        centering: How far sites are centered at first, if this is learned.
        places: The data at each place of the plan.
        on_host: Whether NumPy advances the chains; see `stepped`.
    """

    family: Family
    chosen: _Chosen
    warmup: WarmupPlan
    plan: Plan
    starts: list[ChainStart]
    root: np.ndarray
    tuning: Tuning | None
    centering: Centering | None
    places: Places
    on_host: bool


class _Found(NamedTuple):
    """Where chains begin.

    Attributes:
        points: The start of each chain.
        spare: The second best start of each chain, for scouts; None if no others were tried.
        evaluate: Evaluates more points by the program that evaluated the starts.
    """

    points: Points
    spare: Points | None
    evaluate: Evaluate


@check_arguments("infer.start")
@pause_collection()
def start(
    model: Model | Sequence[Model], engine: Engine | None = None, *,
    chains: int = 4, warmup: int | None = None,
    starts: Starts | None = None, tuning: Tuning | None = None, key: Any = 0,
    group: int | None = None, threads: int | None = None, devices: Devices | None = None,
    progress: bool | None = None, state: RunState | None = None,
) -> Run:  # fmt: skip
    """Make a run: survey the model, check it against the engine and find starting points.

    Args:
        model: What a front end returned, or several models, as for `sample`.
        engine: The engine; by default `choose` picks a sampler, and `Run.reasons` says why.
        chains: Number of chains, of each model.
        warmup: Warm-up draws per chain; by default the engine's for so many chains. With 0 and no
            tuning, a sampler keeps its first guess of a step size.
        starts: Where chains begin, as for `sample`.
        tuning: What an earlier run learned; with `warmup=0` it is used as it is.
        key: A seed or a JAX key, or one for each model.
        group: Chains per program; by default 1 on a CPU, all on an accelerator.
        threads: Programs called at the same time on a CPU; changes no draw.
        devices: Devices to use, as for `sample`.
        progress: Whether to show progress; by default in a terminal or a notebook.
        state: Where an earlier run stopped; the run goes on from there, and of the other
            arguments only the model, the engine and `progress` are read.

    Raises:
        ModelError: The model cannot be used; the message names the site.
        StartError: No finite starting point was found; the message names the term.
        EngineError: The engine needs what the density does not offer.
        RunError: The numbers do not fit together, or `state` is of another run or version.
    """
    refuse_if_forked()
    numbers = (
        as_whole("chains", chains, 1),
        None if warmup is None else as_whole("warmup", warmup, 0),
    )
    refuse_unless_engine(engine)
    if state is not None:
        refuse_incomplete(state)
    members = make_family(model, jacobian=engine is None or engine.needs.jacobian)
    root = read_keys(key, members.count)
    bound = engine and _Chosen(bind_sites(engine, members))
    chosen = bound or _choose(members, numbers[0], state)
    members = prepare_family(members, chosen.engine)
    if state is not None:
        return _resume(members, chosen, state, progress)
    places = choose_places(members, devices)
    setup = _set_up(members, chosen, *numbers, starts, root, tuning, group, threads, places)
    alike = repr(chosen.engine), len(setup.starts), setup.plan.width, setup.warmup.windows, root
    setup.places.processes.refuse_unlike((alike, members), "they were given different arguments")
    outline = _outline(setup)
    if needs_search(setup.starts):
        # If all starts are given, they are checked before anything compiles.
        _prepare_programs(setup, outline)
    began = time.perf_counter()
    begun = _begin(setup, found := _find(setup))
    timing = Timing(starts=time.perf_counter() - began)
    return Run(
        members, chosen.engine, setup.plan, begun, timing, explain_division(members.shared) or None,
        reasons=chosen.reasons, progress=progress, evaluate=found.evaluate, key=root,
        places=setup.places,
    )  # fmt: skip


def _choose(members: Family, chains: int, state: RunState | None) -> _Chosen:
    """Choose an engine for a new run, or the one that a stopped run chose."""
    from .choice import choose_for

    chains = chains if state is None else state.warmup.chains // members.count
    made = choose_for(members.member(0), chains, members.count)
    _log.info("chosen: %s", made)
    return _Chosen(made.engine, made.reasons)


def prepare_family(members: Family, engine: Engine) -> Family:
    """Refuse what the engine cannot do and data that make no sense; put the data on the device."""
    density = members.member(0)
    refuse_unless_offered(density, engine)
    is_own = [own is not None for _, own in members.leaves()]
    for index in range(members.count if has_indices_in(density.model, is_own) else 1):
        check_indices(members.member(index).model)
    warn_of_unused(density.model)
    members = members if engine.needs.gradient else without_gradient(members)
    return Family(jax.tree.map(on_device, members.shared), members.own, members.count)


def _set_up(
    members: Family, chosen: _Chosen, chains: int, draws: int | None, starts: Starts | None,
    root: np.ndarray, tuning: Tuning | None, group: int | None, threads: int | None,
    where: tuple[Place, ...],
) -> _Setup:  # fmt: skip
    """Decide on everything else, and refuse numbers that do not fit together."""
    engine, count = chosen.engine, members.count
    wanted = assign_starts(members, chains, read_starts(choose_starts(engine, starts)))
    warmup = engine.plan_warmup(chains, draws)
    shared = plan_for(engine, chains, count, group, threads, where)
    shared = shared._replace(is_brief=warmup.is_brief)
    on_host = choose_host(engine, members, len(wanted), shared.width)
    shared = shared if on_host else call_together(shared, chains * count, count)
    shared, places = share_processes(shared, where)
    recenters = warmup.recenters or has_only_degrees(tuning)
    centering = begin_centering(members) if recenters else None
    tuning, centering = split_tuning(tuning, centering)
    return _Setup(members, chosen, warmup, shared, wanted, root, tuning, centering, places, on_host)


def _outline(setup: _Setup) -> Warmup:
    """Make a warm-up with the right shapes and types; a tuning that does not fit is refused."""
    points = outline_points(len(setup.starts), setup.family.member(0).size)
    states = outline_states(setup.chosen.engine, points, setup.on_host)
    return _begin_warmup(setup, points, states)


def _prepare_programs(setup: _Setup, outline: Warmup) -> None:
    """Begin to compile the loop and the first states, while starts are sought."""
    engine, members = setup.chosen.engine, setup.family
    prepare_places(engine, members, outline, setup.plan, setup.places)
    if not setup.on_host:
        prepare_states(engine, outline_points(len(setup.starts), members.member(0).size))
    prepare_moves(members, setup.centering)


def _find(setup: _Setup) -> _Found:
    """Find a start for each chain, and compare the gradients there with differences."""
    key = derive_chain_keys(setup.root, len(setup.starts))[1]
    place = place_whitened(setup.family, setup.centering)
    family = replace(setup.family, is_alone=setup.on_host and setup.family.count == 1)
    points, spare = find_starts(family, key, setup.starts, place)
    evaluate = make_evaluator(family, key, setup.starts)
    if setup.chosen.engine.needs.gradient:
        warn_of_wrong_gradients(setup.family, points, evaluate)
    return _Found(points, spare, evaluate)


def _begin(setup: _Setup, found: _Found) -> Warmup:
    """Begin warm-up at the starts, with scouts if they may be of use."""
    enter = partial(enter_coordinates, setup.family, setup.centering)
    points, spare = enter(found.points), found.spare and enter(found.spare)
    states = make_states(setup.chosen.engine, points, setup.on_host)
    made = _begin_warmup(setup, points, states, _make_scouts(setup, spare))
    return replace(made, spare=spare) if made.scouts and setup.centering else made


def _begin_warmup(
    setup: _Setup, points: Points, states: Packed, scouts: tuple[Group, ...] = ()
) -> Warmup:
    keys = derive_chain_keys(setup.root, len(setup.starts))[0]
    return Warmup(
        make_groups(keys, states, setup.plan.chains),
        make_tuning(setup.chosen.engine, setup.family, points, setup.tuning, setup.warmup.draws),
        setup.warmup.draws,
        setup.warmup.windows,
        setup.family.count,
        scouts=scouts,
        centering=setup.centering,
    )


def _make_scouts(setup: _Setup, spare: Points | None) -> tuple[Group, ...]:
    """Make as many chains again at other starts, if the last window is long enough for them."""
    count, windows, needed = len(setup.starts), setup.warmup.windows, setup.warmup.scout_draws
    # An early end never skips the last window.
    is_long = 0 < needed <= sum(windows[-1:])
    if not spare or not is_long or count // setup.family.count >= CHAINS_ENOUGH:
        return ()
    first = count if setup.root.ndim == 1 else count // len(setup.root)
    keys = derive_chain_keys(setup.root, count, first)[0]
    return make_groups(keys, make_states(setup.chosen.engine, spare), setup.plan.chains)


def _resume(members: Family, chosen: _Chosen, state: RunState, progress: bool | None) -> Run:
    """Make a run that goes on from a state."""
    refuse_unfit(state, members, chosen.engine)
    # Grouping makes new groups, so that the run does not change those of the state.
    warmup = state.warmup.regroup(state.plan.chains)
    places = choose_places(members, None)
    threads, places = limit(len(warmup.groups), state.plan.threads, places)
    how = state.plan._replace(threads=threads, places=places)
    return Run(
        members, chosen.engine, how, warmup, replace(state.timing), state.why_not_native,
        reasons=chosen.reasons, progress=progress, key=state.key,
    )  # fmt: skip
