"""Choose how chains share a machine: how many run in one program, and on how many threads."""

from typing import NamedTuple

import jax

from ..counts import as_whole
from ..errors import RunError
from ..programs.native import Form
from .sharing import Place, limit, share_evenly

# Draws of warm-up after which a loop is not brief after all, and is compiled again.
BRIEF = 400


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
        is_width_given: Whether the user chose the width.
        is_brief: Whether the loop likely takes less than its compile; affects the last bits.
    """

    width: int
    threads: int
    is_native: bool
    rows: int = 1024
    turns: int = 1
    places: tuple[Place, ...] = ()
    is_width_given: bool = False
    is_brief: bool = False

    @property
    def chains(self) -> int:
        """Number of chains that one call advances."""
        return self.width * self.turns

    @property
    def form(self) -> Form:
        """The form in which each program is compiled."""
        return ("brief" if self.is_brief else "native") if self.is_native else "kernels"


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
    width = (1 if is_alone else share_evenly(chains, len(places))) if width is None else width
    if chains % width:
        raise RunError(
            "group",
            f"{chains} chains cannot be divided into groups of {width}",
            "Choose a divisor of the number of chains.",
        )
    threads, places = limit(chains // width, threads, places)
    return Plan(width, threads, is_native=is_alone and width == 1, places=places)


def check_positive(**numbers: int | None) -> list[int | None]:
    """Raise unless numbers that are given, by name, are positive and whole."""
    mend = "Or leave it out."
    return [n if n is None else as_whole(name, n, 1, mend=mend) for name, n in numbers.items()]
