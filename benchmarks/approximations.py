"""Fit approximations to posteriors with reference draws: their errors, and what the library says.

    python -m benchmarks.approximations TREE --out rows.jsonl [--methods mean_field full_rank]
        [--seeds 0 1 2] [--first 0] [--last 10] [--posteriors NAME ...] [--seconds 500]
    python -m benchmarks.approximations TREE --out rows.jsonl --table

TREE holds index.json, models, data and reference values, as described in its `check.py`, which lies
beside it. Rows are appended to the file as they are made, and the same command goes on after the
last one: what the file has is not fitted again, and after `--seconds` no further fit begins. An
approximation is good if every mean is within 0.1 and every log standard deviation within 0.1 of the
reference, in units of its standard deviation; bad if a mean is off by more than 0.5 or a standard
deviation by more than 30 %; usable in between. "PSIS" grades draws that are resampled by importance
weights. Gradients of a fit, without its audit, are compared with those of `infer.sample(model)`
with NUTS: four chains of 1000 draws, and their warm-up. The latter are counted once, with one seed,
and kept in benchmarks/results/nuts_gradients.json.
"""

import argparse
import importlib.util
import json
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

import infer

from .posteriordb import model_of

# Compiling is part of what is measured.
os.environ["PUSHFORWARD_CACHE"] = "0"

DRAWS = 4000
GOOD_MEAN, GOOD_LOG_SD, BAD_MEAN, BAD_LOG_SD = 0.1, 0.1, 0.5, float(np.log(1.3))

NUTS_GRADIENTS = Path(__file__).with_name("results") / "nuts_gradients.json"
# A fit may take this share of the gradients of NUTS.
AIM = 0.2

METHODS = {
    "default": lambda: None,
    "laplace": infer.Laplace,
    "mean_field": lambda: infer.ADVI("mean_field"),
    "full_rank": lambda: infer.ADVI("full_rank"),
}


def load_checker(tree: Path) -> Any:
    """Import the checker beside the tree."""
    spec = importlib.util.spec_from_file_location("check", tree.parent / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compare(values: dict[str, np.ndarray], reference: dict[str, Any]) -> tuple[float, float]:
    """Return the largest error of a mean, in sds, and of a log sd; values have leading draws."""
    shifts, growths = [0.0], [0.0]
    for name, own in reference["variables"].items():
        mean, sd = (np.asarray(own[key], float).reshape(-1) for key in ("mean", "sd"))
        flat = np.asarray(values[name], float).reshape(DRAWS, -1)
        used = sd > 1e-12
        if not np.isfinite(flat).all():
            return np.inf, np.inf
        shifts += (np.abs(flat.mean(0) - mean) / np.where(used, sd, 1.0))[used].tolist()
        growths += np.abs(np.log(flat.std(0)[used] / sd[used])).tolist()
    return max(shifts), max(growths)


def measure(checker: Any, tree: Path, entry: dict[str, Any], method: str, seed: int) -> dict:
    """Fit one posterior by one method."""
    module, data, supports, reference = checker.load_posterior(str(tree), entry)
    model = model_of(module.log_prob, supports, data)
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit: Any = infer.fit(model, METHODS[method](), key=seed, progress=False)
    seconds = time.perf_counter() - began

    def judge(fit: Any, resample: str | None) -> tuple[float, float]:
        """Return the errors of draws."""
        if not fit.is_finite:
            return np.inf, np.inf
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            draws = fit.sample(DRAWS, key=seed, resample=resample)["posterior"]
        values = {name: np.asarray(draws[name]).reshape(1, DRAWS, *shape)
                  for name, (_, _, shape) in supports.items()}  # fmt: skip
        return compare(checker.add_generated(module, values, data), reference)

    shift, growth = judge(fit, None)
    psis_shift, psis_growth = judge(fit, "psis")
    return {
        "posterior": entry["name"],
        "method": method,
        "seed": seed,
        "size": fit.density.size,
        "mean_error": shift,
        "log_sd_error": growth,
        "psis_mean_error": psis_shift,
        "psis_log_sd_error": psis_growth,
        "khat": fit.khat,
        "ess": fit.ratios.ess,
        "shift": float(np.abs(fit.departures.shift).max()) if fit.departures else None,
        "growth": float(np.abs(fit.departures.growth).max()) if fit.departures else None,
        "converged": fit.converged,
        "seconds": seconds,
        "gradients": fit.n_gradients,
        "found": sorted({getattr(one, "kind", "?") for one in fit.findings}),
        "warned": len(caught),
    }


def count_nuts_gradients(checker: Any, tree: Path, entry: dict[str, Any]) -> int:
    """Count the gradients of NUTS on a posterior, or look them up."""
    known = json.loads(NUTS_GRADIENTS.read_text()) if NUTS_GRADIENTS.exists() else {}
    if entry["name"] not in known:
        module, data, supports, _ = checker.load_posterior(str(tree), entry)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = infer.sample(
                model_of(module.log_prob, supports, data), infer.NUTS(), key=0, progress=False
            )
        steps = int(made["sample_stats"]["n_steps"].sum())
        known[entry["name"]] = steps + int(made.attrs["warmup_gradients"])
        NUTS_GRADIENTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    return known[entry["name"]]


def grade(row: dict, draws: str = "") -> str:
    """Return "good", "usable" or "bad"; `draws` is "psis_" for resampled ones."""
    mean, log_sd = row[f"{draws}mean_error"], row[f"{draws}log_sd_error"]
    if mean <= GOOD_MEAN and log_sd <= GOOD_LOG_SD:
        return "good"
    return "bad" if mean > BAD_MEAN or log_sd > BAD_LOG_SD else "usable"


def _format(number: float) -> str:
    return f"{number:.2f}" if abs(number) < 1e4 else f"{number:.0e}"


def print_table(rows: list[dict]) -> None:
    """Print a row for each fit, then the totals of each method."""
    print("| posterior | method | seed | mean | log sd | PSIS mean | PSIS log sd | k-hat | ESS "
          "| shift | growth | s | gradients | NUTS | grade | PSIS |")  # fmt: skip
    print("| --- | --- " + "| ---: " * 12 + "| --- | --- |")
    keys = ("mean_error", "log_sd_error", "psis_mean_error", "psis_log_sd_error", "khat", "ess",
            "shift", "growth", "seconds")  # fmt: skip
    for row in rows:
        shown = " | ".join("" if row[k] is None else _format(row[k]) for k in keys)
        said = "" if row["warned"] else ", silent"
        print(f"| {row['posterior']} | {row['method']} | {row['seed']} | {shown} "
              f"| {row['gradients']} | {row['nuts_gradients']} | {grade(row)}{said} "
              f"| {grade(row, 'psis_')} |")  # fmt: skip
    for method in sorted({row["method"] for row in rows}):
        print_totals(method, [row for row in rows if row["method"] == method])


def print_totals(method: str, rows: list[dict]) -> None:
    """Print how many fits of a method are good, what it said of the others, and what it took."""
    by = {g: [r for r in rows if grade(r) == g] for g in ("good", "usable", "bad")}
    psis = sum(grade(row, "psis_") == "good" for row in rows)
    silent = sum(not row["warned"] for row in by["bad"])
    alarms = sum(bool(row["warned"]) for row in by["good"])
    ratios = [row["gradients"] / row["nuts_gradients"] for row in rows]
    cheap = sum(ratio <= AIM for ratio in ratios)
    counts = ", ".join(f"{len(found)} {name}" for name, found in by.items())
    print(f"\n{method}, {len(rows)} fits: {counts}; good {len(by['good']) / len(rows):.0%}, "
          f"with PSIS draws {psis / len(rows):.0%}; {silent} of the bad ones silent, "
          f"{alarms} of the {len(by['good'])} good ones warned of; gradients relative to NUTS: "
          f"median {statistics.median(ratios):.2f}, at most {AIM} in {cheap / len(rows):.0%}"
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("tree", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=sorted(METHODS), choices=sorted(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--last", type=int)
    parser.add_argument("--posteriors", nargs="+")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    lines = asked.out.read_text().splitlines() if asked.out.exists() else []
    rows = [json.loads(line) for line in lines]
    if asked.table:
        print_table(rows)
        return
    jax.config.update("jax_enable_x64", True)
    checker = load_checker(asked.tree)
    entries = checker.load_index(str(asked.tree))["posteriors"][asked.first : asked.last]
    done = {(row["posterior"], row["method"], row["seed"]) for row in rows}
    began = time.perf_counter()
    jobs = [(entry, method, seed) for seed in asked.seeds for entry in entries
            for method in asked.methods]  # fmt: skip
    for entry, method, seed in jobs:
        is_asked = not asked.posteriors or entry["name"] in asked.posteriors
        if not is_asked or (entry["name"], method, seed) in done:
            continue
        if time.perf_counter() - began > asked.seconds:
            print("time is up; the same command goes on")
            return
        row = measure(checker, asked.tree, entry, method, seed)
        row["nuts_gradients"] = count_nuts_gradients(checker, asked.tree, entry)
        with asked.out.open("a") as file:
            print(json.dumps(row), file=file)
    print("all fits are made")


if __name__ == "__main__":
    main()
