"""Find versions for every extra on every Python that we support: `python -m tests.extras`.

`pyproject.toml` names the extras and the Pythons. uv finds versions that fit together and have
wheels, without installing them, and needs none of the Pythons. `make extras` brings uv.
"""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
CLASSIFIER = "Programming Language :: Python :: 3."


def list_pythons(project: dict[str, Any]) -> list[str]:
    """List the versions of Python among the classifiers."""
    return [own.rpartition(" ")[2] for own in project["classifiers"] if own.startswith(CLASSIFIER)]


def resolve(python: str, extra: str) -> subprocess.CompletedProcess[str]:
    """Let uv find versions; it prints one package on each line, or why there are none."""
    command = [sys.executable, "-m", "uv", "pip", "compile", str(PYPROJECT), "--quiet"]
    command += ["--no-annotate", "--no-header", "--only-binary", ":all:"]
    command += ["--python-version", python, "--extra", extra]
    return subprocess.run(command, capture_output=True, text=True)


def main() -> int:
    """Print the number of packages of each extra on each Python; return 1 if there are none."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    pythons, failed = list_pythons(project), []
    print("extra".ljust(12), *(python.rjust(6) for python in pythons))
    for extra in project["optional-dependencies"]:
        found = [resolve(python, extra) for python in pythons]
        failed += [own.stderr for own in found if own.returncode]
        counts = (
            str(len(own.stdout.split("\n")) - 1) if not own.returncode else "-" for own in found
        )
        print(extra.ljust(12), *(count.rjust(6) for count in counts))
    print(*failed, sep="\n", end="")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
