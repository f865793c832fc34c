"""Commit a run while it goes on: draws are converted between blocks, and a thread writes them.

If several processes share the run, all convert the same draws and write a commit together, between
blocks or after an exchange; see `shared.py`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import xarray

from ..engines.base import Draws
from ..errors import RunError
from ..models.inputs.names import join_names
from ..run.blocks import find_format
from ..run.loop import SAMPLING
from ..run.run import Run
from .commits import Changes, Record, commit
from .files import Files
from .growing import DRAW, Growing, choose_chunk
from .nested import encode
from .records import drop, take
from .shared import share_files
from .state import write_warmup

# Seconds between commits, and the largest share of the time that they may take.
COMMIT_SECONDS, LARGEST_SHARE = 5.0, 0.02
# The groups that grow.
GROWING = (
    "posterior", "sample_stats", "log_likelihood", "log_prior", "unconstrained_posterior",
)  # fmt: skip
# Bytes of the records of chains that are ahead of the others.
SURPLUS_BYTES = 2**22
# Bytes of whole chunks at which a commit is due, and at which the run waits for the one in flight.
DUE_BYTES, MAX_BYTES = 2**24, 2**26


class Contents(NamedTuple):
    """How draws become what readers see; `None` for runs whose draws are not of the posterior.

    Attributes:
        lay_out: Returns all groups for draws of which only the shapes matter, with or without what
            warm-up has learned.
        convert: Returns the groups that grow, for some draws of all chains in a chunk of so many.
        step: Number of draws after which conversion can restart within a chunk, bit for bit.
        thin: Every so many draws, one is stored.
    """

    lay_out: Callable[[Draws, bool], Mapping[str, xarray.Dataset]]
    convert: Callable[[Draws, int], Mapping[str, xarray.Dataset]]
    step: int = 1
    thin: int = 1


class Recorder:
    """Commits a run to a store.

    Attributes:
        files: The store.
        about: What the store is of, as plain values.
        record: The last commit.
    """

    def __init__(
        self,
        files: Files,
        run: Run,
        about: dict[str, Any],
        contents: Contents | None,
        describe: Callable[[Run], Mapping[str, Any]],
        record: Record | None = None,
        seconds: float | None = None,
    ):
        """Prepare to commit; see `recording`.

        Args:
            files: The store.
            run: The run.
            about: What the store is of, as plain values.
            contents: How draws become what readers see.
            describe: Describes the run in attributes.
            record: The commit from which the run was resumed.
            seconds: Seconds between commits.
        """
        self.files, self.about, self.record = files, about, record
        self._processes = run.places.processes
        self._shared = share_files(files, self._processes)
        self._records = find_format(run.engine, run.family, run.warmup)
        self._contents, self._describe, self._seconds = (
            contents,
            describe,
            COMMIT_SECONDS if seconds is None else seconds,
        )
        self._is_laid_out = run.warmup.window == SAMPLING
        self.growing = self._lay_out(run)
        arrays = describe_arrays(self.growing)
        if record is not None and about["arrays"] != arrays:
            raise _explain_arrays(files.where, about["arrays"], arrays)
        self.about |= {"chunk": self.growing.chunk, "arrays": arrays}
        self._chunks = self.growing.blank()
        self._stored = 0 if record is None else len(record.blocks) * self.growing.chunk
        self._attributes: Mapping[str, Any] = describe(run)
        self._writer = ThreadPoolExecutor(1, "store")
        self._pending: Future[None] | None = None
        # Blocks that are complete, by number, until a commit has them.
        self._ready: dict[int, dict[str, bytes]] = {}
        self._due = 0.0
        self._is_complete = self._has_failed = False

    def _lay_out(self, run: Run) -> Growing:
        """Lay out what readers see, with what warm-up has learned if it is over."""
        if self._contents is None:
            return Growing({}, (), 1)
        example = self._contents.lay_out(_blank(run, self._records), self._is_laid_out)
        chunk = self.about.get("chunk") or choose_chunk(
            example, self.about["draws"], self._contents.thin, self._count_bytes_a_draw(run)
        )
        return Growing(example, GROWING, chunk)

    @contextmanager
    def recording(self, run: Run) -> Iterator[None]:
        """Commit the run now, after its blocks, and at the end, also if that is an error.

        Raises:
            RunError: Another process writes to the store, or a commit failed.
        """
        held = self._shared.lock()
        try:
            self._has_failed = self._is_complete = False
            # After an error the first process may have made a commit alone.
            self.record = self._processes.follow(self.record)
            self._begin_commit(run)
            run.after_block = self.after_block
            run.most_ahead = max(1, SURPLUS_BYTES // self._count_bytes_a_draw(run))
            yield
        finally:
            run.after_block = run.most_ahead = None
            try:
                if not self._is_complete:
                    self._close(run)
            finally:
                held.close()

    def after_block(self, run: Run) -> None:
        """Begin a commit if one is due; called between blocks, by one thread at a time.

        Raises:
            RunError: A commit failed.
        """
        self._is_complete = False
        if run.warmup.window == SAMPLING:
            self._convert(run, self.growing.chunk)
        ready = sum(len(data) for chunks in self._ready.values() for data in chunks.values())
        if self._pending is not None and (self._pending.done() or ready > MAX_BYTES):
            self._finish_pending()
        is_due = time.monotonic() >= self._due or ready > DUE_BYTES
        # Several processes commit together, by the clock of the first one.
        if self._processes.follow(self._pending is None and is_due):
            self._finish_pending()
            self._begin_commit(run)

    def _begin_commit(self, run: Run) -> None:
        changes = self._gather_changes(run, {})
        self._pending = self._writer.submit(self._write, changes, self._shared, time.monotonic())
        if self._processes.count > 1:
            # Messages of a commit must not mix with those of blocks or of an exchange.
            self._finish_pending()

    def _count_bytes_a_draw(self, run: Run) -> int:
        return run.chains * self._records.record * np.dtype(float).itemsize

    def finish(self, run: Run, attributes: Mapping[str, Any] | None = None) -> None:
        """Commit the run as it is.

        Args:
            run: The run, of which no block is running.
            attributes: More attributes for readers.

        Raises:
            RunError: A commit failed.
        """
        self._finish(run, self._shared, attributes or {})

    def _finish(self, run: Run, files: Files, attributes: Mapping[str, Any]) -> None:
        self._finish_pending()
        self._attributes = self._describe(run)
        self._write(self._gather_changes(run, attributes), files, time.monotonic())
        self._is_complete = True

    def _close(self, run: Run) -> None:
        """Commit for the last time; after a failure, only wait for the commit in flight."""
        if self._pending is not None:
            wait([self._pending])
        if self._has_failed:
            return
        if not self._processes.are_apart:
            self._finish(run, self._shared, {})
        elif self._processes.is_first:
            # The others may be anywhere, and this process has all that was exchanged.
            self._finish(run, self.files, {})

    def _finish_pending(self) -> None:
        if self._pending is not None:
            # If this is interrupted, the commit is still in flight.
            wait([self._pending])
            pending, self._pending = self._pending, None
            pending.result()

    def _write(self, changes: Changes, files: Files, began: float) -> None:
        try:
            self.record = commit(files, self.record, changes)
        except BaseException as error:
            self._has_failed = True
            if isinstance(error, OSError):
                raise _explain(self.files.where, self.record, error) from error
            raise
        now = time.monotonic()
        self._due = now + max(self._seconds, (now - began) / LARGEST_SHARE)

    def _gather_changes(self, run: Run, attributes: Mapping[str, Any]) -> Changes:
        if run.warmup.window == SAMPLING:
            self._convert(run)
        committed = 0 if self.record is None else len(self.record.blocks)
        self._ready = {i: chunks for i, chunks in self._ready.items() if i >= committed}
        # Readers see no groups before there are draws.
        shown = self.growing if self._stored else Growing({}, (), 1)
        files = dict(shown.fixed)
        if self._stored % self.growing.chunk:
            files |= self.growing.encode(self._chunks, self._stored // self.growing.chunk)
        plan = {"width": run.plan.width, "is_native": run.plan.is_native}
        about = self.about | {
            "plan": plan, "timing": asdict(run.timing), "why_not_native": run.why_not_native,
        }  # fmt: skip
        return Changes(
            encode(*write_warmup(run.warmup, self._records)),
            self._stored,
            [self._ready[i] for i in sorted(self._ready)],
            files,
            shown.metadata(self._stored, {**self._attributes, **attributes}),
            about,
        )

    def _convert(self, run: Run, by: int = 1) -> None:
        """Convert the draws that every chain has, and drop the records of complete blocks.

        Args:
            run: The run, in sampling.
            by: Only a multiple of so many stored draws is converted.
        """
        if not self._is_laid_out:
            self._is_laid_out = True
            self.growing, self._attributes = self._lay_out(run), self._describe(run)
        contents = self._contents
        total = 0 if contents is None else -(-run.fewest() // contents.thin) // by * by
        if contents is None or total <= self._stored:
            return
        self._fill(run, contents, total)
        # The last record is compared with another program at the end.
        whole = contents.thin * self.growing.chunk * (self._stored // self.growing.chunk)
        for group in run.groups:
            drop(group, min(whole, run.fewest() - 1))

    def _fill(self, run: Run, contents: Contents, total: int) -> None:
        """Put draws into chunks until `total` are there."""
        chunk, thin = self.growing.chunk, contents.thin
        while self._stored < total:
            block, begin = divmod(self._stored, chunk)
            begin -= begin % contents.step
            end = min(total - block * chunk, chunk)
            numbers = thin * np.arange(block * chunk + begin, block * chunk + end)
            rows = take(run.groups, int(numbers[0]), int(numbers[-1]) + 1, thin)
            groups = contents.convert(self._records.unpack(rows), chunk)
            numbered = {n: group.assign_coords({DRAW: numbers}) for n, group in groups.items()}
            if not begin:
                for array in self._chunks.values():
                    array.fill(0)
            self.growing.fill(self._chunks, begin, numbered)
            if end == chunk:
                self._ready[block] = self.growing.encode(self._chunks, block)
            # Last, so that an interrupted call can be made again.
            self._stored = block * chunk + end


def describe_arrays(growing: Growing) -> dict[str, list[Any]]:
    """Describe the arrays that grow in plain values."""
    return {name: [str(dtype), list(shape)] for name, (dtype, shape, _) in growing.arrays.items()}


def _blank(run: Run, records: Any) -> Draws:
    lead = run.chains, 1
    stats = {name: np.zeros(lead, dtype) for name, dtype in records.dtypes.items()}
    return Draws(np.zeros((*lead, records.width)), np.zeros((*lead, 0)), stats)


def _explain_arrays(
    where: str, stored: Mapping[str, list[Any]], here: Mapping[str, list[Any]]
) -> RunError:
    names = stored.keys() | here.keys()
    others = sorted(name for name in names if stored.get(name) != here.get(name))
    return RunError(
        where,
        f"{join_names(others)} would be stored in another way than in this store",
        "Continue it with the version of the library that wrote it.",
    )


def _explain(where: str, record: Record | None, error: OSError) -> RunError:
    safe = "nothing is stored yet" if record is None else f"commit {record.commit} is safe"
    return RunError(
        where,
        f"a commit could not be written ({error}); {safe}",
        "Make room or mend the connection, and go on from there: infer.resume(path, model).",
    )
