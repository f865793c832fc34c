"""Compare whole processes at defaults on posteriors with references, ours and each peer in turn.

    python -m benchmarks.suite --posteriors FOLDER [--quick] [--repeats 1] [--methods ours ...]
        [--only NAME ...] [--peers-python PATH] [--cap 300]
    python -m benchmarks.suite --table

FOLDER holds an index of posteriors with their models, data and reference moments. Every run is a
process of its own with empty caches; ours and the peers alternate. Each appends a line to
results/suite.jsonl, so that the same command goes on where it was stopped; `--quick` runs a
selection in about ten minutes. The last form writes results/suite.md.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from ..bytecode import compile_packages
from ..peers.draws import Draws, Sampler
from .posteriors import Posterior, names
from .report import has_reached, last_of, write

ROWS = Path(__file__).parents[1] / "results" / "suite.jsonl"
DRAWS, MOST_DRAWS = 1000, 8000
QUICK = (
    "Rate_2_data-Rate_2_model",
    "arK-arK",
    "earnings-logearn_interaction",
    "eight_schools-eight_schools_centered",
    "eight_schools-eight_schools_noncentered",
    "exact-gaussian30",
    "gp_pois_regr-gp_regr",
    "hmm_example-hmm_example",
    "kidiq-kidscore_momhsiq",
    "low_dim_gauss_mix-low_dim_gauss_mix",
    "nes1996-nes",
    "sblri-blr",
)
# Why ours falls behind or misses.
REASONS = {
    "eight_schools-eight_schools_centered": "the funnel as it is written, from a log density that "
    "names no priors, so that warm-up has nothing to center; with a constant metric chains rarely "
    "enter its neck, and a mean stays off when R-hat and ESS no longer show it",
}
# What a user of each method imports before it is called.
IMPORTS = {
    "ours": ("infer",),
    "ours, later process": ("infer",),
    "NumPyro": ("numpyro.infer",),
    "NumPyro, sequential": ("numpyro.infer",),
    "BlackJAX": ("blackjax", "numpyro.infer"),
    "stanli": ("stanli",),
}


def sampler(method: str, posterior: Posterior) -> Sampler:
    """Make a sampler; each imports what it needs."""
    from ..peers import compiled, in_blackjax, in_jax

    case = posterior.case()
    if method == "stanli":
        return compiled.stanli(case)
    if method.startswith("NumPyro"):
        how = "sequential" if "sequential" in method else "vectorized"
        return in_jax.numpyro(case, how)
    return in_blackjax.nuts(case) if method == "BlackJAX" else in_jax.ours(case)


def spent(began: float) -> tuple[float, float]:
    """Return the wall and the CPU seconds since this process was started."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.monotonic() - began, used.ru_utime + used.ru_stime


def run_one(
    tree: Path, name: str, method: str, seed: int, draws: int, gradients: bool, began: float
) -> dict:
    """Sample once in this process, and measure what it took and what came of it."""
    for package in IMPORTS[method]:
        import_module(package)
    imported = spent(began)
    posterior = Posterior(tree, name)
    run = sampler(method, posterior)
    found = run(seed, draws)
    done = spent(began)
    row = dict(zip(("wall", "cpu"), done, strict=True))
    row |= dict(zip(("import_wall", "import_cpu"), imported, strict=True))
    quality = measure_quality(found)
    row |= quality | {"error": posterior.error(found.values, quality["ess"])}
    print(json.dumps(row), flush=True)
    # Some tell the gradients of warm-up only in a run that is a warm-up alone.
    warmed = found.warmed or (run(seed, 1).warmed if gradients else 0)
    return row | {"sampled": found.sampled, "warmed": warmed}


def measure_quality(found: Draws) -> dict[str, float]:
    """Compute the smallest bulk ESS and the largest R-hat over all numbers that vary."""
    import arviz as az
    import numpy as np

    columns = [v.reshape(*v.shape[:2], -1) for v in found.values.values()]
    numbers = [c[..., i] for c in columns for i in range(c.shape[-1]) if np.ptp(c[..., i]) > 0]
    return {
        "ess": min(float(az.ess(x)) for x in numbers),
        "rhat": max(float(az.rhat(x)) for x in numbers),
        "divergences": found.divergences,
    }


def run_in_process(
    asked: argparse.Namespace, name: str, method: str, seed: int, draws: int
) -> dict:
    """Run in a process of its own, with empty caches; one that fails tells why."""
    python = (method == "stanli" and asked.peers_python) or sys.executable
    command = [python, "-W", "ignore", "-m", "benchmarks.suite", "--posteriors"]
    command += [str(asked.posteriors), *["--gradients"] * asked.gradients]
    command += ["--one", name, method, str(seed), str(draws)]
    kept = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    with tempfile.TemporaryDirectory() as empty:
        apart = kept | {"JAX_ENABLE_X64": "1", "XDG_CACHE_HOME": empty}
        row: dict[str, Any] = {}
        for _ in range(2 if "later" in method else 1):
            row = _finish(command, apart, asked.cap)
    return row


def _finish(command: list[str], apart: dict[str, str], cap: int) -> dict[str, Any]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (cap, cap))

    done = subprocess.run(
        [*command, str(time.monotonic())], capture_output=True, text=True, env=apart,
        preexec_fn=limit,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if lines:
        return json.loads(lines[-1])
    last = done.stderr.strip().splitlines()[-1:] or [f"stopped after {cap} s of CPU"]
    return {"failed": last[0][:200]}


def measure(asked: argparse.Namespace, name: str, method: str, seed: int) -> None:
    """Run with the default number of draws, then with more until the limits are reached."""
    draws = DRAWS
    while True:
        row = {"posterior": name, "method": method, "seed": seed, "draws": draws}
        row |= run_in_process(asked, name, method, seed, draws)
        with asked.rows.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)
        draws *= 2
        if has_reached(row) or "failed" in row or draws > MOST_DRAWS:
            return


def read_rows(file: Path) -> list[dict[str, Any]]:
    """Read all lines of the file, if there is one."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def main() -> None:
    """Run what has no line yet, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posteriors", type=Path)
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--methods", nargs="*", default=["ours", "NumPyro"], choices=IMPORTS)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--cap", type=int, default=300, help="CPU seconds of a process")
    parser.add_argument("--peers-python", default="")
    parser.add_argument("--gradients", action="store_true", help="also those of their warm-up")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        name, method, seed, draws, began = asked.one
        given = int(seed), int(draws), asked.gradients, float(began)
        row = run_one(asked.posteriors, name, method, *given)
        print(json.dumps(row))
        return
    if asked.table:
        print(write(last_of(read_rows(asked.rows)), REASONS, DRAWS))
        return
    compile_packages()
    chosen = asked.only or (QUICK if asked.quick else names(asked.posteriors))
    for seed in range(asked.repeats):
        for name in chosen:
            done = {(r["posterior"], r["method"], r["seed"]) for r in read_rows(asked.rows)}
            for method in asked.methods:
                missing = method == "stanli" and not Posterior(asked.posteriors, name).has_stan
                if (name, method, seed) not in done and not missing:
                    measure(asked, name, method, seed)


if __name__ == "__main__":
    main()
