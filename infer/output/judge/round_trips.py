"""Whether points came from the reference to the posterior often enough in parallel tempering."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...run.run import Run
from ..data.versions import read_group
from ..finding import Finding

GROUP = "tempering"
# Settings of `infer.Tempered` but its engine; they are attributes of the group, and so is `warmup`.
ASKED = "levels", "reference", "swap_every"
# With fewer arrivals, the weight of a mode of mass 1/2 has a standard error above 0.15 in a chain.
FEWEST = 10


def find_few_round_trips(data: Any) -> Iterator[Finding]:
    """Find out whether few independent points arrived at the chains of a tempered result."""
    if isinstance(data, Run) or "round_trips" not in (group := read_group(data, GROUP)):
        return
    trips, barrier = np.asarray(group["round_trips"]), float(group.attrs["barrier"])
    if trips.min() < FEWEST:
        yield Finding(
            "few_round_trips",
            f"only {trips.min()} to {trips.max()} points per chain came from the reference to the "
            f"posterior, so the weights of separate modes are uncertain (barrier {barrier:.2g}, "
            f"{group.sizes['level']} levels).",
            _advise(trips, group.sizes["swap"]),
        )


def _advise(trips: np.ndarray, turns: int) -> str:
    if trips.sum() == 0:
        return (
            'Give more draws and a longer warm-up, or another reference="prior" | "approximation".'
        )
    need = int(np.ceil(2 * FEWEST / max(trips.mean(), 0.5)))
    return f"Give {max(need, 2)} times as many draws as the {turns} turns of swaps here."
