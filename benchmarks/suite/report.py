"""Write the page of the suite from its lines: ratios, losses with their reasons, and all times."""

import platform
import statistics
from collections.abc import Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Rows = list[dict[str, Any]]

PAGE = Path(__file__).parents[1] / "results" / "suite.md"
# Both hold after as many draws as the default, or after the first of its doublings.
R_HAT, ESS = 1.01, 400
# Means farther from their reference than so many Monte Carlo errors are wrong.
ERRORS = 5.0
TEXT = f"""
The clock starts with the process and stops when {{draws}} draws of each of four chains are at hand,
everything at its default and in float64. If the largest R-hat is not below {R_HAT}, or the smallest
bulk ESS (both over all numbers of a posterior) is below {ESS}, the same is done in a new process
with twice as many draws, up to eight times as many; the time is that of the first run that reaches
both. Nothing is rescaled or extrapolated. The caches of compiled programs are empty, as they are on
a new machine; "later process" is the second of two processes that share ours, which is what
`infer.sample` finds from then on. "From imports" counts from the end of the imports that a user
writes; ours import most of what they need during the call, so this column is hard on them. CPU
seconds are user and system time of the process; other jobs on a machine stretch wall seconds much
more, so the CPU seconds are the ones to read: these runs shared two cores with other jobs. Work
that ours does at the same time on two cores counts in full there. In each ratio, above 1 is ours
ahead. NumPyro runs its chains vectorized; its
default, on a CPU one chain after the other, is a method of its own where it was run. Stan's
programs were written for this page (benchmarks/suite). stanli interprets them: it compiles nothing
and imports little beyond NumPy, where ours and NumPyro import JAX and compile.
"""


class Outcome(NamedTuple):
    """What came of a method on a posterior, as medians over seeds.

    Attributes:
        wall: Wall seconds from the start of the process to the draws; infinite if no run reached
            the limits.
        cpu: The same in CPU seconds.
        from_imports: CPU seconds from the end of the imports.
        draws: Draws of each chain in the run that reached the limits, or in the longest one.
        rhat: Largest R-hat of the default run.
        ess: Smallest bulk ESS of the default run.
        gradients: Thousands of gradients of the default run after warm-up, and in warm-up.
        error: Largest distance of a mean from its reference in the longest run, in Monte Carlo
            errors.
        failed: Why the last run failed, if it did.
    """

    wall: float
    cpu: float
    from_imports: float
    draws: int
    rhat: float
    ess: float
    gradients: tuple[float, float]
    error: float
    failed: str


def has_reached(row: dict[str, Any]) -> bool:
    """Return whether a run reached the R-hat and the effective sample size."""
    return "failed" not in row and row["rhat"] < R_HAT and row["ess"] >= ESS


def outcome(rows: Rows) -> Outcome | None:
    """Summarize the runs of a method on a posterior."""
    if not rows:
        return None
    seeds = {row["seed"] for row in rows}
    reached = [next((r for r in rows if r["seed"] == s and has_reached(r)), None) for s in seeds]
    times = [
        (r["wall"], r["cpu"], r["cpu"] - r["import_cpu"]) if r else (np.inf,) * 3 for r in reached
    ]
    wall, cpu, from_imports = (statistics.median(column) for column in zip(*times, strict=True))
    sound = [r for r in rows if "failed" not in r]
    first = [r for r in sound if r["draws"] == min(row["draws"] for row in rows)]

    longest = [r for r in sound if r["draws"] == max(row["draws"] for row in sound)]

    def median(column: str, of: Rows = first) -> float:
        return statistics.median(r[column] for r in of) if of else float("nan")

    return Outcome(
        wall, cpu, from_imports, max(r["draws"] for r in rows), median("rhat"), median("ess"),
        (median("sampled") / 1000, median("warmed") / 1000), median("error", longest),
        next((r["failed"] for r in reversed(rows) if "failed" in r), ""),
    )  # fmt: skip


def ratio(theirs: Outcome | None, ours: Outcome | None, column: str) -> float:
    """Divide their seconds by ours; infinite if only ours reached the limits, 0 if only theirs."""
    if theirs is None or ours is None:
        return float("nan")
    own, other = getattr(ours, column), getattr(theirs, column)
    if np.isinf(own):
        return float("nan") if np.isinf(other) else 0.0
    return other / own


def write(rows: Rows, reasons: dict[str, str], draws: int) -> str:
    """Write the page and return it."""
    names = list(dict.fromkeys(row["posterior"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    found = {
        (n, m): outcome([r for r in rows if (r["posterior"], r["method"]) == (n, m)])
        for n in names
        for m in methods
    }
    head = f"{date.today()}, Python {platform.python_version()}, jax {version('jax')}, "
    head += f"NumPyro {version('numpyro')}, {len({row['seed'] for row in rows})} of each; "
    head += "`python -m benchmarks.suite --table` writes this page."
    others = [m for m in methods if m != "ours"]
    lines = [f"# {len(names)} posteriors from the start of a process\n", head]
    lines += [TEXT.format(draws=draws), *_summary(found, names, others), ""]
    lines += [*_exceptions(found, names, others, reasons), ""]
    lines += _times(found, names, methods) + [""] + _qualities(found, names, methods)
    page = "\n".join(lines) + "\n"
    PAGE.write_text(page)
    return page


def _summary(found: dict, names: list[str], others: list[str]) -> list[str]:
    lines = [
        "| peer / ours | posteriors | median, CPU s | median, wall s | from imports, CPU s | "
        "least, CPU s | ours ahead, CPU s | only ours reach | only theirs reach | neither |",
        "| --- |" + " --: |" * 9,
    ]
    for method in others:
        pairs = [(found[n, method], found[n, "ours"]) for n in names if found[n, method]]
        columns = [[ratio(*pair, c) for pair in pairs] for c in ("cpu", "wall", "from_imports")]
        medians = [float(np.nanmedian(column)) for column in columns]
        cpu = np.array(columns[0])
        lines.append(
            f"| {method} | {len(pairs)} | {medians[0]:.2f} | {medians[1]:.2f} | {medians[2]:.2f} "
            f"| {np.nanmin(cpu):.2f} | {(cpu > 1).sum()} | {np.isinf(cpu).sum()} "
            f"| {(cpu == 0).sum()} | {np.isnan(cpu).sum()} |"
        )
    return lines


def _exceptions(
    found: dict, names: list[str], others: list[str], reasons: dict[str, str]
) -> list[str]:
    """List where a peer is ahead or a method misses the limits, with reasons."""
    lines = ["## Where ours is not ahead, or misses\n"]
    for method in others:
        behind = [(n, ratio(found[n, method], found[n, "ours"], "cpu")) for n in names]
        told = [f"{n} ({r:.2f})" for n, r in behind if r < 1]
        if told and not method.startswith("ours"):
            lines.append(f"- {method} is ahead in CPU seconds on {', '.join(told)}.")
    for method in ("ours", *others):
        missed = [n for n in names if found[n, method] and np.isinf(found[n, method].cpu)]
        late = [n for n in names if found[n, method] and found[n, method].rhat >= R_HAT]
        wrong = [n for n in names if found[n, method] and found[n, method].error > ERRORS]
        for what, which in (
            ("never reaches the limits on", missed),
            ("has an R-hat of 1.01 or more after the default run on", late),
            (f"has a mean more than {ERRORS:g} Monte Carlo errors off on", wrong),
        ):
            if which:
                lines.append(f"- {method} {what} {', '.join(which)}.")
    lines += [f"- {name}: {reason}" for name, reason in reasons.items() if name in names]
    return lines


def _times(found: dict, names: list[str], methods: list[str]) -> list[str]:
    lines = ["## Seconds from the start of the process: CPU (wall)\n"]
    lines += ["| posterior | " + " | ".join(methods) + " | NumPyro / ours, CPU | wall |"]
    lines += ["| --- |" + " --: |" * (len(methods) + 2)]
    for name in names:
        pair = found.get((name, "NumPyro")), found[name, "ours"]
        ratios = [_number(ratio(*pair, column)) for column in ("cpu", "wall")]
        cells = [_time(found[name, method]) for method in methods]
        lines.append(f"| {name} | {' | '.join([*cells, *ratios])} |")
    return lines


def _number(x: float) -> str:
    return "" if np.isnan(x) else f"{x:.2f}"


def _time(of: Outcome | None) -> str:
    if of is None:
        return ""
    if np.isinf(of.cpu):
        return of.failed or f"not after {of.draws} draws"
    more = f", {of.draws} draws" if of.draws > 1000 else ""
    return f"{of.cpu:.1f} ({of.wall:.1f}{more})"


def _qualities(found: dict, names: list[str], methods: list[str]) -> list[str]:
    lines = ["## The default runs: R-hat, smallest bulk ESS, thousands of gradients\n"]
    lines += ["Gradients after warm-up, plus those of warm-up where they are known.\n"]
    lines += ["| posterior | " + " | ".join(methods) + " |", "| --- |" + " --: |" * len(methods)]
    for name in names:
        cells = [_quality(found[name, method]) for method in methods]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _quality(of: Outcome | None) -> str:
    if of is None or np.isnan(of.rhat):
        return ""
    sampled, warmed = of.gradients
    known = f" + {warmed:.0f}" if warmed else ""
    return f"{of.rhat:.3f}, {of.ess:.0f}, {sampled:.0f}{known}"


def last_of(rows: Iterable[dict[str, Any]]) -> Rows:
    """Keep the last line of each run."""
    keys = ("posterior", "method", "seed", "draws")
    return list({tuple(row[k] for k in keys): row for row in rows}.values())
