"""Sample posteriors with reference values at plain defaults, and compare with the reference.

    python -m benchmarks.defaults TREE [--seeds 0 1 2 3 4] [--posteriors NAME ...] [--seconds 500]

Writes results/defaults.md. TREE holds index.json, models, data and reference values, as described
in its `check.py`, which lies beside it and compares: means, standard deviations, quantiles, R-hat
(below 1.05) and ESS (at least 100), with a false-alarm rate of 1e-4 for a posterior. The runs are
those of `infer.sample(infer.declared(...), key=seed)`: NUTS, four chains of 1000 draws, in double
precision. A run that fails is silent if its verdict has no finding. `infer.declared` gives the
density alone: it names no priors, so nothing can be centered or whitened during warm-up.

Each run that ends is kept in results/defaults.jsonl, so a call that stops after `--seconds` is
continued by the next one; delete that file to begin again.
"""

import argparse
import json
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import infer

from . import page
from .approximations import load_checker
from .posteriordb import model_of

KEPT = Path(__file__).parent / "results" / "defaults.jsonl"
# The share of runs that should pass.
AIM = 0.95


def run_one(checker: Any, parts: tuple, model: infer.Model, seed: int) -> dict[str, Any]:
    """Sample a posterior once; return how it compares, and what the verdict finds."""
    module, data, supports, reference = parts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        idata = infer.sample(model, key=seed, progress=False)
    draws = {name: np.asarray(idata["posterior"][name]) for name in supports}
    found = checker.compare(checker.add_generated(module, draws, data), reference)
    stats, verdict = idata["sample_stats"], infer.verdict(idata)
    return {
        "passed": found["ok"],
        "bad": [f"{where}: {why}" for where, why in found["bad"]],
        "findings": [finding.kind for finding in verdict.findings],
        "divergent": int(stats["diverging"].sum()),
        "gradients": int(stats["n_steps"].sum()),
        "ess": float(found["worst"]["ess"]),
    }


def run_all(tree: Path, seeds: list[int], wanted: list[str], seconds: float) -> None:
    """Run what has not been run; append each run to the kept ones."""
    checker, began = load_checker(tree), time.monotonic()
    done = {(row["name"], row["seed"]) for row in read()}
    for entry in checker.load_index(str(tree))["posteriors"]:
        left = [seed for seed in seeds if (entry["name"], seed) not in done]
        if not left or (wanted and entry["name"] not in wanted):
            continue
        parts = checker.load_posterior(str(tree), entry)
        model = model_of(parts[0].log_prob, parts[2], parts[1])
        for seed in left:
            if time.monotonic() - began > seconds:
                return
            row = {"name": entry["name"], "seed": seed} | run_one(checker, parts, model, seed)
            print(entry["name"], seed, "passed" if row["passed"] else row["bad"][:2], flush=True)
            with KEPT.open("a") as file:
                file.write(json.dumps(row) + "\n")


def read() -> list[dict[str, Any]]:
    """Return the runs that are kept."""
    return [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []


def counts(words: list[str]) -> str:
    """Return words with the number of times that each occurs, or "none"."""
    return ", ".join(f"{word} {n}" for word, n in Counter(words).most_common()) or "none"


def report(rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines of the page."""
    failed = [row for row in rows if not row["passed"]]
    silent = [row for row in failed if not row["findings"]]
    alarmed = [row for row in rows if row["passed"] and row["findings"]]
    names = sorted({row["name"] for row in rows})
    share = 1 - len(failed) / len(rows)
    lines = [
        f"{len(rows)} runs of {len(names)} posteriors: **{share:.1%} pass** (aim {AIM:.0%}). "
        f"Failed: {len(failed)}, of which silent: **{len(silent)}**. "
        f"Passed with a finding: {len(alarmed)}.\n",
        "## Posteriors with a run that fails or has a finding\n",
        "| posterior | pass | first reason of each failure | findings of failures "
        "| findings of runs that pass |",
        "| --- | --: | --- | --- | --- |",
    ]
    for name in names:
        own = [row for row in rows if row["name"] == name]
        bad = [row for row in own if not row["passed"]]
        if not bad and not any(row["findings"] for row in own):
            continue
        reasons = "; ".join(row["bad"][0] for row in bad) or "none"
        of_bad = counts([kind for row in bad for kind in row["findings"]])
        of_good = counts([kind for row in own if row["passed"] for kind in row["findings"]])
        passed = f"{len(own) - len(bad)} of {len(own)}"
        lines.append(f"| {name} | {passed} | {reasons} | {of_bad} | {of_good} |")
    return lines


def main() -> None:
    """Run the posteriors, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    parser.add_argument("--posteriors", nargs="*", default=[])
    parser.add_argument("--seconds", type=float, default=500.0)
    options = parser.parse_args()
    run_all(options.tree, options.seeds, options.posteriors, options.seconds)
    title = "Posteriors with references, at plain defaults"
    page.write(KEPT.with_name("defaults.md"), title, __doc__, report(read()))


if __name__ == "__main__":
    main()
