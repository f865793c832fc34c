"""Share chains among the devices and cores of a machine."""

import os

import jax

# Ids of the devices that run a program together, which is one unless rows are divided.
Place = tuple[int, ...]


def share_evenly(chains: int, places: int) -> int:
    """Return how many chains share a program, if each of several places is to have one."""
    most = -(-chains // max(places, 1))
    return max(width for width in range(1, most + 1) if chains % width == 0)


def limit(
    groups: int, threads: int | None, places: tuple[Place, ...]
) -> tuple[int, tuple[Place, ...]]:
    """Limit the number of programs called at the same time, and that of places to it.

    Args:
        groups: Number of groups of chains.
        threads: Programs called at the same time, if the user chooses it.
        places: Where they may run.
    """
    if threads is None:
        threads = max(count_cores() if jax.default_backend() == "cpu" else 1, len(places))
    if any(len(place) > 1 for place in places):
        # Programs that sum over the same devices must take turns.
        threads = min(threads, len(places))
    threads = min(threads, groups)
    places = places[:threads]
    return threads, leave_out_default(places)


def leave_out_default(places: tuple[Place, ...]) -> tuple[Place, ...]:
    """Return the places of a run; none if it is the default device alone."""
    return () if places == ((jax.local_devices()[0].id,),) else places


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
