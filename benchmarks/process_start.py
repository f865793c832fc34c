"""Time whole processes: README's ten lines and a radon model of NumPyro, beyond the bare imports.

    python -m benchmarks.process_start [--repeats 5]

A process that only imports jax, numpyro and arviz alternates with one that finds no compiled
program on disk (first) and one that finds all (later). Prints medians of wall and of CPU seconds
(of all threads), as they are and beyond those of the bare imports. Compiled programs are kept in
folders of their own, and the packages are compiled to bytecode before.
"""

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .bytecode import ROOT, compile_packages

BARE = "import jax, numpyro, arviz"
# Written as a user would; only the model and its data are taken from the peers.
RADON = """
import arviz as az
import infer
from benchmarks.peers.suite import radon_data, radon_numpyro

model = infer.from_numpyro(radon_numpyro, **radon_data())
print(az.summary(infer.sample(model), var_names=["mu", "tau"]))
"""


def read_ten_lines() -> str:
    """Return the first program of README.md."""
    found = re.search(r"## Ten lines\n+```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert found
    return found[1]


def time_process(program: str, folder: str) -> tuple[float, float]:
    """Run a program in a new process; return its wall and its CPU seconds."""
    environment = os.environ | {"PUSHFORWARD_CACHE": folder, "PYTHONPATH": str(ROOT)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [sys.executable, "-W", "ignore", "-c", program]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def alternate(programs: dict[str, str], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Time the bare imports, and each program in a first and a later process, in turn."""
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as parent:
        # What the machine reads for the first time, and the file of fonts that Matplotlib makes.
        time_process(BARE, parent)
        for repeat in range(repeats):
            found.setdefault("bare imports", []).append(time_process(BARE, parent))
            for name, program in programs.items():
                folder = Path(parent, f"{name} {repeat}")
                folder.mkdir(mode=0o700)
                for process in ("first", "later"):
                    taken = time_process(program, str(folder))
                    found.setdefault(f"{name}, {process}", []).append(taken)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    compile_packages()
    found = alternate({"ten lines": read_ten_lines(), "radon": RADON}, chosen.repeats)
    rows = {
        name: [statistics.median(own) for own in zip(*f, strict=True)] for name, f in found.items()
    }
    print("process", "wall", "CPU", "wall beyond", "CPU beyond", sep=" | ")
    for name, row in rows.items():
        beyond = [own - bare for own, bare in zip(row, rows["bare imports"], strict=True)]
        print(name, *(f"{seconds:.2f}" for seconds in (*row, *beyond)), sep=" | ", flush=True)


if __name__ == "__main__":
    main()
