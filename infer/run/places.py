"""Run blocks at several places: each is a device, or a few devices that share the data's rows.

Every place has the data and a compiled program of its own. A thread takes the next group of chains
to an idle place, so no chain and no device waits for another. One program over all devices would
compile once, but its devices would meet at the end of each block (benchmarks/results/devices.md).
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any, NamedTuple

import jax
import numpy as np

from ..density.family import Family
from ..engines.base import Engine
from ..programs.native import CompiledProgram
from .blocks import compile_loop, prepare_loop, share
from .collect import Group
from .devices import Plan
from .loop import Block, Order
from .pace import Pace
from .placing import agree, put
from .processes import Processes
from .sharing import Place
from .turns import Own, call_padded
from .warmup import Warmup


class Work(NamedTuple):
    """What a place has done.

    Attributes:
        blocks: Number of blocks.
        gradients: Number of gradients.
        seconds: Wall time of its blocks.
    """

    blocks: int = 0
    gradients: int = 0
    seconds: float = 0.0

    def add(self, gradients: int, seconds: float) -> "Work":
        """Return the work with one block more."""
        return Work(self.blocks + 1, self.gradients + gradients, self.seconds + seconds)


@dataclass
class Places:
    """The data at each place, and what each has done.

    Attributes:
        families: The log densities, with their arrays at the place.
        work: What was done there.
        processes: The processes that share the chains.
        pace: When they exchange them, if they are stored.
        before: Draws that the chains of each group had at the last exchange.
    """

    families: dict[Place, Family] = field(default_factory=dict, repr=False)
    work: dict[Place, Work] = field(default_factory=dict)
    processes: Processes = Processes()
    pace: Pace = field(default_factory=Pace)
    before: list[np.ndarray] = field(default_factory=list, repr=False)

    def begin(self, warmup: Warmup) -> None:
        """Note how many draws all chains have, before this process adds to them."""
        self.before = [own.drawn for own in warmup.active]

    def exchange(self, warmup: Warmup) -> None:
        """Give other processes what this one has made since, and take what they have."""
        decided = warmup.tuning, warmup.windows
        self.processes.exchange(warmup.active, self.before, decided)

    def family_at(self, place: Place, family: Family) -> Family:
        """Return the log densities with their shared arrays at a place."""
        if place not in self.families:
            shared = put(family.shared, place)
            self.families[place] = Family(shared, family.own, family.count)
        return self.families[place]


def prepare_places(
    engine: Engine, family: Family, warmup: Warmup, plan: Plan, places: Places
) -> None:
    """Begin to compile the loop for every place; only shapes and types matter."""
    for place in plan.places or ((),):
        own = places.family_at(place, family) if place else family
        prepare_loop(engine, own, warmup, plan, place)


def make_caller(
    engine: Engine, family: Family, warmup: Warmup, plan: Plan, compiled: CompiledProgram,
    places: Places,
) -> Callable[[Group, Order], Block]:  # fmt: skip
    """Return a function that runs one block; threads may call it at the same time.

    Args:
        engine: The engine.
        family: The log densities, at the first place.
        warmup: The present window.
        plan: How the chains share the machine.
        compiled: The program of the first place.
        places: Notes what each place does.
    """
    own = Own(family, warmup)
    if not plan.places:
        shared = share(family, warmup)
        return lambda group, order: call_padded(
            compiled, shared, own.take(group), group, order, plan.chains
        )
    programs: dict[Hashable, Any] = {}
    idle: SimpleQueue[Place] = SimpleQueue()
    for index in range(max(plan.threads, len(plan.places))):
        idle.put(plan.places[index % len(plan.places)])

    def find_program(place: Place) -> tuple[Any, Any]:
        """Return the program of a place and the arrays that all chains share there."""
        if place not in programs:
            here = places.family_at(place, family)
            made = compile_loop(engine, here, warmup, plan, place)[0]
            assert isinstance(made, CompiledProgram)
            programs[place] = made, put(share(here, warmup), place)
        return programs[place]

    def call(group: Group, order: Order) -> Block:
        place = idle.get()
        try:
            program, shared = find_program(place)
            moved = replace(group, state=put(group.state, place))
            began = time.perf_counter()
            agreed = order._replace(limit=agree(order.limit, place))
            block = call_padded(program, shared, own.take(group), moved, agreed, plan.chains)
            jax.block_until_ready(block)
            gradients = int(np.sum(np.asarray(block.ticks) * np.ones(len(group.chains), int)))
            done = places.work.get(place, Work()).add(gradients, time.perf_counter() - began)
            places.work[place] = done
            return block
        finally:
            idle.put(place)

    return call


def describe_work(plan: Plan, places: Places) -> dict[str, Any]:
    """Describe the places and what each did, in plain values; empty for the default device."""
    names = {device.id: f"{device.platform}:{device.id}" for device in jax.devices()}
    done = [places.work.get(place, Work()) for place in plan.places]
    described = {
        "devices": ", ".join("+".join(names[i] for i in place) for place in plan.places),
        "device_blocks": [own.blocks for own in done],
        "device_gradients": [own.gradients for own in done],
        "device_seconds": [own.seconds for own in done],
    }
    return described if plan.places else {}
