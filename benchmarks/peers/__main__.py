"""Ours and the peers on nine models, each run in a process of its own, in turn.

    python -m benchmarks.peers [--repeats 5] [--models radon ...] [--samplers ours nutpie ...]

Writes benchmarks/results/peers.json as it goes, then peers.md and peers.png beside it. All run
four chains in float64 on the machine's cores with their own defaults (ours in float32 as one more
row). Columns:

- cold: seconds from a written model to a smallest bulk ESS of 1000, packages imported: compiling,
  warm-up, and sampling stretched or shortened to that ESS
- compile: the first run less the second
- warm: a run of the compiled program, warm-up included, less any second in which JAX traced or
  compiled again; of short runs the median
- ESS / s: smallest bulk ESS per second of such a run
- ESS / grad: smallest bulk ESS per 1000 leapfrogs, warm-up included
- share: seconds of a jitted gradient in a tight loop times leapfrogs, of the sampling time on
  these cores; nan where a run took no longer than its warm-up
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np

from .samplers import PACKAGES, SAMPLERS, gradient_seconds, measure
from .suite import SUITE

RESULTS = Path(__file__).parents[1] / "results"
DRAWS = 1000
CORES = 2
JAX_PEERS = ("NumPyro vectorised", "NumPyro parallel", "BlackJAX")

Found = dict[str, dict[str, list[dict[str, float]]]]


def run_apart(sampler: str, name: str, seed: int) -> dict[str, float]:
    """Measure in a fresh process; a sampler that fails reports nothing."""
    devices = CORES if sampler == "NumPyro parallel" else 1
    flags = f"--xla_force_host_platform_device_count={devices}"
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.peers"]
    command += ["--one", sampler, name, str(seed)]
    with tempfile.TemporaryDirectory() as empty:
        # What an earlier process compiled must not be found on the disk.
        caches = {"NUMBA_CACHE_DIR": empty, "PYTENSOR_FLAGS": f"base_compiledir={empty}"}
        apart = os.environ | {"XLA_FLAGS": flags} | caches
        done = subprocess.run(command, capture_output=True, text=True, env=apart)
    if done.returncode:
        print(f"{sampler} on {name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return {}
    return json.loads(done.stdout.strip().splitlines()[-1])


def one(sampler: str, name: str, seed: int) -> dict[str, float]:
    if sampler == "gradient":
        import jax

        jax.config.update("jax_enable_x64", True)
        return {"seconds": gradient_seconds(name)}
    return measure(sampler, name, seed, DRAWS)


def gather(models: list[str], samplers: list[str], repeats: int, kept: Path) -> Found:
    """Run every sampler on every model, in turn, as often as asked; keep all in a file."""
    found: Found = json.loads(kept.read_text()) if kept.exists() else {}
    for seed in range(repeats):
        for name in models:
            own = found.setdefault(name, {})
            # Another one begins every round.
            turn = seed % len(samplers)
            for sampler in ["gradient", *samplers[turn:], *samplers[:turn]]:
                if len(own.setdefault(sampler, [])) <= seed:
                    own[sampler].append(run_apart(sampler, name, seed))
                    kept.write_text(json.dumps(found, indent=1))
                    print(seed, name, sampler, own[sampler][-1], flush=True)
    return found


def median(runs: list[dict[str, float]], column: str) -> float:
    values = [run[column] for run in runs if column in run]
    return statistics.median(values) if values else float("nan")


def share(gradients: float, sampling: float) -> float:
    """Share of the sampling time that its gradients need, where sampling could be told apart."""
    return gradients / CORES / sampling if sampling > 0 else float("nan")


def columns(runs: list[dict[str, float]], gradient: float) -> dict[str, float]:
    """Derive a table's row from the runs of one sampler on one model."""
    rows = [
        run
        | {
            "compile": run["cold"] - run["warm"],
            "ESS / s": run["ess"] / run["warm"],
            "ESS / grad": 1000 * run["ess"] / (run["sampled"] + run["warmed"]),
            "share": share(gradient * run["sampled"], run["warm"] - run["warmup"]),
        }
        for run in runs
        if run
    ]
    names = (
        "cold to 1000", "compile", "warm", "warmup", "ess", "rhat", "warmed", "sampled",
        "divergences", "ESS / s", "ESS / grad", "share",
    )  # fmt: skip
    return {name: median(rows, name) for name in names}


def table(found: Found) -> str:
    lines = [
        "| model | sampler | cold s | compile s | warm s | min ESS | R-hat | leapfrogs k | "
        "divergences | ESS / s | ESS / 1000 grad | share |",
        "| --- | --- |" + " --: |" * 10,
    ]
    for name, samplers in found.items():
        gradient = median(samplers["gradient"], "seconds")
        for sampler, runs in samplers.items():
            if sampler == "gradient":
                continue
            row = columns(runs, gradient)
            leapfrogs = f"{row['warmed'] / 1000:.0f} + {row['sampled'] / 1000:.0f}"
            lines.append(
                f"| {name} | {sampler} | {row['cold to 1000']:.1f} | {row['compile']:.1f} | "
                f"{row['warm']:.2f} | {row['ess']:.0f} | {row['rhat']:.3f} | {leapfrogs} | "
                f"{row['divergences']:.0f} | {row['ESS / s']:.0f} | {row['ESS / grad']:.1f} | "
                f"{row['share']:.2f} |"
            )
        lines.append(f"| {name} | a gradient: {1e6 * gradient:.1f} µs |" + " |" * 10)
    return "\n".join(lines)


def ratios(found: Found) -> str:
    """Compare ours with the best of each kind of peer, model by model and in the mean."""
    asked = {
        "cold, fastest peer / ours (2, 3)": ("cold to 1000", min, (*JAX_PEERS, "nutpie"), -1),
        "ESS / s, ours / NumPyro and BlackJAX (3, 6)": ("ESS / s", max, JAX_PEERS, 1),
        "ESS / s, ours / nutpie (1.3, 2)": ("ESS / s", max, ("nutpie",), 1),
        "compile, NumPyro vectorised / ours (3)": ("compile", min, JAX_PEERS[:1], -1),
        "compile, BlackJAX / ours (2)": ("compile", min, JAX_PEERS[2:], -1),
        "ESS / gradient, ours / NumPyro (mean 2)": ("ESS / grad", max, JAX_PEERS[:2], 1),
    }
    lines = ["| ratio (target on every model, in the mean) | " + " | ".join(found) + " | mean |"]
    lines.append("| --- |" + " --: |" * (len(found) + 1))
    for what, (column, best, peers, power) in asked.items():
        each = []
        for samplers in found.values():
            gradient = median(samplers["gradient"], "seconds")
            rows = {
                s: columns(runs, gradient)[column]
                for s, runs in samplers.items()
                if s != "gradient"
            }
            theirs = [rows[p] for p in peers if p in rows and np.isfinite(rows[p])]
            each.append((rows["ours"] / best(theirs)) ** power if theirs else float("nan"))
        mean = float(np.exp(np.nanmean(np.log(each))))
        lines.append(f"| {what} | " + " | ".join(f"{r:.1f}" for r in each) + f" | {mean:.1f} |")
    return "\n".join(lines)


def plot(found: Found, file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(12, 5), sharey=True)
    names = list(found)
    for panel, column, title in zip(
        panels,
        ("cold to 1000", "ESS / s"),
        (
            "seconds from a cold start to an ESS of 1000",
            "ESS per second, compiled, warm-up included",
        ),
        strict=True,
    ):
        for i, sampler in enumerate(SAMPLERS):
            values = [
                columns(found[n].get(sampler, []), median(found[n]["gradient"], "seconds"))[column]
                for n in names
            ]
            panel.plot(values, np.arange(len(names)) + 0.06 * i, "o", label=sampler, ms=5)
        panel.set_xscale("log")
        panel.set_xlabel(title)
        panel.grid(alpha=0.3)
    panels[0].set_yticks(np.arange(len(names)) + 0.15, names)
    panels[1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def report(found: Found) -> str:
    import jax

    machine = f"{CORES} cores, {platform.machine()}, Python {platform.python_version()}"
    repeats = max(len(runs) for samplers in found.values() for runs in samplers.values())
    head = f"# Ours and the peers\n\n{date.today()}, {machine}, jax {jax.__version__}; "
    head += f"medians over {repeats} of each. `python -m benchmarks.peers` prints this page.\n"
    text = (__doc__ or "").split("Columns:")[1].strip()
    return f"{head}\n{text}\n\n{ratios(found)}\n\n{table(found)}\n\n![plot](peers.png)\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--models", nargs="*", default=list(SUITE))
    parser.add_argument("--samplers", nargs="*", default=available())
    parser.add_argument("--kept", type=Path, default=RESULTS / "peers.json")
    parser.add_argument("--one", nargs=3, metavar=("SAMPLER", "MODEL", "SEED"))
    asked = parser.parse_args()
    if asked.one:
        sampler, name, seed = asked.one
        print(json.dumps(one(sampler, name, int(seed))))
        return
    found = gather(asked.models, asked.samplers, asked.repeats, asked.kept)
    page = report(found)
    asked.kept.with_suffix(".md").write_text(page)
    plot(found, asked.kept.with_suffix(".png"))
    print(page)


def available() -> list[str]:
    """List the samplers whose packages are installed."""
    from importlib.util import find_spec

    return [s for s in SAMPLERS if find_spec(PACKAGES.get(s, "numpyro")) is not None]


if __name__ == "__main__":
    main()
