"""Measure where the seconds of a first and a second process go, for the nine models of the peers.

    python -m benchmarks.phases [MODEL ...]

Prints, for each model, seconds by phase from a written model to its result: tracing (and lowering),
waiting for XLA to compile or load, seeking starts (XLA goes on meanwhile), warm-up, sampling, and
the rest (checks, and making the result); and all CPU seconds, imports included. Compiled programs
are kept in a folder of their own, which is empty at first.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

from .bytecode import compile_packages
from .peers.suite import SUITE

PHASES = ("trace", "compile", "starts", "warmup", "sampling")


def run_one(name: str) -> dict[str, float]:
    """Sample one model in this process; return seconds by phase."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import infer

    case, read, sample = SUITE[name], infer.from_numpyro, infer.sample
    began = time.perf_counter()
    model = read(case.numpyro, **case.data())
    result = sample(model, infer.NUTS(), progress=False)
    wall = time.perf_counter() - began
    found = {phase: float(result.attrs[f"{phase}_seconds"]) for phase in PHASES}
    rest = wall - sum(found.values())
    return found | {"rest": rest, "wall": wall, "cpu": time.process_time()}


def run_in_process(name: str, folder: str) -> dict[str, float]:
    """Run one model in a new process that keeps its programs in a folder."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.phases", "--one", name]
    environment = os.environ | {"PUSHFORWARD_CACHE": folder}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(run_one(sys.argv[2])))
        return
    compile_packages()
    print("model, process", *PHASES, "rest", "wall", "cpu", sep=" | ")
    for name in sys.argv[1:] or SUITE:
        with tempfile.TemporaryDirectory() as folder:
            for process in ("first", "second"):
                found = run_in_process(name, folder)
                print(f"{name}, {process}", *(f"{s:.2f}" for s in found.values()), sep=" | ")


if __name__ == "__main__":
    main()
