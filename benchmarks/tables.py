"""Fill the tables of pages by the commands that stand above them.

    python -m benchmarks.tables [geometry ...] [--only TEXT ...]

The prose of a page results/NAME.md is written by hand, and each of its tables stands between two
comments:

    <!-- python -m benchmarks.funnel --seeds 5 -->
    <!-- end -->

What the command prints goes between them: the lines of a table first, then the others. With
`--only`, just the commands that contain one of the texts are run. If a command fails or prints
nothing, its table stays as it was.
"""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
TABLE = re.compile(r"<!-- python (?P<command>[^\n]*) -->\n(?P<lines>.*?)<!-- end -->", re.DOTALL)


def fill(file: Path, wanted: list[str]) -> None:
    """Run the commands of a page one after the other; write the page after each of them."""
    for found in list(TABLE.finditer(file.read_text())):
        command = found["command"]
        if not wanted or any(text in command for text in wanted):
            print(file.stem, command, flush=True)
            lines = run(command)
            if lines:
                new = f"<!-- python {command} -->\n{lines}<!-- end -->"
                file.write_text(file.read_text().replace(found.group(), new))


def run(command: str) -> str:
    """Return the table that a command prints, and then its other lines."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *shlex.split(command)], capture_output=True, text=True
    )
    if done.returncode:
        print(f"{command}: {done.stderr.strip()}", file=sys.stderr)
        return ""
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    table = [line for line in lines if line.startswith("|")]
    rest = [line for line in lines if not line.startswith("|")]
    parts = [part for part in ("\n".join(table), "\n\n".join(rest)) if part]
    return "\n\n".join(parts) + "\n" if parts else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", default=["geometry"])
    parser.add_argument("--only", nargs="*", default=[])
    given = parser.parse_args()
    for name in given.pages:
        fill(RESULTS / f"{name}.md", given.only)


if __name__ == "__main__":
    main()
