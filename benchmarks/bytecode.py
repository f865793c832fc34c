"""Compile the packages to bytecode, as their installation does, before processes are timed.

A checkout whose environment sets PYTHONDONTWRITEBYTECODE would compile 350 files in every process,
which takes half as long again as all else that `infer` imports.
"""

import compileall
from pathlib import Path

ROOT = Path(__file__).parents[1]


def compile_packages() -> None:
    """Write bytecode of what is measured, and of the benchmarks, if it is not there."""
    for package in ("bijectors", "infer", "benchmarks"):
        compileall.compile_dir(ROOT / package, quiet=1)
