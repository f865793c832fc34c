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
from .next_group import take_next
from .packed import Packed

# Duration of a block: Ctrl-C and the progress bar wait no longer than this.
BLOCK_SECONDS = 0.25
# Ticks of the first block. One tick of a full-rank fit is 10 steps of 16 gradients, or 50 above 500
# rows, so that gradients of 10 ms make it last 1.6 s, or 8 s.
FIRST_TICKS = 1
MAX_TICKS = 2**30
# How long an interrupt waits for blocks in flight; those that take longer are run again.
PATIENCE_SECONDS = 2.0
# How often the main thread checks for an interrupt, and a thread whether the others have caught up.
WAKE_SECONDS, CATCH_UP_SECONDS = 0.1, 0.002


@dataclass
class Group:
    """Chains that share a program.

    Attributes:
        chains: Indices of the chains.
        keys: Key data of each chain, shape (group, 2).
        state: States of the chains, packed, along a leading axis.
        drawn: Draws that each chain has made in the present window, shape (group,).
        rows: Blocks of records of each chain in the present window.
        executed: Gradients computed for each chain in the present window, including those while it
            was idle and other chains of its program had draws to make; shape (group,).
        entering: Whether each chain begins the present window with the next block, shape (group,).
        limit: Maximum number of ticks of the next block.
        dropped: Number of records at the beginning of the window that `rows` no longer holds.
    """

    chains: range
    keys: np.ndarray
    state: Packed
    drawn: np.ndarray
    rows: list[list[np.ndarray]]
    executed: np.ndarray
    entering: np.ndarray
    limit: int = FIRST_TICKS
    dropped: int = 0

    def enter(self) -> "Group":
        """Return the group at the beginning of the next window, without records."""
        return replace(
            self, drawn=np.zeros_like(self.drawn), rows=[[] for _ in self.chains],
            executed=np.zeros_like(self.executed), entering=np.ones_like(self.entering), dropped=0,
        )  # fmt: skip

    def order(self, window: int, draws: int) -> Order:
        """Return the order for the next block, with the aim of `draws` draws in the window."""
        return Order(
            self.keys,
            np.uint32(window),  # pyright: ignore[reportArgumentType]
            self.drawn,
            (draws - self.drawn).astype(np.int32),
            np.int32(self.limit),  # pyright: ignore[reportArgumentType]
            self.entering,
        )

    def absorb(self, block: Block, seconds: float) -> int:
        """Store the result of a block; return the number of new draws."""
        filled, rows = np.asarray(block.filled), np.asarray(block.rows)
        self.state = block.state
        ticks = np.asarray(block.ticks)
        self.executed = self.executed + ticks
        self.entering = np.zeros_like(self.entering)
        # A block that is nearly full is kept without a copy; of others the rest would stay, too.
        full = 8 * int(filled.sum()) > 7 * rows.shape[0] * rows.shape[1]
        for own, mine, count in zip(self.rows, rows, filled, strict=True):
            own.append(mine[:count] if full else mine[:count].copy())
        # Last, so that another thread never counts draws that it does not find.
        self.drawn = self.drawn + filled
        rate = float(ticks.mean()) / max(seconds, 1e-6)
        self.limit = int(np.clip(rate * BLOCK_SECONDS, 1, MAX_TICKS))
        return int(filled.sum())


def join_records(
    groups: Sequence[Group], count: int | None = None, chains: slice = slice(None)
) -> np.ndarray:
    """Join the records of chains, or the first `count` of each: (chains, draws, record)."""
    rows = [own for group in groups for own in group.rows][chains]
    made = count if count is not None else sum(map(len, rows[0]))
    record = rows[0][0].shape[-1] if rows[0] else 0
    whole = np.empty((len(rows), made, record), rows[0][0].dtype if rows[0] else float)
    for into, own in zip(whole, rows, strict=True):
        begin = 0
        for block in own:
            end = min(begin + len(block), made)
            into[begin:end] = block[: end - begin]
            begin = end
        assert begin == made, "a chain has fewer draws than others"
    return whole


def regroup(groups: Sequence[Group], width: int) -> list[Group]:
    """Divide the chains of some groups into groups of `width`, with everything they have done."""
    if not groups:
        return []
    states = jax.tree.map(lambda *a: np.concatenate(a), *(group.state for group in groups))
    named = ("keys", "drawn", "executed", "entering")
    keys, drawn, executed, entering = (
        np.concatenate([getattr(g, n) for g in groups]) for n in named
    )
    rows = [list(own) for group in groups for own in group.rows]
    limit = min(group.limit for group in groups)
    return [
        Group(
            range(begin, min(begin + width, len(keys))),
            keys[begin : begin + width],
            jax.tree.map(lambda a, b=begin: a[b : b + width], states),
            drawn[begin : begin + width],
            rows[begin : begin + width],
            executed[begin : begin + width],
            entering[begin : begin + width],
            limit,
            groups[0].dropped,
        )
        for begin in range(0, len(keys), width)
    ]


def relocate(
    groups: Sequence[Group], relocation: np.ndarray, others: Sequence[Group] = ()
) -> list[Group]:
    """Let each chain continue from the state of another one.

    Args:
        groups: The chains.
        relocation: For each chain the index of the one that it continues from.
        others: More chains to continue from, numbered after those of `groups`.
    """
    if (relocation == np.arange(len(relocation))).all():
        return list(groups)
    all_states = [group.state for group in (*groups, *others)]
    states = jax.tree.map(lambda *a: np.concatenate(a)[relocation], *all_states)
    return [
        replace(g, state=jax.tree.map(lambda a, g=g: a[g.chains.start : g.chains.stop], states))
        for g in groups
    ]


def collect(
    groups: Sequence[Group], call: Callable[[Group, Order], Block],
    window: int, draws: int, threads: int, watch: Callable[[Group, int, float], bool],
    far: int | None = None,
) -> None:  # fmt: skip
    """Run blocks until every chain has `draws` draws in the window.

    Groups take turns, so they never differ by more than a block when an interrupt arrives. Before
    an interrupt is raised, blocks in flight are finished and kept, if that takes 2 s at most. The
    result of a block that takes longer is discarded: its group stays as it was before the block.

    Args:
        groups: The chains; changed in place.
        call: Runs one block.
        window: Which window the draws belong to.
        draws: Number of draws that each chain is to have in the window.
        threads: Number of blocks in flight.
        watch: Called with a group, the number of its new draws and the seconds that they took, by
            one thread at a time. If it returns False, no block begins after those in flight.
        far: A group that is so many draws ahead of another waits for it; `None` if none waits.
    """
    waiting = deque(g for g in groups if (g.drawn < draws).any())
    stop, left, lock = Event(), Event(), Lock()

    def work() -> None:
        # The worker stores the block as well, because only the main thread is interrupted.
        while waiting and not stop.is_set():
            with lock:
                group = take_next(waiting, groups, far)
            if group is None:
                time.sleep(CATCH_UP_SECONDS)
                continue
            began = time.perf_counter()
            block = jax.block_until_ready(call(group, group.order(window, draws)))
            seconds = time.perf_counter() - began
            with lock:
                if left.is_set():
                    return
                if not watch(group, group.absorb(block, seconds), seconds):
                    stop.set()
            if (group.drawn < draws).any():
                waiting.append(group)

    # One task per thread: with one per block, each block would wake three threads.
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
    """Wait until all tasks are done or one has failed; wake up often enough to be interrupted.

    The system may deliver a signal to another thread, and an unlimited wait would not notice it.
    """
    while True:
        done, pending = wait(running, WAKE_SECONDS, FIRST_EXCEPTION)
        if not pending or any(future.exception() for future in done):
            return


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return a pool that later windows and runs share: of 60 ms, new threads took 2 or 3."""
    return ThreadPoolExecutor(threads, "chains")


if hasattr(os, "register_at_fork"):
    # Threads do not survive a fork. Windows has no fork.
    os.register_at_fork(after_in_child=_pool.cache_clear)
