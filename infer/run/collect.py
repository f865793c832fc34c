"""Collect draws from groups of chains, block by block, on threads that never wait."""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cache
from threading import Event, Lock

import jax
import numpy as np

from .loop import Block, Order
from .packed import Packed

# A block ends the wait for Ctrl-C and moves the progress bar.
BLOCK_SECONDS = 0.25
# Ticks of the first block, while nobody knows how long they take.
FIRST_TICKS = 8
MOST_TICKS = 2**30
# How long an interrupt waits for the blocks in flight; what is not done by then is done again.
PATIENCE_SECONDS = 2.0
# The main thread looks for an interrupt so often.
WAKE_SECONDS = 0.1


@dataclass
class Group:
    """Chains that share a program.

    Attributes:
        chains: Their indices.
        keys: Their key data, shape (group, 2).
        state: Their states, packed, along a leading axis.
        drawn: Draws of the present window each has made, shape (group,).
        rows: Their records in the present window.
        executed: Gradients executed for each in the present window, those too that it idled
            through while others of its program had draws to make; shape (group,).
        entering: Which of them begin the present window with the next block, shape (group,).
        limit: Ticks to ask for in the next block.
    """

    chains: range
    keys: np.ndarray
    state: Packed
    drawn: np.ndarray
    rows: list[list[np.ndarray]]
    executed: np.ndarray
    entering: np.ndarray
    limit: int = FIRST_TICKS

    def entered(self) -> "Group":
        """Return the group at the beginning of the next window, without records."""
        return replace(
            self, drawn=np.zeros_like(self.drawn), rows=[[] for _ in self.chains],
            executed=np.zeros_like(self.executed), entering=np.ones_like(self.entering),
        )  # fmt: skip

    def order(self, window: int, draws: int) -> Order:
        """Order the next block, towards `draws` draws in the window."""
        return Order(
            self.keys,
            np.uint32(window),  # pyright: ignore[reportArgumentType]
            self.drawn,
            (draws - self.drawn).astype(np.int32),
            np.int32(self.limit),  # pyright: ignore[reportArgumentType]
            self.entering,
        )

    def absorb(self, block: Block, seconds: float) -> int:
        """Keep what a block made; return the number of new draws."""
        filled, rows = np.asarray(block.filled), np.asarray(block.rows)
        self.state = block.state
        self.drawn = self.drawn + filled
        self.executed = self.executed + int(block.ticks)
        self.entering = np.zeros_like(self.entering)
        # A block that is more than half full is kept as it came, without a copy.
        full = 2 * int(filled.sum()) > rows.shape[0] * rows.shape[1]
        for own, mine, count in zip(self.rows, rows, filled, strict=True):
            own.append(mine[:count] if full else mine[:count].copy())
        rate = int(block.ticks) / max(seconds, 1e-6)
        self.limit = int(np.clip(rate * BLOCK_SECONDS, 1, MOST_TICKS))
        return int(filled.sum())

    def records(self) -> list[np.ndarray]:
        """Join each chain's records, each of shape (draws, record)."""
        return [_joined(own) for own in self.rows]


def _joined(blocks: list[np.ndarray]) -> np.ndarray:
    if len(blocks) == 1:
        return blocks[0]
    return np.concatenate(blocks) if blocks else np.zeros((0, 0))


def regrouped(groups: Sequence[Group], width: int) -> list[Group]:
    """Deal the chains of some groups into groups of `width`, with all they have done."""
    if not groups:
        return []
    states = jax.tree.map(lambda *a: np.concatenate(a), *(group.state for group in groups))
    named = ("keys", "drawn", "executed", "entering")
    keys, drawn, executed, entering = (
        np.concatenate([getattr(g, n) for g in groups]) for n in named
    )
    rows = [list(own) for group in groups for own in group.rows]
    return [
        Group(
            range(begin, begin + width),
            keys[begin : begin + width],
            jax.tree.map(lambda a, b=begin: a[b : b + width], states),
            drawn[begin : begin + width],
            rows[begin : begin + width],
            executed[begin : begin + width],
            entering[begin : begin + width],
            min(group.limit for group in groups),
        )
        for begin in range(0, len(keys), width)
    ]


def placed(
    groups: Sequence[Group], places: np.ndarray, others: Sequence[Group] = ()
) -> list[Group]:
    """Let each chain go on from the state of the one named for it, of groups and then others."""
    if (places == np.arange(len(places))).all():
        return list(groups)
    all_states = [group.state for group in (*groups, *others)]
    states = jax.tree.map(lambda *a: np.concatenate(a)[places], *all_states)
    return [
        replace(g, state=jax.tree.map(lambda a, g=g: a[g.chains.start : g.chains.stop], states))
        for g in groups
    ]


def collect(
    groups: Sequence[Group], call: Callable[[Group, Order], Block],
    window: int, draws: int, threads: int, watch: Callable[[Group, int], None],
) -> None:  # fmt: skip
    """Run blocks until every chain has `draws` draws in the window.

    Groups take turns, so an interrupt finds them within a block of each other. Before an
    interrupt is raised, blocks in flight are finished and kept, if that takes 2 s at most. What a
    block makes after that is thrown away: the group stays as it was before the block.

    Args:
        groups: Chains; changed in place.
        call: Runs one block.
        window: Which window the draws belong to.
        draws: Draws wanted of each chain.
        threads: Blocks in flight.
        watch: Told of each group and its new draws, by one thread at a time.
    """
    waiting = deque(g for g in groups if (g.drawn < draws).any())
    stop, left, lock = Event(), Event(), Lock()

    def work() -> None:
        # A worker keeps the block too: an interrupt reaches the main thread alone.
        while not stop.is_set():
            try:
                group = waiting.popleft()
            except IndexError:
                return
            began = time.perf_counter()
            block = jax.block_until_ready(call(group, group.order(window, draws)))
            seconds = time.perf_counter() - began
            with lock:
                if left.is_set():
                    return
                watch(group, group.absorb(block, seconds))
            if (group.drawn < draws).any():
                waiting.append(group)

    # One task for each thread: another for each block would wake three threads a block.
    running: list[Future[None]] = []
    try:
        for _ in range(min(threads, len(waiting))):
            running.append(_pool(threads).submit(work))
        _wait_for_all(running)
    finally:
        stop.set()
        try:
            wait(running, timeout=PATIENCE_SECONDS)
        finally:
            with lock:
                left.set()
    for future in running:
        if future.done():
            future.result()


def _wait_for_all(running: Sequence[Future[None]]) -> None:
    """Wait until all tasks are done or one has failed, and wake up to be interrupted.

    The system may hand a signal to another thread, and a wait without limit would not hear of it.
    """
    while True:
        done, pending = wait(running, WAKE_SECONDS, FIRST_EXCEPTION)
        if not pending or any(future.exception() for future in done):
            return


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Keep threads for later windows and runs: of 60 ms, new ones took 2 or 3."""
    return ThreadPoolExecutor(threads, "chains")


if hasattr(os, "register_at_fork"):
    # Threads do not outlive a fork, which Windows has not.
    os.register_at_fork(after_in_child=_pool.cache_clear)
