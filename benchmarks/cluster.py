"""Sample many data sets on a Dask cluster of this machine, kill its workers, and time it.

    python -m benchmarks.cluster [--n 1000] [--runs 20] [--repeats 3] [--draws 200]

Needs the extra `cluster`. Writes benchmarks/results/cluster.md. The data sets are those of
`benchmarks/many_datasets.py`: eight means with known standard errors, 4 chains of 40 draws of
warm-up and `--draws` draws. The cluster is two worker processes of one thread, on loopback.

Kills: in each of so many runs, one worker is killed (SIGKILL) at an instant that is uniform on the
duration of an undisturbed run; Dask starts another in its place. Every array of the result is then
compared, bit for bit, with that of one process without a cluster, and so are the verdicts.

Time: seconds of a call that stores its draws, by one process with two threads and by the cluster,
in turn; the median of so many repeats after a first call of each, which imports and compiles.
`cpu` is processor time in a repeated call, of all threads of this process, and of the workers if
they sample; it says more than seconds do while others use the machine. `compiled` is how many
programs the repeated calls compiled.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)
sys.path.insert(0, str(Path(__file__).parents[1]))

import infer
from benchmarks import page
from benchmarks.many_datasets import CHAINS, ENGINE, make_models, simulate

RESULTS = Path(__file__).parent / "results" / "cluster.md"
WARMUP = 40
GROUPS = ("posterior", "sample_stats", "observed_data", "constant_data")


def sample(models: list[Any], where: str, draws: int, **how: Any) -> tuple[Any, float]:
    """Sample into a store; return what is stored, and the seconds it took."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        made = infer.sample(
            models, ENGINE, chains=CHAINS, draws=draws, warmup=WARMUP, key=range(len(models)),
            progress=False, store=where, **how,
        )  # fmt: skip
    return made, time.perf_counter() - began


def is_same(found: Any, expected: Any) -> bool:
    """Return whether every array is the same, bit for bit, and so is the verdict."""
    names = [(group, name) for group in GROUPS for name in expected[group].variables]
    return found.attrs["verdict"] == expected.attrs["verdict"] and all(
        np.array_equal(np.asarray(found[g].variables[n]), np.asarray(expected[g].variables[n]))
        for g, n in names
    )


def measure(models: list[Any], where: str, draws: int, **how: Any) -> tuple[Any, list[float]]:
    """Sample; return what is stored, the seconds, the processor time, and what was compiled."""

    def count() -> float:
        own = how["client"].run(time.process_time).values() if "client" in how else ()
        return sum(own) + time.process_time()

    before = count()
    made, seconds = sample(models, where, draws, **how)
    return made, [seconds, count() - before, made.attrs["compilations"]]


def kill_one(client: Any, rng: np.random.Generator) -> None:
    """Kill one worker process."""
    pids = sorted(client.run(os.getpid, on_error="ignore").values())
    if pids:
        os.kill(int(rng.choice(pids)), signal.SIGKILL)


def sample_and_kill(
    client: Any, models: list[Any], where: str, draws: int, after: float, rng: np.random.Generator
) -> tuple[Any, float]:
    """Sample while a worker is killed after so many seconds."""
    killer = threading.Timer(after, kill_one, (client, rng))
    killer.start()
    try:
        return sample(models, where, draws, client=client)
    finally:
        killer.join()


def main(n: int = 1000, runs: int = 20, repeats: int = 3, draws: int = 200) -> dict[str, Any]:
    """Measure, and return the figures."""
    from distributed import Client, LocalCluster  # pyright: ignore[reportMissingImports]

    models, rng = make_models(simulate(n)), np.random.default_rng(0)
    alone, spread, same, expected = [], [], 0, None
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,  # pyright: ignore[reportArgumentType]
        ) as cluster,
        Client(cluster) as client,
    ):
        for i in range(repeats + 1):
            expected, measured = measure(models, f"{folder}/alone-{i}", draws, threads=2)
            alone.append(measured)
            found, measured = measure(models, f"{folder}/spread-{i}", draws, client=client)
            spread.append(measured)
            print("seconds, cpu, compiled:", alone[-1], measured, flush=True)
            assert is_same(found, expected)
        longest = []
        for i in range(runs):
            client.wait_for_workers(2)
            after = rng.uniform(0, statistics.median(own[0] for own in spread))
            found, seconds = sample_and_kill(
                client, models, f"{folder}/killed-{i}", draws, after, rng
            )
            longest.append(seconds)
            same += is_same(found, expected)
            print(
                f"killed after {after:.1f} of {seconds:.1f} s: {same} of {i + 1} equal", flush=True
            )
    return {"alone": alone, "spread": spread, "killed": longest, "same": same}


def _line(name: str, measured: list[list[float]], n: int) -> str:
    again, cpu, _ = _median(measured)
    compiled = sum(own[2] for own in measured[1:])
    return (
        f"| {name} | {measured[0][0]:.1f} | {again:.1f} | {1e3 * again / n:.2f} | {cpu:.1f} | "
        f"{compiled:.0f} |"
    )


def _median(measured: list[list[float]]) -> list[float]:
    return [statistics.median(own) for own in zip(*measured[1:], strict=True)]


def describe(n: int, found: dict[str, Any]) -> list[str]:
    """Write the figures as lines of a page."""
    alone, spread = (_median(found[name]) for name in ("alone", "spread"))
    lines = [
        "| call | first, s | again, s | ms a data set | cpu, s | compiled |",
        "| --- | --: | --: | --: | --: | --: |",
        _line("one process, two threads", found["alone"], n),
        _line("two workers", found["spread"], n),
        "",
        f"{n} data sets. The cluster takes {spread[0] / alone[0] - 1:+.1%} time and "
        f"{spread[1] / alone[1] - 1:+.1%} processor time.",
    ]
    if killed := found["killed"]:
        lines.append(
            f"With a worker killed, {found['same']} of {len(killed)} results are those of one "
            f"process, bit for bit; the calls took {statistics.median(killed):.1f} s (median), and "
            f"{max(killed):.1f} s at most."
        )
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("n", 1000), ("runs", 20), ("repeats", 3), ("draws", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    lines = describe(asked.n, main(**vars(asked)))
    page.write(RESULTS, "A Dask cluster on one machine", __doc__, lines)
    print(RESULTS.read_text())
