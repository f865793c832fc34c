"""How a mistake is shown: its title, its code, and the error that it raises."""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from functools import partial

from bijectors.errors import ExplainedError

# As wide as the text of the site.
WIDTH = 88
Mistake = Callable[[], object]
PROPER = {
    word.lower(): word for word in ("BlackJAX", "Bambi", "JAX", "NaN", "NumPy", "NumPyro", "PyMC")
} | {"stan": "Stan", "tfp": "TFP", "nuts": "NUTS", "python": "Python"}


def print_section(title: str, introduction: str, mistakes: Iterable[Mistake]) -> None:
    """Print the mistakes of one front end."""
    print(f"\n## {title}\n\n{introduction}")
    for mistake in mistakes:
        words = [PROPER.get(word, word) for word in mistake.__name__.split("_")]
        name = " ".join(words)
        print(f"\n### {name[0].upper()}{name[1:]}\n\n{inspect.getdoc(mistake)}\n")
        print(f"```py\n{code(mistake)}```\n\n```text\n{message(mistake)}\n```")


def code(mistake: Mistake) -> str:
    """Return the body of a function, without its docstring, as the formatter lays out a file."""
    body = inspect.getsource(mistake).split('"""\n', 1)[1]
    body = re.sub(r"  # pyright: .*", "", textwrap.dedent(body).lstrip("\n"))
    # Two blank lines around a function.
    body = re.sub(r"(\n    [^\n]*\n)\n(?=\S)", r"\1\n\n", body)
    return re.sub(r"(?<!\n)\n\n(?=def )", "\n\n\n", body)


def message(mistake: Mistake) -> str:
    """Return the error that a mistake raises."""
    try:
        mistake()
    except ExplainedError as error:
        text = f"{type(error).__name__}: {error}"
        text = re.sub(r"\w+\.py, line \d+: `(.*?)`", partial(_place, mistake), text)
        return textwrap.fill(text, WIDTH)
    raise AssertionError(f"{mistake.__name__} was not refused")


def _place(mistake: Mistake, found: re.Match) -> str:
    """Number lines by the piece of code, not by this file."""
    lines = [line.strip() for line in code(mistake).splitlines()]
    return f"model.py, line {lines.index(found[1]) + 1}: `{found[1]}`"
