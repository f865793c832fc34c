"""Compare our sampler and its peers on nine models, each run in its own process, in turn.

    python -m benchmarks.peers [--repeats 5] [--models radon ...] [--samplers ours nutpie ...]
        [--kept benchmarks/results/peers.json] [--peers-python PATH]

Writes the file of `--kept` as it goes, then .md and .png beside it. All run four chains in float64
on the machine's cores with their own defaults (ours in float32 as one more row). PATH is a Python
with the peers that do not share our environment (PyMC, nutpie, stanli, walnutpie, owalnuts); they
run there as whole processes. Of NumPyro there is no ChEES; BlackJAX's runs with four chains, fewer
than it is made for. Adjusted MCLMC keeps every 10th of its transitions, walnutpie ends once its
chains agree and reports no gradients, and PyMC compiles in each run. Columns:

- cold: seconds from a written model to a smallest bulk ESS of 1000, packages already imported:
  compiling, warm-up, and sampling, rescaled to that ESS
- compile: the first run minus the second
- warm: a run of the compiled program, warm-up included, minus the time in which JAX traced or
  compiled again; for short runs, the median of several
- ESS / s: smallest bulk ESS per second of such a run
- ESS / grad: smallest bulk ESS per 1000 leapfrogs, warm-up included
- leapfrog: sampling time divided by the leapfrog steps of all chains, which share these cores
- share: time of a jitted gradient in a tight loop, divided by that of a leapfrog step on one core;
  nan if a run took no longer than its warm-up
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
from typing import NamedTuple

import numpy as np

from .samplers import PACKAGES, SAMPLERS, gradient_seconds, measure
from .suite import SUITE

# Compiling is part of what is measured; imports are not.
os.environ.update(PUSHFORWARD_CACHE="0", EAGER_IMPORT="1")

RESULTS = Path(__file__).parents[1] / "results"
DRAWS = 1000
CORES = 2
JAX_PEERS = ("NumPyro vectorized", "NumPyro parallel", "BlackJAX")
MORE_PEERS = ("BlackJAX, ChEES", "BlackJAX, adjusted MCLMC")
STAN_PEERS = ("stanli", "walnutpie")
# These may be installed apart.
COMPILED = ("nutpie", "PyMC", "owalnuts", *STAN_PEERS)

Found = dict[str, dict[str, list[dict[str, float]]]]


class Target(NamedTuple):
    """A comparison of ours with the best of some peers, and its target.

    Attributes:
        what: The ratio in words.
        column: The column of the runs that is compared.
        peers: The samplers compared with.
        more: Whether larger is better.
        least: Target for the ratio on each model.
        mean: Target for the geometric mean.
        on: The only model with a target, if there is only one.
    """

    what: str
    column: str
    peers: tuple[str, ...]
    more: bool
    least: float
    mean: float = 0.0
    on: str = ""


TARGETS = (
    Target(
        "cold, fastest of NumPyro, BlackJAX and nutpie / ours", "cold to 1000",
        (*JAX_PEERS, "nutpie"), False, 3, 6.5,
    ),
    Target("cold, stanli / ours", "cold to 1000", ("stanli",), False, 1),
    Target("cold, walnutpie / ours", "cold to 1000", ("walnutpie",), False, 1),
    Target("cold, owalnuts / ours", "cold to 1000", ("owalnuts",), False, 1),
    Target("cold, PyMC / ours", "cold to 1000", ("PyMC",), False, 1),
    Target("ESS / s, ours / stanli and walnutpie", "ESS / s", STAN_PEERS, True, 2),
    Target("ESS / s, ours / owalnuts", "ESS / s", ("owalnuts",), True, 1),
    Target("ESS / s, ours / ChEES and adjusted MCLMC", "ESS / s", MORE_PEERS, True, 1),
    Target("ESS / s, ours / NumPyro and BlackJAX", "ESS / s", JAX_PEERS, True, 3, 6),
    Target("ESS / s, ours / nutpie", "ESS / s", ("nutpie",), True, 1.3, 2),
    Target("compile, NumPyro vectorized / ours", "compile", JAX_PEERS[:1], False, 3),
    Target("compile, BlackJAX / ours", "compile", JAX_PEERS[2:], False, 2),
    Target(
        "ESS / gradient, ours / NumPyro", "ESS / grad", JAX_PEERS[:2], True,
        4, 2, on="correlated normal",
    ),
    Target(
        "time of a leapfrog, NumPyro vectorized / ours", "leapfrog", JAX_PEERS[:1], False,
        4, on="eight schools",
    ),
)  # fmt: skip


def run_in_process(python: str, sampler: str, name: str, seed: int) -> dict[str, float]:
    """Measure in a fresh process; a sampler that fails reports nothing."""
    devices = CORES if sampler == "NumPyro parallel" else 1
    flags = f"--xla_force_host_platform_device_count={devices}"
    command = [python, "-W", "ignore", "-m", "benchmarks.peers"]
    command += ["--one", sampler, name, str(seed)]
    with tempfile.TemporaryDirectory() as empty:
        # So that no process finds on disk what an earlier one compiled.
        caches = {"NUMBA_CACHE_DIR": empty, "PYTENSOR_FLAGS": f"base_compiledir={empty}"}
        apart = os.environ | {"XLA_FLAGS": flags} | caches
        done = subprocess.run(command, capture_output=True, text=True, env=apart)
    if done.returncode:
        print(f"{sampler} on {name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return {}
    return json.loads(done.stdout.strip().splitlines()[-1]) | {"day": date.today().toordinal()}


def one(sampler: str, name: str, seed: int) -> dict[str, float]:
    if sampler == "gradient":
        import jax

        jax.config.update("jax_enable_x64", True)
        return {"seconds": gradient_seconds(name)}
    return measure(sampler, name, seed, DRAWS)


def gather(asked: argparse.Namespace) -> Found:
    """Run every sampler on every model in turn, `repeats` times; save each run in a file."""
    samplers, kept = asked.samplers, asked.kept
    found: Found = json.loads(kept.read_text()) if kept.exists() else {}
    for seed in range(asked.repeats):
        for name in asked.models:
            own = found.setdefault(name, {})
            # Each round begins with another sampler.
            turn = seed % len(samplers)
            for sampler in ["gradient", *samplers[turn:], *samplers[:turn]]:
                if len(own.setdefault(sampler, [])) <= seed:
                    apart = asked.peers_python if sampler in COMPILED else ""
                    run = run_in_process(apart or sys.executable, sampler, name, seed)
                    own[sampler].append(run)
                    kept.write_text(json.dumps(found, indent=1))
                    print(seed, name, sampler, own[sampler][-1], flush=True)
    return found


def median(runs: list[dict[str, float]], column: str) -> float:
    values = [run[column] for run in runs if np.isfinite(run.get(column, np.nan))]
    return statistics.median(values) if values else float("nan")


def leapfrog(run: dict[str, float]) -> float:
    """Compute seconds per leapfrog step, or NaN if their time or their number is unknown."""
    sampling = run["warm"] - run["warmup"]
    return sampling / run["sampled"] if sampling > 0 and run["sampled"] else float("nan")


def columns(runs: list[dict[str, float]], gradient: float) -> dict[str, float]:
    """Derive a table's row from the runs of one sampler on one model."""
    rows = [
        run
        | {
            "compile": run["cold"] - run["warm"],
            "ESS / s": run["ess"] / run["warm"],
            "ESS / grad": 1000 * run["ess"] / ((run["sampled"] + run["warmed"]) or np.nan),
            "leapfrog": leapfrog(run),
            "share": gradient / CORES / leapfrog(run),
        }
        for run in runs
        if run
    ]
    names = (
        "cold to 1000", "compile", "warm", "warmup", "ess", "rhat", "warmed", "sampled",
        "divergences", "ESS / s", "ESS / grad", "leapfrog", "share",
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
        cost = f"a gradient: {1e6 * gradient:.1f} µs; run on {days({name: samplers})}"
        lines.append(f"| {name} | {cost} |" + " |" * 10)
    return "\n".join(lines)


def days(found: Found) -> str:
    """Return the day, or the first and the last day, on which the runs were made."""
    every = [r["day"] for each in found.values() for runs in each.values() for r in runs if r]
    extremes = dict.fromkeys(int(day) for day in (min(every), max(every)))
    return " to ".join(str(date.fromordinal(day)) for day in extremes)


def ratios(found: Found) -> str:
    """Compare ours with the best of each kind of peer, for each model and in the mean."""
    lines = ["| ratio (target on every model, in the mean) | "]
    lines[0] += " | ".join(found) + " | mean |"
    lines.append("| --- |" + " --: |" * (len(found) + 1))
    for target in TARGETS:
        each = [_ratio(target, samplers) for samplers in found.values()]
        if np.isnan(each).all():
            continue
        mean = float(np.exp(np.nanmean(np.log(each))))
        least = [target.least if target.on in ("", name) else 0.0 for name in found]
        cells = [_marked(r, aim) for r, aim in zip(each, least, strict=True)]
        aims = f"{target.least:g} on {target.on}" if target.on else f"{target.least:g}"
        aims += f", {target.mean:g}" if target.mean else ""
        lines.append(
            f"| {target.what} ({aims}) | {' | '.join(cells)} | {_marked(mean, target.mean)} |"
        )
    return "\n".join([*lines, "", "\\* misses its target"])


def _ratio(target: Target, samplers: dict[str, list[dict[str, float]]]) -> float:
    gradient = median(samplers["gradient"], "seconds")
    column = lambda s: columns(samplers.get(s, []), gradient)[target.column]  # noqa: E731
    theirs = [c for c in map(column, target.peers) if np.isfinite(c)]
    if not theirs:
        return float("nan")
    return column("ours") / max(theirs) if target.more else min(theirs) / column("ours")


def _marked(ratio: float, least: float) -> str:
    return f"{ratio:.1f}" + " \\*" * (ratio < least)


def plot(found: Found, file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(12, 5), sharey=True)
    names = list(found)
    samplers = [s for s in SAMPLERS if any(s in found[n] for n in names)]
    for panel, column, title in zip(
        panels,
        ("cold to 1000", "ESS / s"),
        (
            "seconds from a cold start to an ESS of 1000",
            "ESS per second, compiled, warm-up included",
        ),
        strict=True,
    ):
        for i, sampler in enumerate(samplers):
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


def report(found: Found, picture: str) -> str:
    import jax

    machine = f"{CORES} cores, {platform.machine()}, Python {platform.python_version()}"
    repeats = max(len(runs) for samplers in found.values() for runs in samplers.values())
    head = f"# Ours and the peers\n\n{days(found)}, {machine}, jax {jax.__version__}; "
    head += f"medians over {repeats} of each. `python -m benchmarks.peers` prints this page.\n"
    text = (__doc__ or "").split("Columns:")[1].strip()
    return f"{head}\n{text}\n\n{ratios(found)}\n\n{table(found)}\n\n![plot]({picture})\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--models", nargs="*", default=list(SUITE))
    parser.add_argument("--samplers", nargs="*", default=available())
    parser.add_argument("--kept", type=Path, default=RESULTS / "peers.json")
    parser.add_argument("--peers-python", default="")
    parser.add_argument("--one", nargs=3, metavar=("SAMPLER", "MODEL", "SEED"))
    asked = parser.parse_args()
    if asked.one:
        sampler, name, seed = asked.one
        print(json.dumps(one(sampler, name, int(seed))))
        return
    found = gather(asked)
    picture = asked.kept.with_suffix(".png")
    page = report(found, picture.name)
    asked.kept.with_suffix(".md").write_text(page)
    plot(found, picture)
    print(page)


def available() -> list[str]:
    """List the samplers whose packages are installed."""
    from importlib.util import find_spec

    return [s for s in SAMPLERS if find_spec(PACKAGES.get(s, "numpyro")) is not None]


if __name__ == "__main__":
    main()
