"""Views of a running run: lines in a terminal, a table in a notebook, or lines of the log."""

import logging
import sys
import time
from abc import ABC, abstractmethod
from html import escape
from typing import Any

from .status import Status, align, format_interval

# Seconds between two updates of a view, and between two lines of the log.
VIEW_SECONDS, LOG_SECONDS = 0.2, 5.0
BAR = "{desc}{percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} UNIT{postfix}"
_log = logging.getLogger("infer")


class View(ABC):
    """Shows the status of a run, at most once in a while."""

    def __init__(self) -> None:
        self._shown_at = -float("inf")

    def update(self, status: Status, is_new_phase: bool = False) -> None:
        """Show the status if it is time to, or if a phase begins."""
        now = time.monotonic()
        if is_new_phase or now - self._shown_at >= self._pause():
            self._shown_at = now
            self.show(status, write_time_left(status))

    def _pause(self) -> float:
        return VIEW_SECONDS

    @abstractmethod
    def show(self, status: Status, rest: str) -> None:
        """Show the status; `rest` is the time left, or how the run ended."""

    def close(self, status: Status, ended: str) -> None:
        """Show the last status for good."""
        self.show(status, ended)


class NoView(View):
    """Shows nothing."""

    def update(self, status: Status, is_new_phase: bool = False) -> None:
        return

    def show(self, status: Status, rest: str) -> None:
        return


class LogView(View):
    """Writes a line to the logger "infer" at the beginning of each phase and every 5 s at most."""

    def _pause(self) -> float:
        return LOG_SECONDS

    def show(self, status: Status, rest: str) -> None:
        left = status.total - status.made
        counts = [f"{left} {status.unit} to go", *write_divergences(status), rest]
        _log.info("%s: %s", status.phase, ", ".join(filter(None, counts)))

    def close(self, status: Status, ended: str) -> None:
        return


class TerminalView(View):
    """A bar, and below it a table with a line for each chain, or two for all of many chains."""

    def __init__(self) -> None:
        super().__init__()
        self._bars: list[Any] = []

    def show(self, status: Status, rest: str) -> None:
        is_terminal = sys.stderr.isatty()
        counts = [] if is_terminal else write_divergences(status)
        bar = self._bar(0, BAR.replace("UNIT", status.unit))
        bar.total, bar.n = status.total, status.made
        bar.set_description(status.phase, refresh=False)
        bar.set_postfix_str(", ".join(filter(None, [*counts, rest])))
        # In a file, lines below the bar would be repeated at each update.
        for line, text in enumerate(align(status.table()) if is_terminal else (), start=1):
            self._bar(line, "{desc}").set_description_str(text)

    def _bar(self, line: int, form: str) -> Any:
        """Return the bar in a line, which is made at its first use."""
        # Few processes show a bar, and the import takes 10 ms.
        from tqdm import tqdm

        if line == len(self._bars):
            # Shown at the first refresh, and never by tqdm's own clock.
            options = {"delay": 1e-9, "dynamic_ncols": True, "file": sys.stderr, "leave": True}
            self._bars.append(tqdm(total=0, bar_format=form, position=line, **options))
        return self._bars[line]

    def close(self, status: Status, ended: str) -> None:
        self.show(status, ended)
        for bar in self._bars:
            bar.close()


class NotebookView(View):
    """A table that IPython shows as HTML and replaces in place; needs no ipywidgets."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None

    def show(self, status: Status, rest: str) -> None:
        from IPython.display import display  # pyright: ignore[reportMissingImports]

        page = Page(status, rest)
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)


class Page:
    """A status as notebooks show it."""

    def __init__(self, status: Status, rest: str) -> None:
        made = f"{status.made}/{status.total} {status.unit}"
        self._head = ", ".join(filter(None, (f"{status.phase}: {made}", rest)))
        self._done, self._total, self._table = status.made, status.total, status.table()

    def __repr__(self) -> str:
        return "\n".join([self._head, *align(self._table)])

    def _repr_html_(self) -> str:
        titles, *rows = [[escape(text) for text in row] for row in self._table]
        head = "".join(f"<th>{title}</th>" for title in titles)
        body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
        return (
            f'<div><progress value="{self._done}" max="{max(self._total, 1)}"></progress> '
            f"{escape(self._head)}<table><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table></div>"
        )


def choose_view(shown: bool | None) -> View:
    """Choose a view: the user's wish, or by where the process runs; see `Progress`."""
    if shown or (shown is None and (is_notebook() or sys.stderr.isatty())):
        return NotebookView() if is_notebook() else TerminalView()
    return LogView() if shown is None and _log.isEnabledFor(logging.INFO) else NoView()


def is_notebook() -> bool:
    """Return whether a kernel of IPython runs this process, without importing IPython."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def write_divergences(status: Status) -> list[str]:
    """Write the number of divergences of all chains, if draws can diverge."""
    return [f"{status.divergences.sum()} divergences"] if status.unit == "draws" else []


def write_time_left(status: Status) -> str:
    """Write the time left; "up to" if warm-up may still end earlier than planned."""
    seconds = status.seconds_left()
    if seconds is None:
        return ""
    return f"{'up to ' * status.is_shrinkable}{format_interval(seconds)} left"
