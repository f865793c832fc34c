"""Compare our approximations with their peers on six posteriors, each in its own process, in turn.

    python -m benchmarks.vi --out rows.jsonl --references FOLDER [--peers-python PATH]
        [--repeats 3] [--only CASE ...] [--methods METHOD ...] [--limit 60]
    python -m benchmarks.vi --out rows.jsonl --table

Prints the seconds from a written model to draws whose errors are no larger than those of
`infer.fit(model)`, packages already imported. An error is that of a mean, in standard deviations,
or of the logarithm of a standard deviation, the largest over all numbers of a posterior; the
reference is a long run of NUTS, kept in FOLDER. Peers that do not reach the errors are shown with
their smallest errors and the time of their longest run. After `--limit` seconds a method gets no
further doubling of its steps, and after four times as many and a minute its process is stopped.
PATH is a Python with pymc and pymc-extras, if they are installed apart; without it, PyMC's methods
are left out. The same command goes on after the last row of the file.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .fitters.methods import METHODS, OURS
from .peers.suite import SUITE

# Compiling is part of what is measured; imports are not.
os.environ.update(PUSHFORWARD_CACHE="0", EAGER_IMPORT="1")

CASES = ("eight schools", "radon", "logistic", "correlated normal", "item response",
         "Gaussian process")  # fmt: skip
# What 8000 draws leave unknown about the largest error.
SLACK = 0.05


def make_reference(case: str, path: str) -> None:
    """Save mean and standard deviation of each number, from a long run of NUTS."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import infer

    model = infer.from_numpyro(SUITE[case].numpyro, **SUITE[case].data())
    draws = infer.sample(model, infer.NUTS(), draws=10_000, key=1000, progress=False)
    values = {name: np.asarray(draws["posterior"][name]) for name in SUITE[case].sites}
    moments = {f"{name} mean": x.mean((0, 1)) for name, x in values.items()}
    np.savez(path, **moments, **{f"{name} sd": x.std((0, 1)) for name, x in values.items()})


def measure_errors(values: Any, reference: Any) -> tuple[float, float]:
    """Return the largest error of a mean, in sds, and of a log sd."""
    shifts, growths = [0.0], [0.0]
    for name, x in values.items():
        mean, sd = reference[f"{name} mean"], reference[f"{name} sd"]
        with np.errstate(divide="ignore"):
            shifts.append(np.abs((x.mean(0) - mean) / sd).max())
            growths.append(np.abs(np.log(x.std(0) / sd)).max())
    found = float(max(shifts)), float(max(growths))
    return found if np.isfinite(found).all() else (np.inf, np.inf)


def run_one(
    case: str, method: str, seed: int, reference: str, aims: list[float], limit: float
) -> dict:
    """Run one method until it reaches the aims, or its steps or its time are spent."""
    if not method.startswith("PyMC"):
        import jax

        jax.config.update("jax_enable_x64", True)
    known = np.load(reference)
    began, best = time.perf_counter(), (np.inf, np.inf)
    row: dict[str, Any] = {"case": case, "method": method, "seed": seed, "reached": False}
    for fitted in METHODS[method](SUITE[case], seed):
        errors = measure_errors(fitted.values, known)
        best = min(best, errors, key=max)
        row |= {"seconds": fitted.seconds, "steps": fitted.steps}
        if errors[0] <= aims[0] and errors[1] <= aims[1]:
            row["reached"], best = True, errors
            break
        if time.perf_counter() - began > limit:
            break
    return row | {"mean": best[0], "log_sd": best[1]}


def run_in_process(python: str, arguments: list[str], timeout: float | None = None) -> str:
    """Run this file in a fresh process, and return the last line that it prints."""
    command = [python, "-W", "ignore", "-m", "benchmarks.vi", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"stopped after {error.timeout:.0f} s") from error
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def run_case(case: str, asked: argparse.Namespace) -> None:
    """Run all methods on a case in turn; ours come first in each turn, and set the aims."""
    reference = asked.references / f"{case.replace(' ', '_')}.npz"
    if not reference.exists():
        asked.references.mkdir(parents=True, exist_ok=True)
        run_in_process(sys.executable, ["--reference", case, str(reference)])
    lines = asked.out.read_text().splitlines() if asked.out.exists() else []
    rows = {(r["method"], r["seed"]): r for r in map(json.loads, lines) if r["case"] == case}
    for seed in range(asked.repeats):
        for method in METHODS:
            is_asked = method == OURS[0] or not asked.methods or method in asked.methods
            has_python = asked.peers_python or not method.startswith("PyMC")
            if not is_asked or not has_python or (method, seed) in rows:
                continue
            row = run_method(case, method, seed, str(reference), rows.get((OURS[0], seed)), asked)
            rows[method, seed] = row
            with asked.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)


def run_method(
    case: str, method: str, seed: int, reference: str, ours: dict | None, asked: argparse.Namespace
) -> dict:
    """Run one method in a process of its own; the aims are the errors of our default."""
    known = ours if ours is not None and "failed" not in ours else None
    aims = [known["mean"] + SLACK, known["log_sd"] + SLACK] if known else [0.0, 0.0]
    python = asked.peers_python if method.startswith("PyMC") else sys.executable
    given = [case, method, str(seed), reference, json.dumps(aims), str(asked.limit)]
    try:
        return json.loads(run_in_process(python, ["--one", *given], 4 * asked.limit + 60))
    except RuntimeError as problem:
        return {"case": case, "method": method, "seed": seed, "failed": str(problem)}


def print_table(rows: list[dict]) -> None:
    """Print medians over the repeats, then for each method the mean ratio to ours."""
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    cases = [name for name in CASES if any(row["case"] == name for row in rows)]
    print("| method | " + " | ".join(cases) + " | ratio |")
    print("| --- |" + " ---: |" * (len(cases) + 1))
    for method in methods:
        cells, logs = [], []
        for case in cases:
            own = [r for r in rows if r["case"] == case and r["method"] == method]
            ours = [r for r in rows if r["case"] == case and r["method"] == OURS[0]]
            cells.append(describe([r for r in own if "failed" not in r]))
            pairs = [
                float(np.log(r["seconds"] / o["seconds"]))
                for r in own for o in ours
                if r["seed"] == o["seed"] and "failed" not in r | o
            ]  # fmt: skip
            logs += [statistics.median(pairs)] if pairs else []
        ratio = f"{np.exp(np.mean(logs)):.1f}" if logs else ""
        print(f"| {method} | " + " | ".join(cells) + f" | {ratio} |")


def describe(rows: list[dict]) -> str:
    """Describe the runs of one method on one case."""
    if not rows:
        return "failed"
    seconds, mean, log_sd = (
        statistics.median(r[key] for r in rows) for key in ("seconds", "mean", "log_sd")
    )
    reached = all(r["reached"] for r in rows) or rows[0]["method"] in OURS
    return f"{'' if reached else '> '}{seconds:.1f} s ({mean:.2f}, {log_sd:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=CASES)
    parser.add_argument("--methods", nargs="*", choices=tuple(METHODS))
    parser.add_argument("--references", type=Path)
    parser.add_argument("--limit", type=float, default=60.0)
    parser.add_argument("--peers-python", default="")
    parser.add_argument("--reference", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.reference:
        make_reference(*asked.reference)
    elif asked.one:
        case, method, seed, reference, aims, limit = asked.one
        given = int(seed), reference, json.loads(aims), float(limit)
        print(json.dumps(run_one(case, method, *given)))
    elif asked.table:
        print_table([json.loads(line) for line in asked.out.read_text().splitlines()])
    else:
        for case in asked.only:
            run_case(case, asked)


if __name__ == "__main__":
    main()
