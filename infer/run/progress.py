"""Show progress from the host, between blocks: programs contain no callback."""

import logging
import sys
import time
from importlib.util import find_spec
from types import TracebackType

if find_spec("ipywidgets") is None:
    # In a notebook, `tqdm.auto` would warn that its bar needs ipywidgets.
    from tqdm import tqdm
else:
    from tqdm.auto import tqdm

# Seconds between two lines of the log.
LOG_SECONDS = 5.0
_log = logging.getLogger("infer")


class Progress:
    """A progress bar over the draws of all chains, or log lines if there is no terminal.

    Args:
        total: Number of draws to make, over all chains.
        shown: Whether to show the bar. By default it is shown if standard error is a terminal, and
            otherwise the logger "infer" gets a line at level INFO at the beginning of each phase,
            and one every 5 s at most.

    Attributes:
        shown: Whether the bar is shown.
        logged: Whether lines are logged.
    """

    def __init__(self, total: int, shown: bool | None = None) -> None:
        self.shown = sys.stderr.isatty() if shown is None else shown
        self.logged = shown is None and not self.shown and _log.isEnabledFor(logging.INFO)
        self._left, self._name, self._logged_at = total, "", time.monotonic()
        self._bar = tqdm(total=total, disable=not self.shown, unit="draw", mininterval=0.2)
        self._divergences = 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._bar.close()

    def phase(self, name: str, left: int | None = None) -> None:
        """Begin a phase, and count its divergences from zero.

        Args:
            name: Name of the phase.
            left: Number of draws still to make, if that has changed.
        """
        self._divergences, self._name = 0, name
        if left is not None:
            self._left = left
            self._bar.total = self._bar.n + left
        self._bar.set_description(name, refresh=False)
        if self.logged:
            self._log_line()

    def advance(self, draws: int, divergences: int) -> None:
        """Count finished draws."""
        self._divergences += divergences
        self._left -= draws
        if self.logged and time.monotonic() - self._logged_at >= LOG_SECONDS:
            self._log_line()
        self._bar.set_postfix(divergences=self._divergences, refresh=False)
        self._bar.update(draws)

    def _log_line(self) -> None:
        self._logged_at = time.monotonic()
        _log.info("%s: %d draws to go, %d divergences", self._name, self._left, self._divergences)
