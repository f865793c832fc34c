"""Chains over several processes: each advances its share, then all exchange what they have made.

All processes run the same script. After an exchange they have the same chains with the same draws,
so all that the host decides from them, such as the end of a window, is decided alike on all.
"""

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ..errors import RunError
from ..models.inputs.sharded import is_over_processes
from .collect import Group

# Bytes of a message that is sent at once; for a longer one, all must know its length first.
SHORT = 1024


@dataclass(frozen=True)
class Processes:
    """The processes that share the chains of a run.

    Attributes:
        count: Their number; 1 if this one is alone.
        index: The number of this one.
        are_together: Whether all advance every chain together, since its rows are divided over
            them; otherwise each has chains of its own.
    """

    count: int = 1
    index: int = 0
    are_together: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this is the first process, or the only one."""
        return self.index == 0

    @property
    def are_apart(self) -> bool:
        """Whether there are several, each of which has chains of its own."""
        return self.count > 1 and not self.are_together

    def choose(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """Return the groups that this process advances."""
        return tuple(groups if self.are_together else groups[self.index :: self.count])

    def exchange(self, groups: Sequence[Group], before: Sequence[np.ndarray], decided: Any) -> None:
        """Give the others what this process has made, and take what they have.

        Args:
            groups: All groups; those of other processes are changed in place.
            before: Draws that the chains of each group had at the last exchange.
            decided: A pytree of what all processes have decided since then, which must be the same.

        Raises:
            RunError: It is not.
        """
        if not self.are_apart:
            return
        pairs = list(zip(groups, before, strict=True))
        self.refuse_unlike(decided, "they have learned different tunings")
        packets = self.tell(
            pickle.dumps([_pack(*pair) for pair in pairs[self.index :: self.count]])
        )
        for index, packet in enumerate(packets):
            if index != self.index:
                own = groups[index :: self.count]
                for group, news in zip(own, pickle.loads(packet), strict=True):
                    _absorb(group, *news)

    def refuse_unlike(self, given: Any, found: str) -> None:
        """Raise unless all processes give the same values.

        Args:
            given: A pytree of arrays and plain values.
            found: What to say if they differ.

        Raises:
            RunError: They differ.
        """
        if self.count > 1 and len(set(self.tell(_digest(given)))) > 1:
            mend = "All must run the same script with the same arguments, on machines of one kind."
            raise RunError("processes", found, mend)

    def tell(self, data: bytes) -> list[bytes]:
        """Return what each process gives, in order; all wait until the last one is here."""
        return [data] if self.count == 1 else gather(data)

    def follow(self, value: Any) -> Any:
        """Return the plain value that the first process gives, such as what its clock says."""
        return value if self.count == 1 else pickle.loads(gather(pickle.dumps(value))[0])

    def meet(self) -> None:
        """Wait until all processes are here."""
        self.tell(b"")


def find_processes(places: Sequence[Sequence[int]]) -> Processes:
    """Return the processes that share the chains, if each place is within one of them.

    Args:
        places: Ids of the devices of each place.

    Raises:
        RunError: A process has no place, or one that it shares and one that it does not.
    """
    owner = {device.id: device.process_index for device in jax.devices()}
    each = [{owner[i] for i in place} for place in places]
    present, count = set().union(*each), jax.process_count()
    if present <= {jax.process_index()}:
        return Processes()
    if all(len(own) > 1 for own in each):
        return Processes(count, jax.process_index(), are_together=True)
    if any(len(own) > 1 for own in each):
        mend = "Choose axes of the mesh so that each row of it is on one process, or none is."
        raise RunError("devices", "some places are on one process and some on several", mend)
    if lacking := set(range(count)) - present:
        raise RunError(
            "devices",
            f"none of them belongs to process {min(lacking)}",
            "Give jax.devices(), or jax.local_devices() to let each process sample for itself.",
        )
    return Processes(count, jax.process_index())


def is_own(place: Sequence[int]) -> bool:
    """Return whether all devices of a place belong to this process."""
    return set(place) <= {device.id for device in jax.local_devices()}


def _digest(tree: Any) -> bytes:
    """Hash values; each process has other rows of an array that is divided over them."""
    whole = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        host = np.zeros(leaf.shape[1:]) if is_over_processes(leaf) else np.asarray(leaf)
        whole.update(f"{host.dtype}{host.shape}".encode() + host.tobytes())
    return whole.digest()


def _pack(group: Group, before: np.ndarray) -> tuple[Any, ...]:
    """Return what a group has made since the last exchange, and its state, on the host."""
    counts = group.drawn - before
    rows = [_newest(own, int(n)) for own, n in zip(group.rows, counts, strict=True)]
    return rows, jax.tree.leaves(jax.tree.map(np.asarray, group.state)), group.drawn, group.executed


def _newest(blocks: list[np.ndarray], count: int) -> list[np.ndarray]:
    """Return the last records of a chain."""
    joined = np.concatenate(blocks) if blocks and count else None
    return [] if joined is None else [joined[len(joined) - count :]]


def _absorb(
    group: Group, rows: Any, leaves: list[np.ndarray], drawn: np.ndarray, executed: np.ndarray
) -> None:
    """Put into a group what another process has made of it."""
    for own, made in zip(group.rows, rows, strict=True):
        own.extend(made)
    group.state = jax.tree.unflatten(jax.tree.structure(group.state), leaves)
    group.drawn, group.executed = drawn, executed
    group.entering = np.zeros_like(group.entering)


def gather(data: bytes) -> list[bytes]:
    """Return what each process gives, in order."""
    head = len(data).to_bytes(8, "little")
    every = _gather_padded(head + data[:SHORT], SHORT + len(head))
    sizes = [int.from_bytes(own[: len(head)], "little") for own in every]
    longest = max(sizes)
    if longest > SHORT:
        every = _gather_padded(head + data, longest + len(head))
    return [own[len(head) :][:size] for own, size in zip(every, sizes, strict=True)]


def _gather_padded(data: bytes, length: int) -> list[bytes]:
    """Return what each process gives, with zeros after it up to the same length."""
    from jax.experimental import multihost_utils

    padded = np.frombuffer(data.ljust(length, b"\0"), np.uint8)
    every = np.asarray(multihost_utils.process_allgather(padded)).reshape(-1, length)
    return [own.tobytes() for own in every]
