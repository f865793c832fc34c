"""What sampling is to reach before it ends, its budget, and what it says about the result."""

from dataclasses import dataclass
from math import ceil, inf, isfinite
from typing import Any

import numpy as np

from ...counts import as_whole
from ...errors import RunError
from ...run.status import format_interval
from ..finding import Finding
from .scalars import Mixing

# Draws per chain at the first check, if the target does not need more; R-hat needs as many.
FIRST_DRAWS = 100
# How many times as many draws the next check has, at least and at most; between these it is where
# the target is expected, with some more draws since the expectation is rough. The steps are long,
# since stopping at the first of many checks that looks good prefers lucky estimates.
LEAST_GROWTH, LARGEST_GROWTH, MORE = 1.5, 4.0, 1.2
# With a larger R-hat the chains may be in different modes.
FAR_APART = 1.1


@dataclass(frozen=True)
class Until:
    """What sampling is to reach, and the budget; see `infer.sample`.

    Attributes:
        rhat: Largest R-hat of any scalar number; None asks for none.
        ess: Smallest bulk and smallest tail ESS of any scalar number, of all chains together;
            None asks for none.
        seconds: Budget of wall time in seconds, from the start of the call; None sets no limit.
        draws: Budget of draws per chain; None sets no limit.

    Raises:
        RunError: A number makes no sense, nothing is asked for, or there is no budget.
    """

    rhat: float | None = 1.01
    ess: float | None = 400
    seconds: float | None = None
    draws: int | None = 20_000

    def __post_init__(self) -> None:
        _refuse_unless_above("rhat", self.rhat, 1, "such as 1.01")
        _refuse_unless_above("ess", self.ess, 0, "such as 400")
        _refuse_unless_above("seconds", self.seconds, 0, "such as 600")
        if self.draws is not None:
            object.__setattr__(self, "draws", as_whole("Until(draws=)", self.draws, 1))
        if self.rhat is None and self.ess is None:
            raise RunError("Until", "neither rhat nor ess is asked for", "Give one of them.")
        if self.seconds is None and self.draws is None:
            raise RunError(
                "Until", "there is no budget, so it might never end", "Give seconds= or draws=."
            )

    def choose_first_check(self, chains: int) -> int:
        """Choose the number of draws per chain at which to check first."""
        return self._limit(max(FIRST_DRAWS, ceil((self.ess or 0) / chains)))

    def choose_next_check(self, draws: int, need: float) -> int | None:
        """Choose at how many draws per chain to check next; None if the budget is used up.

        Args:
            draws: Draws per chain at the last check.
            need: How many times as many draws are needed, as estimated then.
        """
        if self.draws is not None and draws >= self.draws:
            return None
        growth = min(max(MORE * need, LEAST_GROWTH), LARGEST_GROWTH)
        return self._limit(ceil(growth * draws))

    def _limit(self, draws: int) -> int:
        return draws if self.draws is None else min(draws, self.draws)

    def estimate_need(self, rhat: np.ndarray, ess: np.ndarray) -> np.ndarray:
        """Estimate how many times as many draws numbers need; at most 1 if they have the target.

        ESS grows in proportion to the draws, and R-hat - 1 shrinks in proportion.
        """
        with np.errstate(divide="ignore"):
            by_ess = np.zeros_like(ess) if self.ess is None else self.ess / ess
        by_rhat = np.zeros_like(rhat) if self.rhat is None else (rhat - 1) / (self.rhat - 1)
        return np.nan_to_num(np.maximum(by_rhat, by_ess), nan=inf, posinf=inf)

    def factor(self, mixing: Mixing) -> float:
        """Estimate how many times as many draws a number needs; see `estimate_need`."""
        rhat, sizes = np.full(2, mixing.rhat), np.array([mixing.bulk, mixing.tail])
        return float(self.estimate_need(rhat, sizes).max())


def _refuse_unless_above(name: str, number: Any, least: float, example: str) -> None:
    is_number = isinstance(number, int | float | np.number) and not isinstance(number, bool)
    if number is None or (is_number and isfinite(number) and number > least):
        return
    raise RunError(
        f"Until({name}=)", f"{number!r} was given", f"Give a number above {least}, {example}."
    )


def find_shortfall(result: Any) -> tuple[Finding, ...]:
    """Return what was not reached, as the attributes of a result say; empty if all was."""
    told = getattr(result, "attrs", {})
    if told.get("until_reached", 1):
        return ()
    sites = tuple(filter(None, told["until_short"].split("; ")))
    found = f"until= was {told['until']}."
    return (Finding("unreached_target", found, told["until_advice"], sites),)


def describe(until: Until, measured: list[Mixing]) -> str:
    """Say what the worst numbers have, and what is asked for."""
    if not measured:
        return "no number varies"
    rhat = max(measured, key=lambda m: np.nan_to_num(m.rhat, nan=inf))
    bulk, tail = (min(measured, key=lambda m, i=i: m[i]) for i in (2, 3))
    parts = [f"bulk ESS at least {bulk.bulk:.0f} ({bulk.name})"]
    parts += [f"tail ESS at least {tail.tail:.0f} ({tail.name})"]
    if until.rhat is not None:
        parts.insert(0, f"R-hat at most {rhat.rhat:.3f} ({rhat.name})")
    asked = [f"R-hat {until.rhat:g}"] if until.rhat is not None else []
    asked += [f"ESS {until.ess:g}"] if until.ess is not None else []
    return f"{', '.join(parts)}; asked for: {', '.join(asked)}"


def advise(until: Until, measured: list[Mixing], draws: int, seconds: float) -> str:
    """Say what more draws would bring.

    Args:
        until: The target.
        measured: Diagnostics of the worst numbers.
        draws: Draws per chain so far.
        seconds: How long they took.
    """
    factor = max(map(until.factor, measured), default=inf)
    if until.rhat is not None and any(not m.rhat <= FAR_APART for m in measured):
        return (
            f"With an R-hat above {FAR_APART} the chains may be in different modes or stuck, which "
            "more draws alone do not mend: look at arviz.plot_trace."
        )
    if not isfinite(factor):
        return "These draws are too few to say how many more are needed."
    more, rest = float(f"{draws * factor:.2g}"), format_interval((factor - 1) * seconds)
    return (
        "As ESS grows in proportion to the draws and R-hat - 1 shrinks in proportion, about "
        f"{more:.0f} draws per chain would reach it, in another {rest}: raise the budget."
    )
