"""Share a limited time among rows that are measured, several at once."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

# A row that would get less is skipped: importing JAX and compiling take that long.
LEAST_SECONDS = 12.0


@dataclass
class Budget:
    """Time that is left for rows that are left.

    Attributes:
        seconds: Time for all rows.
        rows: Number of rows that have not begun.
        workers: Number of rows that are prepared at the same time.
        least: A share below this is not worth beginning.
        clock: Tells the time in seconds.
    """

    seconds: float
    rows: int
    workers: int = 1
    least: float = LEAST_SECONDS
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (self.clock() - self._began)

    def begin_row(self) -> float | None:
        """Begin a row; return the seconds of the device that it may take, or `None` to skip it.

        The device runs one row at a time, so the time left is shared equally among the rows that
        have not begun. What a row does not use is left for later ones. A row may take twice its
        share, since most take less.
        """
        share = self.left / max(self.rows, 1)
        self.rows -= 1
        if self.left < self.least:
            return None
        return min(2 * share, self.left)
