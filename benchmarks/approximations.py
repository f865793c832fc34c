"""Fit approximations to posteriors with reference draws: their errors, and what the library says.

    python -m benchmarks.approximations TREE --out rows.jsonl [--methods mean_field full_rank]
        [--seeds 0 1 2] [--first 0] [--last 10] [--posteriors NAME ...]
    python -m benchmarks.approximations TREE --out rows.jsonl --table

TREE holds index.json, models, data and reference values, as described in its `check.py`, which lies
beside it. Rows are appended to the file as they are made, so a pass may be made in slices. An
approximation is good if every mean is within 0.1 and every log standard deviation within 0.1 of the
reference, in units of its standard deviation; bad if a mean is off by more than 0.5 or a standard
deviation by more than 30 %; usable in between.
"""

import argparse
import importlib.util
import json
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

import infer

from .posteriordb import model_of

DRAWS = 4000
GOOD_MEAN, GOOD_LOG_SD, BAD_MEAN, BAD_LOG_SD = 0.1, 0.1, 0.5, float(np.log(1.3))

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
    draws = fit.sample(DRAWS, key=seed)["posterior"]
    values = {name: np.asarray(draws[name])[:, :].reshape(1, DRAWS, *shape)
              for name, (_, _, shape) in supports.items()}  # fmt: skip
    values = checker.add_generated(module, values, data)
    shift, growth = compare(values, reference)
    return {
        "posterior": entry["name"],
        "method": method,
        "seed": seed,
        "size": fit.density.size,
        "mean_error": shift,
        "log_sd_error": growth,
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


def grade(row: dict) -> str:
    """Return "good", "usable" or "bad"."""
    if row["mean_error"] <= GOOD_MEAN and row["log_sd_error"] <= GOOD_LOG_SD:
        return "good"
    bad = row["mean_error"] > BAD_MEAN or row["log_sd_error"] > BAD_LOG_SD
    return "bad" if bad else "usable"


def print_table(rows: list[dict]) -> None:
    """Print a row for each fit, then the numbers of silent failures and false alarms."""
    print(
        "| posterior | method | seed | mean | log sd | k-hat | ESS | shift | growth | s | grade |"
    )
    print("| --- | --- " + "| ---: " * 8 + "| --- |")
    for row in rows:
        numbers = [row[k] for k in ("mean_error", "log_sd_error", "khat", "ess", "shift", "growth")]
        shown = " | ".join("" if x is None else f"{x:.2f}" for x in [*numbers, row["seconds"]])
        said = "" if row["warned"] else ", silent"
        print(f"| {row['posterior']} | {row['method']} | {row['seed']} | {shown} | "
              f"{grade(row)}{said} |")  # fmt: skip
    for method in sorted({row["method"] for row in rows}):
        own = [row for row in rows if row["method"] == method]
        by = {g: [r for r in own if grade(r) == g] for g in ("good", "usable", "bad")}
        silent = sum(not row["warned"] for row in by["bad"])
        alarms = sum(bool(row["warned"]) for row in by["good"])
        counts = ", ".join(f"{len(found)} {name}" for name, found in by.items())
        print(f"\n{method}: {counts}; {silent} of the bad ones silent, "
              f"{alarms} of the good ones warned of")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("tree", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=sorted(METHODS), choices=sorted(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--last", type=int)
    parser.add_argument("--posteriors", nargs="+")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.table:
        print_table([json.loads(line) for line in asked.out.read_text().splitlines()])
        return
    jax.config.update("jax_enable_x64", True)
    checker = load_checker(asked.tree)
    entries = checker.load_index(str(asked.tree))["posteriors"][asked.first : asked.last]
    for entry in entries:
        if asked.posteriors and entry["name"] not in asked.posteriors:
            continue
        for method in asked.methods:
            for seed in asked.seeds:
                row = measure(checker, asked.tree, entry, method, seed)
                with asked.out.open("a") as file:
                    print(json.dumps(row), file=file)


if __name__ == "__main__":
    main()
