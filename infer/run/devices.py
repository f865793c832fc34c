"""Choose how chains share a machine: how many run in one program, and on how many threads."""

import os
from typing import NamedTuple

import jax

from ..counts import as_whole
from ..errors import RunError
from ..programs.native import Form

# Ids of the devices that run a program together, which is one unless rows are divided.
Place = tuple[int, ...]


class Plan(NamedTuple):
    """How chains are run.

    Attributes:
        width: Chains in one program; it affects the last bits of draws, so it never depends on
            the number of devices or threads.
        threads: Programs called at the same time; does not affect draws.
        is_native: Whether to compile each program as one native CPU function.
        rows: Largest number of draws of a chain in a block.
        turns: Groups that one call advances, one after the other; see `turns.py`.
        places: Where programs run; empty for the default device alone.
    """

    width: int
    threads: int
    is_native: bool
    rows: int = 1024
    turns: int = 1
    places: tuple[Place, ...] = ()

    @property
    def chains(self) -> int:
        """Number of chains that one call advances."""
        return self.width * self.turns

    @property
    def form(self) -> Form:
        """The form in which each program is compiled."""
        return "native" if self.is_native else "kernels"


def plan(
    chains: int, width: int | None, threads: int | None, places: tuple[Place, ...] = ()
) -> Plan:
    """Plan for the default backend.

    On a CPU every chain has its own native loop, and threads distribute them over the cores. On an
    accelerator, and if rows are divided, the chains of a place share one program.

    Raises:
        RunError: The number of chains is not a multiple of `width`.
    """
    on_cpu = jax.default_backend() == "cpu"
    is_alone = on_cpu and all(len(place) == 1 for place in places)
    width, threads = check_positive(group=width, threads=threads)
    width = (1 if is_alone else _share(chains, len(places))) if width is None else width
    if chains % width:
        raise RunError(
            "group",
            f"{chains} chains cannot be divided into groups of {width}",
            "Choose a divisor of the number of chains.",
        )
    return spread(Plan(width, 1, is_alone and width == 1), chains // width, threads, places)


def _share(chains: int, places: int) -> int:
    """Return how many chains share a program, if each of several places is to have one."""
    most = -(-chains // max(places, 1))
    return max(width for width in range(1, most + 1) if chains % width == 0)


def spread(made: Plan, groups: int, threads: int | None, places: tuple[Place, ...]) -> Plan:
    """Choose how many programs are called at the same time, and no more places than that."""
    if threads is None:
        threads = max(count_cores() if jax.default_backend() == "cpu" else 1, len(places))
    if any(len(place) > 1 for place in places):
        # Programs that sum over the same devices must take turns.
        threads = min(threads, len(places))
    threads = min(threads, groups)
    places = places[:threads]
    is_default = places == ((jax.local_devices()[0].id,),)
    return made._replace(threads=threads, places=() if is_default else places)


def check_positive(**numbers: int | None) -> list[int | None]:
    """Raise unless numbers that are given, by name, are positive and whole."""
    mend = "Or leave it out."
    return [n if n is None else as_whole(name, n, 1, mend=mend) for name, n in numbers.items()]


def plan_without_native(chains: int, before: Plan, has_lapack_calls: bool) -> Plan:
    """Plan again if there is no native form: batch chains, so that they share each kernel.

    Chains that call LAPACK gain nothing from a batch, which calls it for one after the other.
    """
    wide = 1 if has_lapack_calls else max(2, chains // 8)
    width = max(w for w in range(1, wide + 1) if chains % w == 0)
    most = max(count_cores(), len(before.places))
    threads = max(1, min(most, before.threads, chains // width))
    places = before.places[:threads]
    return before._replace(width=width, threads=threads, is_native=False, turns=1, places=places)


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
