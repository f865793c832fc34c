"""Nested R-hat: whether many short chains have converged."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray

from ...errors import RunError
from ..data.angles import cosine_and_sine, is_angle
from ..data.versions import as_dataset


def nested_rhat(
    data: Any, superchains: int, var_names: Sequence[str] | None = None
) -> xarray.Dataset:
    """Compute nested R-hat, which is meant for many chains of few draws, even a single one.

    R-hat needs long chains, since it uses the variance within each one. Nested R-hat compares
    groups of chains instead. The chains of a group should start at one point, and the points of
    the groups should be widely spread:
    `starts={"x": numpy.repeat(points, chains_per_group, axis=0)}`.

    Args:
        data: ArviZ data of a run; its first chains are the first group, and so on.
        superchains: Number of groups, which all have the same number of chains.
        var_names: Names of variables; by default all.

    Returns:
        For each variable the square root of 1 + B / W, of the variable's shape: B is the variance
        of the groups' means, W the mean over groups of the variance between their chains' means
        plus the mean variance within their chains.

    Raises:
        RunError: There are fewer than two groups, they do not divide the chains evenly, or each
            group has one chain of one draw.

    Source: Margossian et al. (2024), Nested R-hat, arXiv 2110.13017, its estimator.
    """
    posterior = as_dataset(data["posterior"])
    posterior = posterior if var_names is None else posterior[list(var_names)]
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    if superchains < 2 or chains % superchains:
        raise RunError(
            "superchains",
            f"{chains} chains cannot be split into {superchains} groups",
            "Give a divisor of the number of chains that is at least 2.",
        )
    each = chains // superchains
    if each * draws == 1:
        raise RunError(
            "superchains",
            "each group would have one chain of one draw, which has no variance",
            "Give fewer superchains, or more draws.",
        )
    return posterior.map(lambda variable: _compute_nested_rhat(variable, superchains, each, draws))


def _compute_nested_rhat(
    variable: xarray.DataArray, superchains: int, each: int, draws: int
) -> xarray.DataArray:
    """Compute nested R-hat of one variable; for an angle, the larger of cosine and sine."""
    if is_angle(variable):
        cos, sin = (
            _compute_nested_rhat(part, superchains, each, draws)
            for part in cosine_and_sine(variable)
        )
        return cos.copy(data=np.maximum(cos.values, sin.values))
    numbers = np.asarray(variable.transpose("chain", "draw", ...), np.float64)
    groups = numbers.reshape(superchains, each, draws, *numbers.shape[2:])
    means = groups.mean(2)
    within = groups.var(2, ddof=1).mean(1) if draws > 1 else 0.0
    among = means.var(1, ddof=1) if each > 1 else 0.0
    between = means.mean(1).var(0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.sqrt(1 + between / np.mean(within + among, 0))
    rest = variable.isel(chain=0, draw=0, drop=True)
    return rest.copy(data=value)
