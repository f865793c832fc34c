"""Check random models: `python -m tests.fuzz [--first 0] [--last 1000] [--timeout 120]`.

Every model is checked in its own process, forked before JAX has begun to compute, so that one that
hangs or aborts is reported and the others go on. A model hangs if it takes `--timeout` seconds of
processor time, or waits as long without computing; so other work on the machine makes none of them
hang. Prints a line for each model that fails, then a table, also if it is interrupted. The exit
status is 1 if a model is wrong, raw, noisy, hung or aborted.
"""

import argparse
import os
import select
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter

import jax
import psutil

from . import check

STATUSES = ("ok", "refused", "wrong", "raw", "noisy", "hung", "aborted")
GOOD = {"ok", "refused"}


def cpu_seconds(process: int) -> float:
    """Return the processor time that a process has taken, in all its threads."""
    found = psutil.Process(process).cpu_times()
    return found.user + found.system


def answers_in_time(child: int, reading: int, timeout: float) -> bool:
    """Wait for an answer; return whether one came before the child hung."""
    last, changed = 0.0, time.monotonic()
    while not select.select([reading], [], [], 1.0)[0]:
        taken, now = cpu_seconds(child), time.monotonic()
        if taken > last:
            last, changed = taken, now
        if taken > timeout or now - changed > timeout:
            return False
    return True


def one(seed: int, timeout: float) -> tuple[str, str, str]:
    """Check one model in its own process; return its name, status and details."""
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as printed:
        child = os.fork()
        if child == 0:
            os.close(reading)
            check.in_child(seed, writing, printed.fileno())
        os.close(writing)
        ready = False
        try:
            ready = answers_in_time(child, reading, timeout)
        finally:
            if not ready:
                os.kill(child, signal.SIGKILL)
        text = os.read(reading, 65536).decode() if ready else ""
        os.close(reading)
        _, status = os.waitpid(child, 0)
        printed.seek(0)
        words = printed.read().decode(errors="replace")
    if not text:
        end = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {status >> 8}"
        last = (words.strip().splitlines() or [""])[-1][:200]
        name = f"seed {seed}"
        return (
            (name, "hung", f"{timeout:.0f} s") if not ready else (name, "aborted", f"{end}: {last}")
        )
    name, outcome, detail = text.split("\n", 2)
    line = check.noise(words)
    return (name, "noisy", line) if outcome in GOOD and line else (name, outcome, detail)


def check_seeds(first: int, last: int, timeout: float) -> tuple[dict[str, Counter], Counter, int]:
    """Check models until one is interrupted; return statuses by family, reasons, and the end."""
    found: dict[str, Counter] = {}
    reasons: Counter = Counter()
    for seed in range(first, last):
        try:
            name, status, detail = one(seed, timeout)
        except KeyboardInterrupt:
            return found, reasons, seed
        found.setdefault(name.split(":")[0], Counter())[status] += 1
        if detail and status in GOOD:
            reasons[detail] += 1
        if status not in GOOD:
            print(f"{seed:4d} {status:8s} {name}\n     {detail}", flush=True)
    return found, reasons, last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--last", type=int, default=1000)
    parser.add_argument("--timeout", type=float, default=120)
    chosen = parser.parse_args()
    # A process forked from one that has started a backend may wait forever.
    warnings.filterwarnings("ignore", message=".*fork.*")
    began = time.perf_counter()
    found, reasons, end = check_seeds(chosen.first, chosen.last, chosen.timeout)
    seconds = time.perf_counter() - began
    print(f"\njax {jax.__version__}, seeds {chosen.first} to {end - 1}, {seconds:.0f} s\n")
    print(" ".join([f"{'family':10s}", *(f"{s:>8s}" for s in STATUSES)]))
    total: Counter = Counter()
    for family, counts in found.items():
        total.update(counts)
        print(" ".join([f"{family:10s}", *(f"{counts[s]:8d}" for s in STATUSES)]))
    print(" ".join([f"{'all':10s}", *(f"{total[s]:8d}" for s in STATUSES)]))
    other = sum(count for reason, count in reasons.items() if reason.startswith("not native"))
    print(f"\nnative: {total['ok'] - other} of {total['ok']}")
    print("\nreasons of refusals, and of no native form")
    for reason, count in reasons.most_common():
        print(f"{count:4d}  {reason}")
    sys.exit(int(any(total[s] for s in STATUSES if s not in GOOD)))


if __name__ == "__main__":
    main()
