"""Write the page of the benchmark of accelerators from what is stored of it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Stored = dict[str, Any]

TEXT = """
`python -m benchmarks.accelerator` measures, and writes this page after each row;
`python -m benchmarks.accelerator --program` writes only the tables of the compiled program.
"""
ABOUT_ROWS = """
Seconds of warm-up and sampling until the largest nested R-hat of all numbers is at most 1.01 and
the smallest effective number of draws at least {draws:,}, in float32 with exact products
(`jax_default_matmul_precision="highest"`), without compiling, which has a column of its own. All
chains share one program. Groups of chains begin at 16 points, or with few chains each at its own:
uniform within (-2, 2) in NumPyro's unconstrained space. Warm-up of our engines is their default;
NUTS of NumPyro and BlackJAX has 1,000 draws for few chains and 300 for many, and BlackJAX's ChEES
has 400. Draws are made a few at a time, and looked at in between, which does not count.

"Not reached" says what the draws were worth when the row's time was over. "Waste" is gradients
executed for each that moved a chain, and "kernels" are what one tick of ours launches. Rows are
compiled several at a time, but use the device one after another. Each has a share of the time
that is left, and is ended when it takes much more. Memory is the largest that the process used on
the device{memory}.
"""
ABOUT_PROGRAM = """
What one tick launches: one pass through the body of the loop of NUTS in its ordinary form, with
1,024 chains in float32, as XLA compiled it (`compiled.as_text()`), before and after the changes of
29 November 2026. Kernels are fusions, copies and calls of libraries. The host of an accelerator
waits for the predicate of each branch and of each inner loop, and for the answer to whether the
loop goes on, which is asked once in so many ticks.
{target}
"""
TARGET = """XLA compiles for an H200 whether or not there is one, without tuning its products of
matrices, if JAX's plugin for CUDA is installed (`jax-cuda12-plugin`, `jax-cuda12-pjrt` and
`nvidia-cuda-nvcc-cu12`)."""


def write_page(file: Path, stored: Stored) -> None:
    """Write the page."""
    lines = ["# Accelerators", TEXT]
    if stored.get("rows"):
        lines += [f"## Samplers\n\n{_about(stored['setting'])}", *_sampling(stored["rows"])]
        lines += _many_rows(stored["rows"])
    if stored.get("program"):
        about = ABOUT_PROGRAM.format(target=TARGET).strip()
        lines += [f"\n## The program of a tick\n\n{stored['program_head']}\n\n{about}\n"]
        lines += _program(stored["program"])
    file.write_text("\n".join(lines) + "\n")


def load(file: Path) -> Stored:
    """Read what is stored, or nothing."""
    return json.loads(file.read_text()) if file.exists() else {}


def save(file: Path, page: Path, **own: Any) -> None:
    """Store under these names, in one step, beside what another command stored; write the page."""
    stored = load(file) | own
    beside = file.with_suffix(".part")
    beside.write_text(json.dumps(stored, indent=1) + "\n")
    beside.replace(file)
    write_page(page, stored)


def _about(setting: dict[str, Any]) -> str:
    on_cpu = setting["platform"] == "cpu"
    head = f"{setting['date']}, {setting['device']}, {setting['versions']}; "
    head += f"{setting['seconds']:.0f} s were given for {setting['asked']} rows: "
    head += f"`{setting['command']}`.\n\n"
    if on_cpu:
        head = (
            "**No accelerator was at hand: this page is a small run on a CPU with "
            f"{setting['cores']} cores, and its times say nothing of an accelerator.**\n\n{head}"
        )
    memory = "; here, of the process, code of XLA included" if on_cpu else ""
    return head + ABOUT_ROWS.format(draws=setting["draws"], memory=memory).strip() + "\n"


def _sampling(rows: Iterable[Stored]) -> list[str]:
    lines = [
        "| model | chains | sampler | seconds | warm-up, s | compile, s | waste | kernels | "
        "memory, MiB |",
        "| --- | --: | --- | --- |" + " --: |" * 5,
    ]
    own = [row for row in rows if row["row"]["kind"] == "sampling"]
    for row in sorted(own, key=lambda row: row["place"]):
        name = row["row"]
        lines.append(
            f"| {name['model']} | {name['chains']:,} | {name['sampler']} | {_cells(row)} |"
        )
    return lines


def _cells(row: Stored) -> str:
    if "failed" in row:
        return f"{row['failed']} | | | | |"
    said = f"{row['seconds']:.2f}"
    if not row["reached"]:
        said = f"not reached in {said}: R-hat {row['rhat']:.3f}, {row['ess']:,.0f} draws"
    numbers = f"{row['warmup']:.2f} | {row['compile']:.1f} | {row['waste']:.2f}"
    numbers += f" | {row['kernels'] or ''}"
    return f"{said} | {numbers} | {row['memory'] / 2**20:,.0f}"


def _many_rows(rows: Iterable[Stored]) -> list[str]:
    own = [row for row in rows if row["row"]["kind"] == "rows"]
    if not own:
        return []
    lines = [
        "\n## Many rows\n\nA logistic regression with 10 columns: a log density with its gradient "
        "for all chains, the median of 20 calls; and a run of NUTS from the mode with 60 draws of "
        "warm-up and 20 draws.\n",
        "| rows | chains | ms a gradient | run, s | its gradients | compile, s | memory, MiB |",
        "| --: | --: | --: | --: | --: | --: | --: |",
    ]
    for row in sorted(own, key=lambda row: row["place"]):
        name = row["row"]
        cells = f"{row.get('failed')} | | | |"
        if "failed" not in row:
            cells = f"{1e3 * row['gradient']:.2f} | {row['seconds']:.2f} | {row['gradients']} | "
            cells += f"{row['compile']:.1f} | {row['memory'] / 2**20:,.0f}"
        lines.append(f"| {name['size']:,} | {name['chains']} | {cells} |")
    return lines


def _program(program: dict[str, dict[str, Stored]]) -> list[str]:
    lines = [
        "| compiled for | model | kernels | of them fusions | copies | MiB copied | "
        "calls of libraries | branches | inner loops | ticks a question |",
        "| --- | --- |" + " --: |" * 8,
    ]
    for key, labels in program.items():
        target, model = key.split(": ")
        cells = [_change(labels, name) for name in COUNTS]
        lines.append(f"| {target} | {model} | {' | '.join(cells)} |")
    return lines


COUNTS = (
    "kernels", "fusions", "copies", "copied", "custom_calls", "conditionals", "loops", "stride",
)  # fmt: skip


def _change(labels: Stored, name: str) -> str:
    found = [labels[label].get(name, 1) for label in ("before", "after") if label in labels]
    said = [f"{n / 2**20:.1f}" if name == "copied" else str(n) for n in found]
    return " → ".join(said) if len(said) > 1 else f"{said[0]} {next(iter(labels))}"
