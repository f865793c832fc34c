"""Choose how chains share a machine: how many run in one program, and on how many threads."""

import os
from typing import NamedTuple

import jax

from ..counts import as_whole
from ..errors import RunError
from ..programs.native import Form


class Plan(NamedTuple):
    """How chains are run.

    Attributes:
        width: Chains in one program; it affects the last bits of draws, so it never depends on
            the number of devices or threads.
        threads: Programs called at the same time; does not affect draws.
        is_native: Whether to compile each program as one native CPU function.
        rows: Largest number of draws of a chain in a block.
        turns: Groups that one call advances, one after the other; see `turns.py`.
    """

    width: int
    threads: int
    is_native: bool
    rows: int = 1024
    turns: int = 1

    @property
    def chains(self) -> int:
        """Number of chains that one call advances."""
        return self.width * self.turns

    @property
    def form(self) -> Form:
        """The form in which each program is compiled."""
        return "native" if self.is_native else "kernels"


def plan(chains: int, width: int | None, threads: int | None) -> Plan:
    """Plan for the default backend.

    On a CPU every chain has its own native loop, and threads distribute them over the cores;
    on an accelerator all chains share one program.

    Raises:
        RunError: The number of chains is not a multiple of `width`.
    """
    on_cpu = jax.default_backend() == "cpu"
    width, threads = _check_positive(group=width, threads=threads)
    width = (1 if on_cpu else chains) if width is None else width
    if chains % width:
        raise RunError(
            "group",
            f"{chains} chains cannot be divided into groups of {width}",
            "Choose a divisor of the number of chains.",
        )
    threads = (_count_cores() if on_cpu else 1) if threads is None else threads
    return Plan(width, min(threads, chains // width), is_native=on_cpu and width == 1)


def plan_population(chains: int, count: int, width: int | None, threads: int | None) -> Plan:
    """Plan for an engine that moves all chains of a density together: one program per density.

    Args:
        chains: Number of chains of each density.
        count: Number of densities.
        width: The width that the user requests; only `chains` is valid.
        threads: Programs called at the same time.

    Raises:
        RunError: Another width is requested.
    """
    width, threads = _check_positive(group=width, threads=threads)
    if width not in (None, chains):
        raise RunError(
            "group",
            f"groups of {width} are requested, but this engine moves all {chains} chains together",
            "Leave it out.",
        )
    threads = (
        (_count_cores() if jax.default_backend() == "cpu" else 1) if threads is None else threads
    )
    return Plan(chains, min(threads, count), is_native=False)


def _check_positive(**numbers: int | None) -> list[int | None]:
    mend = "Or leave it out."
    return [n if n is None else as_whole(name, n, 1, mend=mend) for name, n in numbers.items()]


def plan_without_native(chains: int, before: Plan, has_lapack_calls: bool) -> Plan:
    """Plan again if there is no native form: batch chains, so that they share each kernel.

    Chains that call LAPACK gain nothing from a batch, which calls it for one after the other.
    """
    wide = 1 if has_lapack_calls else max(2, chains // 8)
    width = max(w for w in range(1, wide + 1) if chains % w == 0)
    threads = max(1, min(_count_cores(), before.threads, chains // width))
    return before._replace(width=width, threads=threads, is_native=False, turns=1)


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
