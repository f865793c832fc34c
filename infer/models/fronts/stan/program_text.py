"""The text of a Stan program: its blocks, the names of its data, and its Jacobian's program."""

import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from ....errors import ModelError

# Comments and strings, in which braces and names mean nothing.
_IGNORED = re.compile(r'//[^\n]*|/\*.*?\*/|"[^"\n]*"', re.S)
_INCLUDE = re.compile(r'^[ \t]*#include[ \t]+[<"]?([^\s>"]+)[>"]?[^\n]*$', re.M)
_BLOCK = re.compile(
    r"\b(functions|transformed\s+data|data|transformed\s+parameters|parameters|model"
    r"|generated\s+quantities)\s*\{"
)
# One type may declare several names: int n, m;
_DECLARED = re.compile(r"([A-Za-z]\w*(?:\s*,\s*[A-Za-z]\w*)*)\s*(?:=.*)?$", re.S)


class ProgramText:
    """A Stan program with its included files.

    Attributes:
        text: The whole program.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @classmethod
    def read(cls, given: str | os.PathLike) -> "ProgramText":
        """Read a program: the text itself, or the path of a file.

        Raises:
            ModelError: There is no such file.
        """
        if isinstance(given, str) and ("\n" in given or "{" in given):
            return cls(_include(given, Path()))
        path = _as_path(given)
        try:
            return cls(_include(path.read_text(), path.parent))
        except OSError as error:
            raise ModelError(
                "Stan program",
                f"the file {path} cannot be read: {error.strerror}",
                "Give the path of a .stan file, or the text of a program.",
            ) from error

    @cached_property
    def blocks(self) -> dict[str, str]:
        """The blocks by name, braces included."""
        found = {}
        for name, start, end in self._places():
            found[name] = self.text[start:end]
        return found

    @cached_property
    def data_names(self) -> tuple[str, ...]:
        """Names that the data block declares."""
        plain = (_without_brackets(own) for own in self.data_statements)
        found = (_DECLARED.search(own) for own in plain)
        return tuple(name.strip() for own in found if own for name in own[1].split(","))

    @cached_property
    def data_statements(self) -> tuple[str, ...]:
        """Declarations of the data block, without comments."""
        body = _blank(self.blocks.get("data", "")).partition("{")[2].rpartition("}")[0]
        return tuple(own.strip() for own in body.split(";") if own.strip())

    @cached_property
    def drops_constants(self) -> bool:
        """Whether a statement of the model drops constants of its density."""
        return bool(re.search(r"~|_lup[dm]f\b", _blank(self.text)))

    def jacobian_program(self) -> str:
        """Return the program whose log density is the log-determinant of Stan's transforms alone.

        It declares the same parameters and has an empty model.

        Raises:
            ModelError: The transformed parameters change the log density themselves.
        """
        kept = ["functions", "data", "transformed data", "parameters"]
        transformed = _blank(self.blocks.get("transformed parameters", ""))
        if re.search(r"\btarget\b|_lp\s*\(", transformed):
            raise ModelError(
                "transformed parameters",
                "they change the log density, so the Jacobian cannot be separated from it",
                "Move these statements to the model block.",
            )
        # Terms of the user's own, by `jacobian +=`, belong to the Jacobian.
        adjusts = re.search(r"jacobian\b", transformed)
        names = [*kept, "transformed parameters"] if adjusts else kept
        return "\n".join([*(self.blocks.get(name, "") for name in names), "model {\n}\n"])

    def _places(self) -> Iterator[tuple[str, int, int]]:
        blank, place = _blank(self.text), 0
        while found := _BLOCK.search(blank, place):
            place = _closing(blank, found.end())
            yield " ".join(found[1].split()), found.start(), place


def _as_path(given: str | os.PathLike) -> Path:
    if isinstance(given, str | os.PathLike) and given:
        return Path(given)
    raise ModelError(
        "Stan program",
        "it is empty" if isinstance(given, str) else f"it is a {type(given).__name__}",
        "Give the path of a .stan file, or the text of a program; then its data.",
    )


def _blank(text: str) -> str:
    """Replace comments and strings by spaces, so that places stay the same."""
    return _IGNORED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def _closing(text: str, place: int) -> int:
    """Return the place after the brace that closes a block whose body begins at `place`."""
    depth = 1
    while depth and place < len(text):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        place += 1
    return place


def _without_brackets(text: str) -> str:
    """Remove bounds and sizes, which may hold names and commas of their own."""
    before = None
    while before != text:
        before, text = text, re.sub(r"<[^<>\[\]]*>|\[[^\[\]]*\]", "", text)
    return text


def _include(text: str, folder: Path) -> str:
    return _INCLUDE.sub(lambda found: _include_file(folder / found[1]), text)


def _include_file(path: Path) -> str:
    try:
        return _include(path.read_text(), path.parent)
    except OSError as error:
        raise ModelError(
            "Stan program",
            f"the file {path}, which it includes, cannot be read: {error.strerror}",
            "Included files are looked for beside the program; give its path, not its text.",
        ) from error
