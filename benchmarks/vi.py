"""Compare our approximations with their peers on six posteriors, each in its own process, in turn.

    python -m benchmarks.vi --out rows.jsonl --references FOLDER [--peers-python PATH]
        [--repeats 3] [--only CASE ...] [--methods METHOD ...] [--limit 60]
    python -m benchmarks.vi --out rows.jsonl --page

PATH is a Python with pymc and pymc-extras, if they are installed apart; without it, PyMC's methods
are left out. For PyMC, set `PYTENSOR_FLAGS=base_compiledir=FOLDER` to an empty folder and run its
methods with `--only funnel` first. The same command goes on after the last row of the file. FOLDER
of `--references` keeps long runs of NUTS. `--page` writes results/vi_peers.md.

Seconds are those from a written model to 8000 draws, compiling included and imports not: processor
time of all threads, and of compilers that a method calls, which counts alike on a busy machine. Our
cache of programs and JAX's are off; PyTensor's has what other posteriors and earlier methods left
there. In parentheses are the largest error of a mean, in standard deviations, and of the logarithm
of a standard deviation. A method has arrived if both are no larger than those of
`infer.fit(model)`, the first line, by more than 0.05, which is what 8000 draws leave unknown.
Stochastic ascents of peers have no stop rule, so they get 1000, 2000, 4000, ... steps (PyMC's ten
times as many) until they arrive or have spent `--limit` seconds. Then a fresh process takes as many
steps as the last run, since later runs in a process do not compile what the first did: its seconds
are those of the table, and ">" marks those of an ascent that did not arrive, with its smallest
errors. Other methods stop by themselves: "never" marks those that end elsewhere. The ratio is the
geometric mean of a method's seconds to ours, without those that never arrive; with ">" it is a
lower bound. No normal describes the logarithm of the scale of the eight schools: ours warns of it,
and only resampled draws are good.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .fitters.methods import METHODS, OURS, PYMC_STEPS, STEPS, measure_cpu
from .peers.suite import SUITE

# Compiling is part of what is measured; imports are not.
os.environ.update(PUSHFORWARD_CACHE="0", EAGER_IMPORT="1")

CASES = ("eight schools", "radon", "logistic", "correlated normal", "item response",
         "Gaussian process")  # fmt: skip
PAGE = Path(__file__).parent / "results" / "vi_peers.md"
# What 8000 draws leave unknown about the largest error.
SLACK = 0.05


def make_reference(case: str, path: str) -> None:
    """Save mean and standard deviation of each number, from a long run of NUTS."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import infer

    model = infer.from_numpyro(SUITE[case].numpyro, **SUITE[case].data())
    draws = infer.sample(model, infer.NUTS(), draws=4000, key=1000, progress=False)
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
    case: str, method: str, seed: int, reference: str, aims: list[float], limit: float, steps: int
) -> dict:
    """Run one method until it reaches the aims, or its steps or its time are spent.

    `steps`: If positive, the only number of steps.
    """
    if not method.startswith("PyMC"):
        import jax

        jax.config.update("jax_enable_x64", True)
    known = np.load(reference)
    began, best = measure_cpu(), (np.inf, np.inf)
    row: dict[str, Any] = {"case": case, "method": method, "seed": seed, "reached": False}
    only = {"counts": [steps]} if steps else {}
    for fitted in METHODS[method](SUITE[case], seed, **only):
        errors = measure_errors(fitted.values, known)
        best = min(best, errors, key=max)
        row |= {"seconds": fitted.seconds, "steps": fitted.steps}
        if errors[0] <= aims[0] and errors[1] <= aims[1]:
            row["reached"], best = True, errors
            break
        if measure_cpu() - began > limit:
            break
    return row | {"mean": best[0], "log_sd": best[1]}


def run_in_process(python: str, arguments: list[str], timeout: float | None = None) -> str:
    """Run this file in a fresh process, and return the last line that it prints."""
    command = [python, "-W", "ignore", "-m", "benchmarks.vi", *arguments]
    # Threads of BLAS that wait would count as processor time.
    own = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    own.pop("JAX_COMPILATION_CACHE_DIR", None)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=own)
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
    run = lambda steps: json.loads(  # noqa: E731
        run_in_process(python, ["--one", *given, str(steps)], 20 * asked.limit + 60)
    )
    try:
        row = run(0)
        if row["steps"] not in (0, STEPS[0], PYMC_STEPS[0]):
            row |= {"seconds": run(row["steps"])["seconds"]}
        return row | {"limit": asked.limit}
    except RuntimeError as problem:
        return {"case": case, "method": method, "seed": seed, "failed": str(problem)}


def make_table(rows: list[dict]) -> list[str]:
    """Return medians over the repeats, and for each method the mean ratio to ours."""
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    cases = [name for name in CASES if any(row["case"] == name for row in rows)]
    lines = ["| method | " + " | ".join(cases) + " | ratio |"]
    lines.append("| --- |" + " ---: |" * (len(cases) + 1))
    for method in methods:
        cells, logs = [], []
        for case in cases:
            own = [r for r in rows if r["case"] == case and r["method"] == method]
            ours = [r for r in rows if r["case"] == case and r["method"] == OURS[0]]
            found = describe([r for r in own if "failed" not in r])
            cells.append(found if own else "not measured")
            pairs = [
                float(np.log(r["seconds"] / o["seconds"]))
                for r in own for o in ours
                if r["seed"] == o["seed"] and "failed" not in r | o and not is_lost(r)
            ]  # fmt: skip
            logs += [statistics.median(pairs)] if pairs else []
        ratio = f"{np.exp(np.mean(logs)):.1f}" if logs else ""
        lines.append(f"| {method} | " + " | ".join(cells) + f" | {ratio} |")
    return lines


def summarize(rows: list[dict]) -> list[str]:
    """Say which runs of peers arrived, and which of the others took less time than ours."""
    ours = {(r["case"], r["seed"]): r for r in rows if r["method"] == OURS[0]}
    ours = {run: row for run, row in ours.items() if "failed" not in row}
    peers = [
        r for r in rows
        if r["method"] not in OURS and "failed" not in r and (r["case"], r["seed"]) in ours
    ]  # fmt: skip
    ratio = lambda row: row["seconds"] / ours[row["case"], row["seed"]]["seconds"]  # noqa: E731
    mean = lambda rows: f"{statistics.geometric_mean(map(ratio, rows)):.2f}"  # noqa: E731
    name = lambda row: f"{row['method']} on {row['case']} ({ratio(row):.2f})"  # noqa: E731
    arrived = [row for row in peers if row["reached"]]
    ascents = [row for row in peers if not row["reached"] and not is_lost(row)]
    shorter = "; ".join(name(row) for row in ascents if ratio(row) < 1) or "none"
    return [
        f"\nOf {len(peers)} runs of peers, {len(arrived)} arrived: "
        f"{'; '.join(map(name, arrived)) or 'none'}. In parentheses is the ratio of its seconds to "
        f"ours. {len(ascents)} ascents had not arrived when they were stopped; of these, after "
        f"less time than ours: {shorter}. {len(peers) - len(arrived) - len(ascents)} runs ended "
        f"elsewhere by themselves. The geometric mean of the ratios of all that arrived or were "
        f"stopped is {mean(arrived + ascents)}."
    ]


def is_lost(row: dict) -> bool:
    """Return whether a method that stops by itself ended elsewhere."""
    return row["method"] not in OURS and not row["reached"] and not row["steps"]


def describe(rows: list[dict]) -> str:
    """Describe the runs of one method on one case."""
    if not rows:
        return "failed"
    seconds, mean, log_sd = (
        statistics.median(r[key] for r in rows) for key in ("seconds", "mean", "log_sd")
    )
    reached = all(r["reached"] for r in rows) or rows[0]["method"] in OURS
    mark = "" if reached else "never, " if is_lost(rows[0]) else "> "
    return f"{mark}{seconds:.1f} s ({mean:.2f}, {log_sd:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", action="store_true", help="write the page of results")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=CASES)
    parser.add_argument("--methods", nargs="*", choices=tuple(METHODS))
    parser.add_argument("--references", type=Path)
    parser.add_argument("--limit", type=float, default=60.0)
    parser.add_argument("--peers-python", default="")
    parser.add_argument("--reference", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=7, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.reference:
        make_reference(*asked.reference)
    elif asked.one:
        case, method, seed, reference, aims, limit, steps = asked.one
        given = int(seed), reference, json.loads(aims), float(limit), int(steps)
        print(json.dumps(run_one(case, method, *given)))
    elif asked.out is None:
        parser.error("--out is missing")
    elif asked.page:
        # It imports JAX, which the Python of PyMC may not have.
        from . import page

        rows = [json.loads(line) for line in asked.out.read_text().splitlines()]
        repeats = 1 + max(row["seed"] for row in rows)
        missing = [case for case in CASES if all(row["case"] != case for row in rows)]
        limits = sorted({row.get("limit", asked.limit) for row in rows})
        how = f"Ran with `--repeats {repeats} --limit {' and '.join(f'{x:g}' for x in limits)}`. "
        how += "Posteriors not measured: "
        how += f"{', '.join(missing) or 'none'}.\n"
        page.write(
            PAGE,
            "Approximations of peers",
            __doc__,
            [how, *make_table(rows), *summarize(rows)],
            "vi",
        )
    else:
        for case in asked.only:
            run_case(case, asked)


if __name__ == "__main__":
    main()
