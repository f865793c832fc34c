"""The executables that this process has used, and those that it is about to use."""

from concurrent.futures import Future
from typing import Any, NamedTuple


class Used(NamedTuple):
    """An executable that this process loaded or saved: its file, and how many arrays it takes."""

    name: str
    arguments: int
    results: int


used: list[Used] = []
# Those that are being loaded before they are asked for.
loading: dict[Used, Future[Any]] = {}
