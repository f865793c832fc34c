"""Plan for an engine: a population moves together, and searches for modes move alone."""

from ..engines.asking import AskingEngine
from ..engines.base import Engine
from ..errors import RunError
from .devices import Plan, check_positive, plan
from .places import Places
from .processes import find_processes, is_own
from .sharing import Place, count_cores, leave_out_default, limit


def plan_for(
    engine: Engine, chains: int, count: int, width: int | None, threads: int | None,
    places: tuple[Place, ...],
) -> Plan:  # fmt: skip
    """Plan for an engine.

    Args:
        engine: The engine.
        chains: Number of chains of each density.
        count: Number of densities.
        width: Chains in one program, if the user chooses it.
        threads: Programs called at the same time, if the user chooses it.
        places: Where they may run.
    """
    if engine.scope == "population":
        return plan_population(chains, count, width, threads, places)
    # Searches end at different times, and a gradient of many rows is worth a call of its own.
    is_single = isinstance(engine, AskingEngine) and any(len(place) > 1 for place in places)
    chosen = plan(chains * count, 1 if is_single and width is None else width, threads, places)
    return chosen._replace(is_width_given=width is not None)


def share_processes(made: Plan, places: tuple[Place, ...]) -> tuple[Plan, Places]:
    """Return the part of a plan that this process runs, with the processes that share the chains.

    Args:
        made: The plan for all processes together.
        places: Where the chains may run, on all of them.
    """
    processes = find_processes(places)
    if processes.count == 1:
        return made, Places()
    if processes.are_together:
        # Threads would give the groups to the places in another order on each process.
        return made._replace(threads=1), Places(processes=processes)
    own = tuple(place for place in made.places if is_own(place))
    return made._replace(places=leave_out_default(own)), Places(processes=processes)


def plan_population(
    chains: int, count: int, width: int | None, threads: int | None, places: tuple[Place, ...] = ()
) -> Plan:
    """Plan for an engine that moves all chains of a density together: one program per density.

    Args:
        chains: Number of chains of each density.
        count: Number of densities.
        width: The width that the user requests; only `chains` is valid.
        threads: Programs called at the same time.
        places: Where they may run.

    Raises:
        RunError: Another width is requested.
    """
    width, threads = check_positive(group=width, threads=threads)
    if width not in (None, chains):
        raise RunError(
            "group",
            f"groups of {width} are requested, but this engine moves all {chains} chains together",
            "Leave it out.",
        )
    threads, places = limit(count, threads, places)
    return Plan(chains, threads, is_native=False, places=places)


def plan_without_native(chains: int, before: Plan, has_lapack_calls: bool) -> Plan:
    """Plan again if there is no native form: batch chains, so that they share each kernel.

    Chains that call LAPACK gain nothing from a batch, which calls it for one after the other.
    """
    wide = 1 if has_lapack_calls else max(2, chains // 8)
    width = max(w for w in range(1, wide + 1) if chains % w == 0)
    width = before.width if before.is_width_given else width
    most = max(count_cores(), len(before.places))
    threads = max(1, min(most, before.threads, chains // width))
    places = before.places[:threads]
    return before._replace(width=width, threads=threads, is_native=False, turns=1, places=places)
