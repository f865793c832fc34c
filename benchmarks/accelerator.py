"""Measure many chains on an accelerator, in eight minutes, against NumPyro and BlackJAX.

    python -m benchmarks.accelerator [--seconds 480] [--chains 4 256 1024 16384] [--models ...]
    python -m benchmarks.accelerator --program [--label after]

Writes benchmarks/results/accelerator.md. Eight schools, radon, logistic regressions of 1000 rows
with 24 columns and of 100,000 with 50, and item response, each by our NUTS and ChEES, NumPyro's
NUTS and BlackJAX's NUTS, ChEES and LAPS; then a regression of a million and of ten million rows.
Each row is measured in a process of its own: several are compiled at the same time, and one
at a time uses the device. A row that takes more than its share of the time is ended, and what has
no time left is skipped; both are said on the page. After each row everything is stored, so that
nothing is lost if the command is ended.

`--program` compiles the loop of NUTS for the CPU, and for an H200 if the plugin for CUDA is
installed, with or without one, and counts what a tick launches.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import date
from pathlib import Path
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# The plugin compiles for a GPU without one, and without the libraries that programs call.
os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.accelerators.budget import Budget
from benchmarks.accelerators.pages import load, save
from benchmarks.accelerators.rows import DRAWS, Row

RESULTS = Path(__file__).parent / "results"
MODELS = [
    "eight schools", "radon", "logistic 1000 x 24", "logistic 100k x 50", "item response",
]  # fmt: skip
# In the order of what an accelerator is for, so that what is skipped matters least.
CHAINS = [1024, 16_384, 256, 4]
SAMPLERS = [
    "ours, NUTS", "NumPyro, NUTS", "BlackJAX, LAPS", "BlackJAX, ChEES", "ours, ChEES",
    "BlackJAX, NUTS",
]  # fmt: skip
FROM_ENSEMBLES = {"ours, ChEES", "BlackJAX, ChEES", "BlackJAX, LAPS"}
SIZES = [10**6, 10**7]


def plan_rows(asked: argparse.Namespace) -> list[Row]:
    """List the rows, the most important first."""
    rows = [Row("rows", "many rows", "ours, NUTS", 4, size) for size in asked.rows]
    for chains in asked.chains:
        for model in asked.models:
            for sampler in asked.samplers:
                # Four chains are no ensemble to learn from.
                if chains >= 16 or sampler not in FROM_ENSEMBLES:
                    rows.append(Row("sampling", model, sampler, chains))
    return rows


def measure_all(
    rows: list[Row], seconds: float, workers: int, draws: int
) -> Iterator[tuple[Row, dict[str, Any]]]:
    """Measure rows in processes of their own; yield each as it is done, or why it is not."""
    budget = Budget(seconds, len(rows), workers)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        lock = Path(folder) / "device"
        futures = {pool.submit(_measure, row, budget, lock, draws): row for row in rows}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _measure(row: Row, budget: Budget, lock: Path, draws: int) -> dict[str, Any]:
    limit = budget.begin_row()
    if limit is None:
        return {"failed": "skipped: no time was left"}
    asked = {"row": row._asdict(), "limit": limit, "lock": str(lock), "draws": draws}
    command = [sys.executable, "-m", "benchmarks.accelerators.rows", json.dumps(asked)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=max(budget.left, 1.0), check=False,
            cwd=Path(__file__).parents[1], env=_without_caches(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": "ended: all time was used"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return {"failed": f"the process ended with status {done.returncode}: {last[:120]}"}
    return json.loads(lines[-1])


def _without_caches() -> dict[str, str]:
    """Return the environment without programs that were compiled before."""
    own = {name: text for name, text in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    return own | {"PUSHFORWARD_CACHE": "0"}


def describe_setting(asked: argparse.Namespace, rows: int) -> dict[str, Any]:
    """Say where and with what the rows are measured; asks a process of its own for the device."""
    code = (
        "import jax, jaxlib, json, importlib.metadata as m; d = jax.devices()[0]; "
        "versions = [f'{n} {m.version(n)}' for n in ('jax', 'jaxlib', 'numpyro', 'blackjax')]; "
        "print(json.dumps([d.platform, d.device_kind, ', '.join(versions)]))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    platform, device, versions = json.loads(out.splitlines()[-1])
    return {
        "date": str(date.today()), "platform": platform, "device": device, "versions": versions,
        "cores": os.cpu_count(), "seconds": asked.seconds, "asked": rows, "draws": asked.draws,
        "command": asked.command,
    }  # fmt: skip


def write_rows(asked: argparse.Namespace) -> None:
    """Measure all rows, and store each as it is done."""
    began = time.monotonic()
    rows = plan_rows(asked)
    made: list[dict[str, Any]] = []
    setting = describe_setting(asked, len(rows))
    seconds = asked.seconds - (time.monotonic() - began)
    for row, found in measure_all(rows, seconds, asked.workers, asked.draws):
        made.append({"row": row._asdict(), "place": rows.index(row), **found})
        save(asked.stored, asked.page, rows=made, setting=setting)
        said = (
            found.get("failed") or f"{found['seconds']:.2f} s, compiled in {found['compile']:.1f}"
        )
        print(f"{time.monotonic() - began:5.0f} s: {row}: {said}", flush=True)


def write_program(asked: argparse.Namespace) -> None:
    """Count what a tick launches, for each model and target."""
    import jax

    from benchmarks.accelerators.program import begin, compile_loop, list_targets

    program = load(asked.stored).get("program", {})
    head = f"{date.today()}, jax {jax.__version__}."
    for model in asked.models:
        run = begin(model, asked.together)
        for target, device in list_targets().items():
            body = compile_loop(run, device)
            program.setdefault(f"{target}: {model}", {})[asked.label] = body._asdict()
            save(asked.stored, asked.page, program=program, program_head=head)
            print(f"{target}: {model}: {body}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure what is asked for, and write the page."""
    cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--chains", type=int, nargs="*", default=CHAINS)
    parser.add_argument("--samplers", nargs="*", default=SAMPLERS)
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--workers", type=int, default=max(1, min(8, cores // 2)))
    parser.add_argument("--program", action="store_true")
    parser.add_argument("--label", default="after", choices=["before", "after"])
    parser.add_argument("--together", type=int, default=1024)
    parser.add_argument("--page", type=Path, default=RESULTS / "accelerator.md")
    parser.add_argument("--stored", type=Path, default=RESULTS / "accelerator.json")
    asked = parser.parse_args(arguments)
    asked.command = shlex.join(["python", "-m", "benchmarks.accelerator", *sys.argv[1:]])
    (write_program if asked.program else write_rows)(asked)


if __name__ == "__main__":
    main()
