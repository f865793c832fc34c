"""Ranks of simulated true values among draws, and whether they are uniform."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import xarray

from .uniformity import compute_p_value, count_below, find_band

SIMULATION = "simulation"
# Maximum number of lines printed, those of the least uniform ranks.
MAX_PRINTED = 12


class RankLine(NamedTuple):
    """Statistics of the ranks of one quantity.

    Attributes:
        name: Name of the quantity, such as "theta[2]".
        p_value: Probability that uniform ranks are at least as uneven.
        shift: Mean of rank / largest rank, minus 1/2, in its standard errors. Above zero the
            draws are too low.
        spread: Variance of the ranks over that of uniform ones. Above one the draws are too
            narrow, below one too wide.
    """

    name: str
    p_value: float
    shift: float
    spread: float


@dataclass(frozen=True)
class Calibration:
    """Result of simulation-based calibration.

    Attributes:
        ranks: Number of draws below the truth, for every latent and derived quantity, and for
            `log_prior` and `log_likelihood`, with the dimension `simulation`.
        truths: The true values.
        draws: Number of draws that each truth is ranked among, which is the largest rank.
        thin: Every `thin`-th draw of a chain was kept.
        false_alarm: Upper bound of the probability that `uniform` is False although all ranks are
            uniform.
        diverging: Number of divergent transitions of each simulation.
    """

    ranks: xarray.Dataset
    truths: xarray.Dataset
    draws: int
    thin: int
    false_alarm: float
    diverging: np.ndarray

    @property
    def simulations(self) -> int:
        """Number of simulated data sets."""
        return self.ranks.sizes[SIMULATION]

    @cached_property
    def lines(self) -> tuple[RankLine, ...]:
        """Statistics of the ranks of each quantity, the least uniform first."""
        lines = [_make_line(name, ranks, self.draws) for name, ranks in self._numbers.items()]
        return tuple(sorted(lines, key=lambda line: line.p_value))

    @property
    def p_value(self) -> float:
        """Smallest p-value times the number of quantities, at most 1 (Bonferroni)."""
        return min(1.0, self.lines[0].p_value * len(self.lines))

    @property
    def uniform(self) -> bool:
        """Whether the ranks of all quantities are consistent with uniform ones."""
        return self.p_value >= self.false_alarm

    def __str__(self) -> str:
        verdict = "uniform" if self.uniform else "NOT uniform"
        width = max(len(line.name) for line in self.lines[:MAX_PRINTED])
        more = len(self.lines) - MAX_PRINTED
        return "\n".join(
            [
                f"Ranks of {len(self.lines)} quantities in {self.simulations} simulations are "
                f"{verdict}: p = {self.p_value:.2g} (alarm below {self.false_alarm:g}); "
                f"{self.draws} draws each, thinned by {self.thin}; "
                f"{int(self.diverging.sum())} divergent transitions.",
                f"  {'':{width}s}  p-value  shift  spread",
                *[
                    f"  {line.name:{width}s}  {line.p_value:7.2g}  {line.shift:+5.1f}  "
                    f"{line.spread:6.2f}"
                    for line in self.lines[:MAX_PRINTED]
                ],
                *([f"  and {more} more"] if more > 0 else []),
            ]
        )

    def plot(self, most: int = MAX_PRINTED) -> Any:
        """Plot the differences of cumulative ranks from uniform ones, with a band around zero.

        If all ranks are uniform, the probability that any quantity leaves the band is at most
        `false_alarm`, so the plot agrees with `uniform`.

        Args:
            most: Maximum number of quantities to plot, the least uniform first.

        Returns:
            A matplotlib figure.
        """
        import matplotlib.pyplot as plt

        shown = self.lines[:most]
        columns = min(4, len(shown))
        figure, axes = plt.subplots(
            -(-len(shown) // columns), columns, sharex=True, sharey=True, squeeze=False,
            layout="constrained",
        )  # fmt: skip
        edge = find_band(self.simulations, self.draws, self.false_alarm / len(self.lines))
        share = np.arange(1, self.draws + 1) / (self.draws + 1)
        for axis in axes.flat[len(shown) :]:
            axis.set_axis_off()
        for axis, line in zip(axes.flat, shown, strict=False):
            found = count_below(self._numbers[line.name], self.draws)
            low, high, own = (c / self.simulations - share for c in (edge.low, edge.high, found))
            axis.fill_between(share, low, high, alpha=0.3, step="mid", linewidth=0)
            axis.step(share, own, where="mid")
            axis.set_title(line.name, fontsize="small")
        figure.supxlabel("rank / number of ranks")
        figure.supylabel("share of ranks below, minus that of uniform ranks")
        return figure

    @cached_property
    def _numbers(self) -> dict[str, np.ndarray]:
        """Ranks of each quantity, by its name."""
        return {
            _label_number(str(name), index, variable): np.asarray(variable.values[:, *index])
            for name, variable in self.ranks.data_vars.items()
            for index in np.ndindex(variable.shape[1:])
        }


def _label_number(name: str, index: tuple[int, ...], variable: xarray.DataArray) -> str:
    """Name a quantity by the coords of its axes, if it has any."""
    if not index:
        return name
    pairs = zip(variable.dims[1:], index, strict=True)
    places = [
        str(variable[dim].values[i]) if dim in variable.coords else str(i) for dim, i in pairs
    ]
    return f"{name}[{','.join(places)}]"


def _make_line(name: str, ranks: np.ndarray, largest: int) -> RankLine:
    # Variance of a rank that is uniform on 0, ..., largest.
    variance = largest * (largest + 2) / 12
    shift = (ranks.mean() - largest / 2) / np.sqrt(variance / len(ranks))
    spread = ((ranks - largest / 2) ** 2).mean() / variance
    return RankLine(name, compute_p_value(ranks, largest), float(shift), float(spread))
