"""Time models of PyMC from a written model to an effective sample size of 1000, in three ways.

    python -m benchmarks.pymc_drop_in [--repeats 3] [--models radon ...]

Writes results/pymc_drop_in.json as it goes, then results/pymc_drop_in.md.

Each run is a process of its own, and the ways take turns: `infer.pymc.sample`, and `pymc.sample`
with nutpie (numba) and with NumPyro (four devices, so that its chains run at once). All draw four
chains in float64 with their defaults. If the smallest bulk ESS of 1000 draws is less than 1000, a
way draws as many more as it needs. Nothing that was compiled before is found on disk; imports are
not counted. The ESS is the smallest of all runs of a way, in the order of the columns.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from .peers.suite import SUITE

MODELS = ("eight schools", "radon", "logistic", "volatility", "Gaussian process")
WAYS = ("ours", "nutpie", "numpyro")
DRAWS, NEEDED, CHAINS = 1000, 1000, 4
KEPT = Path(__file__).parent / "results" / "pymc_drop_in.json"


def run_here(way: str, name: str, seed: int, draws: int) -> dict[str, float]:
    """Run one way in this process."""
    import arviz as az
    import pymc as pm

    import infer

    if way == "nutpie":
        import nutpie  # noqa: F401 - its import is not counted
    case = SUITE[name]
    data = case.data()
    options: dict[str, Any] = {"chains": CHAINS, "random_seed": seed, "progressbar": False}
    options["compute_convergence_checks"] = False
    began = time.perf_counter()
    with pm.Model():
        case.pymc(**data)
        if way == "ours":
            found = infer.pymc.sample(draws, **options)
        else:
            found = pm.sample(draws, nuts_sampler=way, **options)
    seconds = time.perf_counter() - began
    values = [np.asarray(found["posterior"][site]) for site in case.sites]
    columns = np.concatenate([v.reshape(*v.shape[:2], -1) for v in values], -1)
    least = min(float(az.ess(columns[..., i])) for i in range(columns.shape[-1]))
    return {"seconds": seconds, "ess": least, "draws": draws}


def run_apart(way: str, name: str, seed: int, draws: int) -> dict[str, float]:
    """Run one way in a process of its own, which finds nothing compiled."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.pymc_drop_in"]
    command += ["--one", way, name, str(seed), str(draws)]
    devices = CHAINS if way == "numpyro" else 1
    with tempfile.TemporaryDirectory() as empty:
        own = {
            "NUMBA_CACHE_DIR": empty,
            "PYTENSOR_FLAGS": f"base_compiledir={empty}",
            "PUSHFORWARD_CACHE": "0",
            "JAX_ENABLE_COMPILATION_CACHE": "false",
            "EAGER_IMPORT": "1",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        }
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | own)
    if done.returncode:
        raise RuntimeError(f"{way} on {name}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure(way: str, name: str, seed: int, draws: int) -> dict[str, float]:
    """Run with more draws until the effective sample size is reached."""
    while True:
        found = run_apart(way, name, seed, draws)
        print(name, way, seed, found, flush=True)
        if found["ess"] >= NEEDED:
            return found
        draws = 500 * math.ceil(1.2 * draws * NEEDED / found["ess"] / 500)


def gather(models: list[str], repeats: int) -> dict[str, Any]:
    """Let all ways take turns on each model; save each run."""
    found: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    for seed in range(repeats):
        for name in models:
            own = found.setdefault(name, {})
            for turn in range(len(WAYS)):
                way = WAYS[(seed + turn) % len(WAYS)]
                runs = own.setdefault(way, [])
                if len(runs) <= seed:
                    draws = max((int(run["draws"]) for run in runs), default=DRAWS)
                    runs.append(measure(way, name, seed, draws))
                    KEPT.write_text(json.dumps(found, indent=1))
    return found


def report(found: dict[str, Any]) -> list[str]:
    """Make the table of medians, with the ratio to the better of the others."""
    lines = [
        "| model | ours, s | nutpie, s | NumPyro, s | better of the two / ours | smallest ESS |",
        "| --- | --: | --: | --: | --: | --- |",
    ]
    ratios = []
    for name, ways in found.items():
        seconds = {w: statistics.median(run["seconds"] for run in ways[w]) for w in WAYS}
        sizes = ", ".join(f"{min(run['ess'] for run in ways[w]):.0f}" for w in WAYS)
        ratios.append(min(seconds["nutpie"], seconds["numpyro"]) / seconds["ours"])
        cells = " | ".join(f"{seconds[w]:.1f}" for w in WAYS)
        lines.append(f"| {name} | {cells} | {ratios[-1]:.2f} | {sizes} |")
    mean = statistics.geometric_mean(ratios)
    repeats = {len(runs) for ways in found.values() for runs in ways.values()}
    return [*lines, "", f"Geometric mean {mean:.2f} (target 2); medians of {max(repeats)} runs."]


def main() -> None:
    """Gather runs and write the page, or run one."""
    from .page import write

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--one", nargs=4, metavar=("WAY", "MODEL", "SEED", "DRAWS"))
    asked = parser.parse_args()
    if asked.one:
        way, name, seed, draws = asked.one
        print(json.dumps(run_here(way, name, int(seed), int(draws))))
        return
    found = gather(list(asked.models), asked.repeats)
    write(KEPT.with_suffix(".md"), "Models of PyMC, from cold to ESS 1000", __doc__, report(found))
    print("\n".join(report(found)))


if __name__ == "__main__":
    main()
