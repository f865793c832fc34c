"""Print the sizes of the house: members, methods, files, functions, and the trip of one call.

    python benchmarks/house.py

Lines of a function count without its docstring. The trip is the list of files that a reader opens
to follow `infer.sample(model)`, as `docs/the_house.md` names them in the life of one draw.
The exit status is 1 if a limit is exceeded.
"""

import ast
import re
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGES = ("bijectors", "infer")
LONGEST_FILE, LONGEST_FUNCTION, MEDIAN_FUNCTION = 350, 50, 5
ENGINE_MEMBERS, RUN_METHODS, TRIP_LINES = 12, 16, 5500


class Function(NamedTuple):
    """One function of the packages, and the number of lines of its body."""

    where: str
    lines: int


def files() -> list[Path]:
    """List the files of the packages."""
    return [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]


def length(path: Path) -> int:
    """Count the lines of a file."""
    return len(path.read_text().splitlines())


def functions(path: Path) -> list[Function]:
    """List the functions of a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [
        Function(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", _body(node))
        for node in nodes
        if isinstance(node, ast.FunctionDef)
    ]


def _body(node: ast.FunctionDef) -> int:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def class_named(path: Path, name: str) -> ast.ClassDef:
    """Find a class in a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return next(n for n in nodes if isinstance(n, ast.ClassDef) and n.name == name)


def methods(node: ast.ClassDef) -> list[str]:
    """List the methods and properties of a class."""
    return [own.name for own in node.body if isinstance(own, ast.FunctionDef)]


def members(node: ast.ClassDef) -> list[str]:
    """List the public methods, properties and attributes of a class."""
    targets = [own.target for own in node.body if isinstance(own, ast.AnnAssign)]
    fields = [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in methods(node) + fields if not name.startswith("_")]


def trip() -> list[Path]:
    """List the files that `docs/the_house.md` names in the life of one draw, in order."""
    page = (ROOT / "docs" / "the_house.md").read_text()
    section = page.split("## The life of one draw", 1)[1].split("\n## ", 1)[0]
    named = dict.fromkeys(re.findall(r"`([\w/]+\.py)`", section))
    places = [[ROOT / name, ROOT / "infer" / name] for name in named]
    found = [next((path for path in own if path.exists()), None) for own in places]
    missing = [name for name, path in zip(named, found, strict=True) if path is None]
    if missing:
        sys.exit(f"docs/the_house.md names files that do not exist: {', '.join(missing)}")
    return [path for path in found if path is not None]


def main() -> None:
    own = [function for path in files() for function in functions(path)]
    listed = trip()
    rows = [
        (
            "members of Engine",
            len(members(class_named(ROOT / "infer/engines/base.py", "Engine"))),
            ENGINE_MEMBERS,
        ),
        (
            "methods of Run",
            len(methods(class_named(ROOT / "infer/run/run.py", "Run"))),
            RUN_METHODS,
        ),
        ("lines of the longest file", max(map(length, files())), LONGEST_FILE),
        ("lines of the longest function", max(f.lines for f in own), LONGEST_FUNCTION),
        ("lines of the median function", statistics.median(f.lines for f in own), MEDIAN_FUNCTION),
        (f"lines of the {len(listed)} files of the trip", sum(map(length, listed)), TRIP_LINES),
    ]
    for what, number, limit in rows:
        print(f"{what:36s} {number:6g} of {limit:5d}{'' if number <= limit else '  too many'}")
    for path in files():
        if length(path) > LONGEST_FILE:
            print(f"  {path.relative_to(ROOT)}: {length(path)} lines")
    for function in own:
        if function.lines > LONGEST_FUNCTION:
            print(f"  {function.where}: {function.lines} lines")
    sys.exit(any(number > limit for _, number, limit in rows))


if __name__ == "__main__":
    main()
