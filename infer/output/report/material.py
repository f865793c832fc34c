"""What a report shows of a result: one data set, its quantities, and the worst of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray

from ...counts import as_whole
from ...errors import RunError
from ...numerics.mixing import measure_mixing
from ..data.arviz import SET
from ..data.versions import as_dataset
from ..fitted.approximation import Approximation
from ..judge.suspects import Numbers, lay_out_numbers

Groups = dict[str, xarray.Dataset]

# Minimum number of draws per chain for R-hat and ESS.
MIN_DRAWS = 10


@dataclass(frozen=True)
class Material:
    """What a report shows.

    Attributes:
        attributes: Attributes of the result.
        groups: Its groups, of one data set.
        numbers: The scalar quantities that vary, at most 1000 of them.
        total: Number of scalar quantities in the posterior.
        diagnostics: R-hat, bulk ESS and tail ESS of each number, by these names; NaN if unknown.
        order: Indices of the numbers, the worst first.
        dataset: Index of the data set that is shown; `None` if the result has only one.
        datasets: Number of data sets.
        is_chosen: Whether the data set was chosen here, as the one with the largest R-hat.
    """

    attributes: Mapping[str, Any]
    groups: Groups
    numbers: Numbers
    total: int
    diagnostics: dict[str, np.ndarray]
    order: np.ndarray
    dataset: int | None
    datasets: int
    is_chosen: bool

    @property
    def chains(self) -> int:
        """Number of chains."""
        return self.groups["posterior"].sizes["chain"]

    @property
    def draws(self) -> int:
        """Number of draws per chain."""
        return self.groups["posterior"].sizes["draw"]

    @property
    def is_fit(self) -> bool:
        """Whether the draws are independent ones of an approximation."""
        return "log_q" in self.groups.get("sample_stats", {})

    @property
    def diverging(self) -> np.ndarray:
        """Which transitions diverged, shape (chains, draws)."""
        stats = self.groups.get("sample_stats", xarray.Dataset())
        none = np.zeros((self.chains, self.draws), bool)
        if "diverging" not in stats or set(stats["diverging"].dims) != {"chain", "draw"}:
            return none
        return np.asarray(stats["diverging"].transpose("chain", "draw"), bool)

    def select(self, indices: Any) -> xarray.Dataset:
        """Make a posterior of scalars, with a variable for each of these numbers."""
        arrays = {
            self.numbers.names[i]: (("chain", "draw"), self.numbers.draws[i]) for i in indices
        }
        return xarray.Dataset(
            arrays, {"chain": np.arange(self.chains), "draw": np.arange(self.draws)}
        )

    def worst(self, count: int) -> list[int]:
        """Return the indices of the worst numbers, in the order of the model."""
        return sorted(int(i) for i in self.order[:count])


def read_material(data: Any, dataset: int | None = None) -> Material:
    """Read what a report shows.

    Args:
        data: ArviZ data, or an `Approximation`.
        dataset: Which data set, of several; by default the one with the largest R-hat.

    Raises:
        RunError: It is no such thing, has no draws, or has no such data set.
    """
    if isinstance(data, Approximation):
        data = data.sample(2000)
    groups = _read_groups(data)
    posterior = groups["posterior"]
    count = posterior.sizes.get(SET, 1)
    chosen = _choose_dataset(posterior, dataset)
    if chosen is not None:
        groups = {name: g.isel({SET: chosen}) if SET in g.dims else g for name, g in groups.items()}
    numbers = lay_out_numbers(groups["posterior"])
    diagnostics = _diagnose(numbers)
    lead = posterior.sizes["chain"] * posterior.sizes["draw"]
    total = sum(a.size for a in groups["posterior"].data_vars.values()) // lead
    return Material(
        dict(data.attrs), groups, numbers, total, diagnostics, _rank(diagnostics), chosen, count,
        chosen is not None and dataset is None,
    )  # fmt: skip


def _read_groups(data: Any) -> Groups:
    """Read the groups of InferenceData or a DataTree."""
    names = (
        data.groups() if callable(getattr(data, "groups", None)) else getattr(data, "groups", ())
    )
    names = [name.strip("/") for name in names] if hasattr(data, "attrs") else []
    groups = {name: as_dataset(data[name]) for name in names if name}
    posterior = groups.get("posterior", xarray.Dataset())
    if not {"chain", "draw"} <= set(posterior.dims) or not posterior.data_vars:
        raise RunError(
            "infer.report",
            f"the {type(data).__name__} given has no group `posterior` with variables, chains and "
            "draws",
            "Give what infer.sample, infer.fit or Approximation.sample returned, or other ArviZ "
            "data with a posterior.",
        )
    if 0 in (posterior.sizes["chain"], posterior.sizes["draw"]):
        raise RunError("infer.report", "the posterior has no draws", "Draw some: draws=1000.")
    return groups


def _choose_dataset(posterior: xarray.Dataset, asked: int | None) -> int | None:
    """Return the index of the data set to show, or `None` if there is only one."""
    count = posterior.sizes.get(SET)
    if asked is not None:
        asked = as_whole("dataset", asked, 0)
        if count is None or asked >= count:
            have = "is of a single data set" if count is None else f"has {count} data sets"
            raise RunError("dataset", f"{asked} was given, but the result {have}", "Leave it out.")
    if count is None or asked is not None:
        return asked
    largest = []
    for i in range(count):
        rhat = _diagnose(lay_out_numbers(posterior.isel({SET: i})))["r_hat"]
        largest.append(np.max(np.nan_to_num(rhat, nan=-1.0), initial=-1.0))
    return int(np.argmax(largest))


def _diagnose(numbers: Numbers) -> dict[str, np.ndarray]:
    unknown = np.full(len(numbers.names), np.nan)
    if numbers.draws.shape[2] < MIN_DRAWS:
        return {"r_hat": unknown, "ess_bulk": unknown, "ess_tail": unknown}
    rhat, bulk, tail = measure_mixing(numbers.draws)
    return {"r_hat": rhat, "ess_bulk": bulk, "ess_tail": tail}


def _rank(diagnostics: dict[str, np.ndarray]) -> np.ndarray:
    """Order the numbers by the worse of their ranks by R-hat and by ESS."""
    ess = np.minimum(diagnostics["ess_bulk"], diagnostics["ess_tail"])
    by_rhat, by_ess = (np.argsort(np.argsort(a)) for a in (-diagnostics["r_hat"], ess))
    known = ~np.isnan(diagnostics["r_hat"])
    return np.argsort(np.where(known, np.minimum(by_rhat, by_ess), by_ess), kind="stable")


def find_divergent_numbers(material: Material, count: int) -> list[int]:
    """Return the numbers in which the draws at divergences differ most from all draws, by ranks.

    First comes the one that is shifted most, such as the scale of a funnel; then those that are
    shifted, or closer together or farther apart.
    """
    draws = material.numbers.draws.reshape(len(material.numbers.names), -1)
    ranks = draws.argsort(1).argsort(1) / draws.shape[1] - 0.5
    at = ranks[:, material.diverging.reshape(-1)]
    # Both are 1 at most: a uniform rank has mean 0, and mean distance 1/4 from the middle.
    shift, spread = 2 * np.abs(at.mean(1)), 4 * np.abs(np.abs(at).mean(1) - 0.25)
    first = int(np.argmax(shift))
    others = np.argsort(-np.maximum(shift, spread), kind="stable")
    return [first, *(int(i) for i in others if i != first)][:count]


def to_log(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take logarithms of the positive numbers that span more than a factor of 100.

    Args:
        draws: Shape (numbers, chains, draws).

    Returns:
        The draws, and which numbers are logarithms now.
    """
    low, high = draws.min((1, 2)), draws.max((1, 2))
    wide = (low > 0) & (high > 100 * low)
    logs = np.log(np.where(wide[:, None, None], draws, 1.0))
    return np.where(wide[:, None, None], logs, draws), wide
