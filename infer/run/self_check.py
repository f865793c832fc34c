"""Compare the log densities that the chains recorded with those of other programs."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..density import repeats
from ..density.disagreement import Recorded, find_disagreement, find_disagreement_nearby
from ..density.points import evaluate_lanes
from ..programs.cached import find_out, keep
from ..programs.native import CompiledProgram
from ..programs.switch import native
from .chains import make_states
from .coordinates import enter_coordinates, move_to_density
from .plans import plan_without_native
from .progress import Progress
from .warmup import Warmup

# How `Run.why_not_native` begins if the native form was given up because of its numbers.
WRONG_NUMBERS = "the native form computed wrong numbers: "
# Draws after which chains that have not moved are compared at other positions than their draws',
# for which XLA compiles a program.
TRIALS = 16


def check_first_draws(run: Any, draws: int, bar: Progress) -> None:
    """Make a draw with a new native program, and compare its numbers with other programs.

    If they differ, and the model's Python code gives the same numbers each time, the native form is
    turned off for the rest of the process, since other programs may be wrong as well. The draws are
    forgotten, and the chains begin again at their positions, with log densities and gradients that
    are computed without it.

    Args:
        run: The run.
        draws: Number of draws that each chain is to have in the present window.
        bar: Notified after each block.

    Raises:
        ModelError: The log density changes whenever the model's Python code runs.
    """
    before, after_block = run.warmup.regroup(run.plan.chains), run.after_block
    run.is_unchecked, run.after_block = False, None
    earlier = _count_draws(run)
    try:
        _collect_until_moved(run, draws, bar)
    except BaseException:
        # An interrupted run is compared when it goes on.
        run.is_unchecked = True
        raise
    finally:
        run.after_block = after_block
    # Draws that were read from a store have no gradients.
    is_new = (_count_draws(run) > earlier).all()
    recorded = _read_newest(run) if is_new else None
    found = recorded and find_disagreement(run.family, recorded)
    if recorded and not found and _is_stuck(run):
        found = find_disagreement_nearby(run.family, recorded.positions)
    if recorded and not found and run.program:
        keep(_name_check(run.program), True)
    if recorded and found:
        repeats.refuse_unless_deterministic(
            run.family.member(0), jnp.asarray(recorded.positions[0])
        )
        native(False)
        run.warmup = _begin_at(run, before, recorded.positions)
        leave_native_form(run, WRONG_NUMBERS + found, has_lapack_calls=False)


def _collect_until_moved(run: Any, draws: int, bar: Progress) -> None:
    """Make one more draw of each chain; a few if all chains reject what they propose.

    The first step sizes are often too large.
    """
    for _ in range(TRIALS):
        aim = min(draws, int(_count_draws(run).max()) + 1)
        run.collect(aim, bar)
        if aim == draws or not run.fewest() or not _is_stuck(run):
            return


def _count_draws(run: Any) -> np.ndarray:
    """Return how many draws of the present window each chain has."""
    return np.concatenate([group.drawn for group in run.groups])


def is_checked(program: CompiledProgram) -> bool:
    """Return whether an earlier process compared the numbers of the same executable."""
    return find_out(_name_check(program)) is not None


def _name_check(program: CompiledProgram) -> str | None:
    return f"{program.file} is checked" if program.file else None


def _begin_at(run: Any, warmup: Warmup, positions: np.ndarray) -> Warmup:
    """Let each chain begin at a position of the log density's own coordinates."""
    points = evaluate_lanes(run.family, positions)
    states = make_states(run.engine, enter_coordinates(run.family, warmup.centering, points))
    groups = tuple(
        replace(
            group,
            state=jax.tree.map(lambda a, own=group.chains: a[own.start : own.stop], states),
            entering=np.ones_like(group.entering),
        )
        for group in warmup.groups
    )
    return replace(warmup, groups=groups)


def leave_native_form(run: Any, why: str, has_lapack_calls: bool) -> None:
    """Plan again without the native form, and group the chains as planned."""
    run.why_not_native, run.program = why, None
    # XLA compiles the searches of `MAP` as functions of their own, but no batches of them.
    alone = has_lapack_calls or run.engine.result == "optimum"
    run.plan = plan_without_native(run.chains, run.plan, alone)
    run.warmup = run.warmup.regroup(run.plan.chains)


def refuse_unless_reproduced(run: Any) -> None:
    """Check that the programs of starts and chains compute the same density.

    Raises:
        ModelError: The log density changes whenever the model's Python code runs.
    """
    if run.evaluate is not None and (newest := _read_newest(run)):
        positions, log_densities, _ = newest
        repeats.refuse_unless_reproduced(run.family, positions, log_densities, run.evaluate)


def _is_stuck(run: Any) -> bool:
    """Return whether every chain rejected all that its newest draw proposed, such as NaN.

    Then the draw has the numbers of the program that evaluated the start.
    """
    stats = run.format.unpack(_take_records(run)).stats
    return not stats.get("acceptance_rate", np.ones(1)).any()


def _take_records(run: Any) -> np.ndarray:
    """Take the newest record of each chain."""
    return np.stack([_take_newest(own) for group in run.groups for own in group.rows])


def _read_newest(run: Any) -> Recorded | None:
    """Read the newest draw of each chain; None if its log density is not recorded, or estimated."""
    if run.density.minibatches or not run.density.has_value or not run.fewest():
        return None
    draws = run.format.unpack(_take_records(run))
    if "lp" not in draws.stats or draws.positions.shape[-1] != run.density.size:
        return None
    draws = move_to_density(run.family, run.warmup.centering, draws)
    return Recorded(draws.positions[:, 0], draws.stats["lp"][:, 0], draws.gradients[:, 0])


def _take_newest(blocks: list[np.ndarray]) -> np.ndarray:
    """Return the last record of a chain, shape (1, record)."""
    return next(block[-1:] for block in reversed(blocks) if len(block))
