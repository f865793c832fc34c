"""Judge the draws of a run: what is wrong with them, and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...calls import check_arguments
from ...density.base import LogDensity
from ...engines.base import Draws, Engine
from ...loaded import is_of_class
from ...run.run import Run
from ..data.angles import find_wrapped_angles
from ..data.arviz import SET
from ..data.metric import name_engine
from ..data.origin import find_run
from ..data.recorded import Recorded, read_recorded
from ..data.versions import read_group
from ..finding import Finding
from ..kinds import FITTED
from .datasets import find_in_datasets
from .dependent_scales import find_dependent_scales
from .flat_vectors import find_in_flat_vectors
from .moved import describe_moves
from .native_form import find_wrong_native_form
from .round_trips import find_few_round_trips
from .suspects import Numbers, lay_out_numbers
from .tails import find_heavy_tails
from .transitions import find_divergent, find_long, find_low_bfmi, find_stuck
from .undefined import find_undefined
from .unmixed import MANY_CHAINS, find_unmixed, find_unmixed_of_many
from .until import find_shortfall

# Minimum number of draws per chain; with fewer, R-hat, ESS and E-BFMI are noise.
MIN_DRAWS = 100


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a result.

    Attributes:
        findings: The problems, each with what to do; empty if no problem was found.
        not_checked: What was not looked for in draws of a store, and why, a sentence each.
    """

    findings: tuple[Finding, ...]
    not_checked: tuple[str, ...] = ()

    def __str__(self) -> str:
        found = "\n".join(self.findings) or "no problems found"
        return "\n".join((found, *self.not_checked))


@check_arguments("infer.verdict")
def verdict(run: Any, thorough: bool = False) -> Verdict:
    """Judge the draws of a run, a mode or an approximation; the calls warn of the same problems.

    Checks of draws: at least one divergent transition in a thousand, chains in which every
    transition diverges, trajectories cut short by the engine's limit, steps far below the scale of
    the posterior, and proposals with a log density of NaN. From 100 draws per chain on, also E-BFMI
    below 0.3, chains stuck at one point, R-hat above 1.01 (1.1 with more than 16 chains), a bulk or
    tail ESS below 100 per chain, heavy tails, chains in different modes (with rough weights), modes
    that scouts of warm-up were in and no chain, symmetries of the posterior that the chains do not
    show, and necks of small scales that they did not enter; if chains had trouble, scales that
    follow other coordinates. In large posteriors a thousand quantities are screened coarsely, and
    the worst ones are examined. For several data sets, the number of affected ones is reported.
    Angles are judged by their cosines and sines. Relocated chains, a target of `until=` that was
    not reached and few round trips of parallel tempering come last. A store is read up to 10,000
    draws per chain and two million numbers; `not_checked` says what they cannot show.
    A mode and an approximation come with their own `findings`. `explain_finding` describes each.

    Args:
        run: A run of a sampler with draws, or what `infer.sample`, `infer.maximize` or `infer.fit`
            returned.
        thorough: Whether to look for modes that no chain has visited, with searches and 20 more
            chains of 200 draws from other starts. This takes as long as another run.

    Raises:
        RunError: There is no draw yet, or the run of a result is not known, as for one that was
            read from a file.
    """
    if any(is_of_class(run, name) for name in FITTED):
        return Verdict(run.findings)
    result, run = run, find_run(run)
    recorded = read_recorded(run, result)
    judged = judge_recorded(run, recorded)
    found = [*judged.findings, *find_shortfall(result), *find_few_round_trips(result)]
    draws = recorded.draws
    if thorough and run.family.count == 1 and draws is not None and "lp" in draws.stats:
        from .unvisited import find_unvisited_modes

        found += find_unvisited_modes(run, recorded.data, draws)
    return Verdict(tuple(found), judged.not_checked)


def judge_run(run: Run, data: Any) -> Verdict:
    """Judge a run whose ArviZ data are already made, and whose draws are in memory."""
    return judge_recorded(run, Recorded(data, run.draws() if run.family.count == 1 else None))


def judge_recorded(run: Run, recorded: Recorded) -> Verdict:
    """Judge a run by draws from memory or from its store."""
    found = tuple(_judge(name_engine(run), recorded.data, run.density, run, recorded.draws))
    if run.family.count == 1:
        found += tuple(find_dependent_scales(run, recorded.draws, found))
    found = (*found, *describe_moves(run), *find_wrong_native_form(run))
    return Verdict(found, recorded.limits)


def judge_draws(engine: Engine, data: Any, density: LogDensity | None = None) -> Verdict:
    """Judge draws in ArviZ data.

    Args:
        engine: The engine that made the draws.
        data: What `to_arviz` returned.
        density: Their log density, if advice shall refer to how the model is written.
    """
    return Verdict(tuple(_judge(engine, data, density, None, None)))


def _judge(
    engine: Engine, data: Any, density: LogDensity | None, run: Run | None, draws: Draws | None
) -> Iterator[Finding]:
    posterior, stats = read_group(data, "posterior"), read_group(data, "sample_stats")
    # Plain arrays: making one with coordinates takes longer than judging it.
    stats = {str(name): np.asarray(stats.variables[name]) for name in stats}
    if SET in posterior.dims:
        yield from find_in_datasets(engine, stats, posterior, MIN_DRAWS)
    else:
        enough = posterior.sizes["draw"] >= MIN_DRAWS
        numbers = lay_out_numbers(posterior) if enough else None
        yield from find_divergent(engine, stats, density, numbers)
        yield from find_long(engine, stats, density)
        yield from find_undefined(stats)
        if numbers is not None:
            yield from find_low_bfmi(engine, stats, density)
            yield from _find_in_numbers(stats, numbers)
            if run is None or draws is None:
                yield from find_heavy_tails(numbers)
            else:
                yield from find_in_flat_vectors(run, draws, numbers)
    yield from find_wrapped_angles(posterior)


def _find_in_numbers(stats: dict[str, np.ndarray], numbers: Numbers) -> Iterator[Finding]:
    yield from find_stuck(stats, numbers)
    few = numbers.draws.shape[1] <= MANY_CHAINS
    yield from (find_unmixed if few else find_unmixed_of_many)(numbers)
