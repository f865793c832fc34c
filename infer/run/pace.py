"""When processes exchange the chains of a run that is stored: about every second."""

from dataclasses import dataclass

# Seconds between two exchanges, and draws before the first one. On two processes of one machine an
# exchange and the question whether to commit take about 0.01 s.
EXCHANGE_SECONDS, FIRST_DRAWS = 1.0, 1


@dataclass
class Pace:
    """How many draws processes make between two exchanges.

    Attributes:
        draws: Their number for each chain, by the clock of this process.
    """

    draws: int = FIRST_DRAWS

    def update(self, draws: int, seconds: float) -> None:
        """Choose the next number, from the last one and the seconds that it took."""
        fits = int(draws * EXCHANGE_SECONDS / max(seconds, 1e-6))
        self.draws = max(1, min(fits, 4 * self.draws))
