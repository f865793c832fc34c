"""Show progress from the host, between blocks: no callback ever enters a program."""

import sys
from types import TracebackType

from tqdm.auto import tqdm


class Progress:
    """A bar over the draws of all chains.

    Args:
        total: Draws to make, over all chains.
        shown: Whether to show it; by default where standard error is a terminal.

    Attributes:
        shown: Whether it is shown.
    """

    def __init__(self, total: int, shown: bool | None = None) -> None:
        self.shown = sys.stderr.isatty() if shown is None else shown
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
        """Say what is being done now; divergences are counted anew.

        Args:
            name: Of the phase.
            left: Draws still to make, where that was not known before.
        """
        self._divergences = 0
        if left is not None:
            self._bar.total = self._bar.n + left
        self._bar.set_description(name, refresh=False)

    def advance(self, draws: int, divergences: int) -> None:
        """Count finished draws."""
        self._divergences += divergences
        self._bar.set_postfix(divergences=self._divergences, refresh=False)
        self._bar.update(draws)
