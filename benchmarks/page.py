"""Write a page of results: its date, the versions used, what it shows, and its tables."""

import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import jax


def write(
    file: Path, title: str, documentation: str | None, lines: Sequence[str], module: str = ""
) -> None:
    """Write a page; its text is what follows the page's name in a benchmark's docstring.

    The module has the page's name, unless another one is given.
    """
    name = f"results/{file.stem}.md"
    text = (documentation or "").partition(name)[2].lstrip(".: ").strip()
    head = f"{date.today()}, Python {platform.python_version()}, jax {jax.__version__}; "
    head += f"`python -m benchmarks.{module or file.stem}` writes this page."
    file.write_text("\n".join([f"# {title}\n", f"{head}\n", f"{text}\n", *lines, ""]))
