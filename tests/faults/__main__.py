"""Kill, interrupt and damage stored runs, and fill their disk: `python -m tests.faults`.

Every trial forks a process before JAX has begun, so that a start costs no import. Each result that
is resumed is compared with the uninterrupted one, bit for bit.

A trial depends on the seed and its number alone, so `--part 1/8` to `--part 8/8` make the trials of
the whole; `--keep` adds the counts of each part to a file, and `--report` prints the table of all.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
import xarray

import infer
from infer.errors import RunError
from infer.run.loop import SAMPLING
from infer.store.commits import read_records, recover
from infer.store.files import LocalFiles
from infer.store.nested import decode

from . import runs

# Longest delay of a kill after the first commit, in seconds.
DELAY = 2.0
# Seconds between two looks of the reader; it shares the cores with the run.
LOOK_SECONDS = 0.02


def fork(call, *arguments, quiet=False):
    """Run a call in a process of its own; its exit code is 0 if nothing was raised."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        call(*arguments)
        code = 0
    except BaseException:
        if not quiet:
            traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def succeeded(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def save(path, call, *arguments):
    """Save the numbers of a result."""
    runs.prepare()
    np.savez(path, **runs.arrays_of(call(*arguments)))


def poll(store, reference):
    """Read a store until the process is ended: every draw must be that of the reference."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wanted = np.load(reference)
    while True:
        if not (Path(store) / "zarr.json").exists():
            time.sleep(0.01)
            continue
        with xarray.open_datatree(store, engine="zarr") as tree:
            for group in tree.children.values():
                for name in set(group.data_vars) & set(wanted.files):
                    own = group[name]
                    draws = own.sizes.get("draw", None)
                    part = wanted[name] if draws is None else wanted[name][:, :draws]
                    np.testing.assert_array_equal(own.values, part, err_msg=str(name))
        with contextlib.suppress(RunError):
            infer.open(store)
        time.sleep(LOOK_SECONDS)


def is_same(path, reference):
    one, other = np.load(path), np.load(reference)
    return set(one.files) == set(other.files) and all(
        np.array_equal(one[name], other[name], equal_nan=True) for name in one.files
    )


class Harness:
    """Trials in a folder, and how they ended.

    Attributes:
        counts: How many trials ended in each way.
        failures: One line for each trial that failed.
    """

    def __init__(self, folder, seed):
        self.folder, self.seed, self.random = Path(folder), seed, random.Random(seed)
        self.counts, self.failures = Counter(), []
        self.references, self.over = {}, set()

    def reference(self, kind):
        if kind not in self.references:
            path = self.folder / f"{kind}.npz"
            assert succeeded(fork(save, path, runs.begin, kind))
            self.references[kind] = path
        return self.references[kind]

    def stop_at_random(self, what, kind, number):
        """Send a signal at a random instant, and go on; count how it ended."""
        self.random.seed(f"{self.seed} {what.name} {number}")
        reference, store = self.reference(kind), self.folder / f"{what.name}-{number}.zarr"
        reader = fork(poll, str(store), reference)
        writer = fork(save, self.folder / "unused.npz", runs.begin, kind, str(store), quiet=True)
        while not (store / "run/0.json").exists() and not self._is_over(writer):
            time.sleep(0.002)
        time.sleep(self.random.uniform(0, DELAY))
        with contextlib.suppress(ProcessLookupError):
            os.kill(writer, what)
        self._wait(writer)
        where = self._where(store)
        out = self.folder / "resumed.npz"
        threads = self.random.choice([None, 1, 2])
        resumed = succeeded(fork(save, out, runs.go_on, kind, str(store), threads))
        os.kill(reader, signal.SIGTERM)
        read = succeeded(reader)
        bad = [
            *["lost a commit or a file"] * (where is None),
            *["the reader saw a broken store"] * (not read),
            *["not resumed"] * (not resumed),
            *["other bits"] * (resumed and not is_same(out, reference)),
        ]
        self.count(f"{what.name} of {kind} {where}", bad)
        shutil.rmtree(store)

    def _where(self, store):
        """Return where a run was stopped; None if its newest commit is not found, or is damaged."""
        files = LocalFiles(str(store))
        records, found = read_records(files)[0], recover(files)
        if found.damaged or found.record.commit != max(records):
            return None
        return "in sampling" if decode(found.state)[1]["window"] == SAMPLING else "in warm-up"

    def _is_over(self, pid):
        if pid in self.over:
            return True
        if os.waitpid(pid, os.WNOHANG)[0]:
            self.over = {pid}
            return True
        return False

    def _wait(self, pid):
        while not self._is_over(pid):
            time.sleep(0.002)

    def count(self, what, bad):
        self.counts[what] += 1
        if bad:
            self.failures.append(f"{what}: {', '.join(bad)}")

    def flip(self, kind, per_file, part, parts):
        """Flip bytes of files of a finished store, one at a time: of one file in `parts`."""
        store = self.folder / f"flip-{kind}.zarr"
        assert succeeded(fork(save, self.folder / "unused.npz", runs.begin, kind, str(store)))
        files = sorted(p for p in store.rglob("*") if p.is_file())
        resumed = set()
        for path in files[part::parts]:
            self.random.seed(f"{self.seed} {path.relative_to(store)}")
            data, what = path.read_bytes(), kind_of(path.relative_to(store).as_posix())
            for _ in range(per_file):
                place, bit = self.random.randrange(len(data)), self.random.randrange(8)
                flipped = bytes([data[place] ^ (1 << bit)])
                path.write_bytes(data[:place] + flipped + data[place + 1 :])
                bad = self._find_unnamed(store, path)
                if what not in resumed:
                    resumed.add(what)
                    bad += self._go_on_with_copy(kind, store)
                self.count(f"flip in {what}", bad)
            path.write_bytes(data)

    def _find_unnamed(self, store, path):
        key = path.relative_to(store).as_posix()
        try:
            damaged = recover(LocalFiles(str(store))).damaged
        except RunError as error:
            damaged = (str(error),)
        return [] if any(key in named for named in damaged) else [f"{key} was not named"]

    def _go_on_with_copy(self, kind, store):
        copy, out = self.folder / "copy.zarr", self.folder / "resumed.npz"
        shutil.copytree(store, copy)
        resumed = succeeded(fork(save, out, runs.go_on, kind, str(copy)))
        shutil.rmtree(copy)
        return [] if resumed and is_same(out, self.reference(kind)) else ["not resumed"]

    def fill_disk(self, kind, kilobytes):
        """Run on a disk that fills up, make it larger, and go on."""
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True).returncode:
            self.counts["disk full: skipped, no right to mount a tmpfs"] += 1
            return
        try:
            store, out = disk / "run.zarr", self.folder / "resumed.npz"
            full = not succeeded(
                fork(save, self.folder / "unused.npz", runs.begin, kind, str(store), quiet=True)
            )
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            sound = full and self._where(store) is not None
            resumed = succeeded(fork(save, out, runs.go_on, kind, str(store)))
            good = sound and resumed and is_same(out, self.reference(kind))
            self.count(f"disk full at {kilobytes} kB, {kind}", [] if good else ["not resumed"])
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def kind_of(key):
    """Return what kind of file of a store a key is."""
    folder, _, name = key.partition("/")
    if folder == "run":
        return {"json": "a record", "npz": "a state"}.get(
            name.rpartition(".")[2] if not name.startswith("block") else "", "a list of chunks"
        )
    if name.endswith("zarr.json") or key == "zarr.json":
        return "metadata"
    return "a chunk of draws" if folder in ("posterior", "sample_stats") else "a chunk of data"


def run_part(given):
    """Make the trials of one part; return how many ended in each way, and the failures."""
    part, parts = (int(number) for number in given.part.split("/"))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(folder, given.seed)
        for count, what in ((given.kills, signal.SIGKILL), (given.interrupts, signal.SIGINT)):
            for number in range(count)[part - 1 :: parts]:
                harness.stop_at_random(what, runs.KINDS[number % len(runs.KINDS)], number)
        if given.flips:
            harness.flip("HMC", given.flips, part - 1, parts)
        for kilobytes in (300, 700, 1500)[part - 1 :: parts]:
            harness.fill_disk("HMC", kilobytes)
    spent = time.monotonic() - began
    return {"seconds": spent, "counts": dict(harness.counts), "failures": harness.failures}


def report(seed, made):
    """Print the table of some parts."""
    counts = sum((Counter(own["counts"]) for own in made), Counter())
    failures = [line for own in made for line in own["failures"]]
    print(f"seed {seed}, {sum(own['seconds'] for own in made):.0f} s in {len(made)} parts\n")
    print("| trial | number |\n| --- | ---: |")
    for what, number in sorted(counts.items()):
        print(f"| {what} | {number} |")
    print(f"\n{sum(counts.values())} trials, {len(failures)} failed.")
    print("\n".join(failures))
    return bool(failures)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--interrupts", type=int, default=50)
    parser.add_argument("--flips", type=int, default=20, help="in each file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", default="1/1", help="such as 2/8")
    parser.add_argument("--keep", help="file to which the counts of this part are added")
    parser.add_argument("--report", help="print the table of the parts in such a file")
    given = parser.parse_args()
    if given.report:
        lines = Path(given.report).read_text().splitlines()
        sys.exit(report(given.seed, list(map(json.loads, lines))))
    made = run_part(given)
    if given.keep:
        with open(given.keep, "a") as file:
            file.write(json.dumps(made) + "\n")
    sys.exit(report(given.seed, [made]))


if __name__ == "__main__":
    main()
