"""What calibration ranks at draws, and how many draws apart it is nearly independent."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...density.base import LogDensity
from ...models.protocol.account import Account
from ...models.protocol.undivided import divide
from ...programs.native import call_compiled
from ...programs.slices import call_in_slices
from ...run.run import Run
from ..data.arviz import split_complex

# Maximum thinning, if it is chosen here.
MAX_THIN = 64
# Maximum number of simulations, and of quantities of each, whose effective sizes are computed.
MAX_MEASURED = 16
# Maximum growth of the thinning from one estimate to the next: effective sizes of a hundred draws
# are rough, and one that is too small by far would make all chains too long.
MAX_GROWTH = 4
# Points evaluated in one call; a fixed size, so that their number compiles nothing.
SLICE = 128
# Quantiles of the tail effective sizes, as in ArviZ.
TAILS = (0.05, 0.95)
# Minimum number of draws for which ArviZ computes an effective size.
MIN_DRAWS = 4


class Ranked(NamedTuple):
    """What is ranked at points of one simulation, along a leading axis.

    Attributes:
        quantities: Latent and derived values, and the two parts of the log density, by name.
        frozen_priors: Log density of the prior of each frozen site.
    """

    quantities: dict[str, Any]
    frozen_priors: dict[str, Any]


def evaluate_ranked(density: LogDensity, positions: np.ndarray) -> Ranked:
    """Compute all that is ranked at positions of shape (rows, size), in slices of one length."""
    joined = call_in_slices(
        lambda own: call_compiled(_compute_ranked, density, own), positions, SLICE
    )
    parts = [split_complex(name, value) for name, value in joined.quantities.items()]
    return Ranked({name: a for part in parts for name, a in part.items()}, joined.frozen_priors)


def _compute_ranked(density: LogDensity, positions: Array) -> Ranked:
    """Compute the ranked quantities at positions of shape (rows, size), in one program."""

    def of_one(position: Array) -> Ranked:
        account = density.read(position)[0]
        own = _sum_parts(account)
        frozen_priors = {t.name: t.rows.sum() for t in account.terms if t.name in account.frozen}
        return Ranked(
            {n: jnp.asarray(a) for n, a in (own | account.values()).items()}, frozen_priors
        )

    return jax.vmap(of_one)(positions)


def _sum_parts(account: Account) -> dict[str, Any]:
    """Return the log densities of prior and likelihood."""
    if divided := divide(account):
        rows = sum(own.sum() for own in divided.rows.values())
        return {"log_prior": divided.log_prior, "log_likelihood": rows}
    total = lambda role: sum(t.rows.sum() for t in account.terms if t.role == role)  # noqa: E731
    return {"log_prior": total("prior"), "log_likelihood": total("likelihood")}


def join_chains(run: Run, positions: np.ndarray) -> np.ndarray:
    """Join the chains of each simulation: (simulations, draws, size)."""
    return positions.reshape(run.family.count, -1, positions.shape[-1])


def sample_until_spaced(run: Run, each: int) -> int:
    """Sample until every `thin`-th draw is nearly independent; return `thin`."""
    thin, wanted = 0, 1
    # Effective sizes are estimates: a difference of less than a fifth does not count.
    while wanted > 1.2 * thin:
        thin = min(wanted, max(MAX_GROWTH * thin, 1))
        run.advance(each * thin - run.fewest())
        wanted = min(_measure_spacing(run), MAX_THIN)
    return thin


def _measure_spacing(run: Run) -> int:
    """Return the number of draws per effective draw of the slowest quantity."""
    positions, count = run.draws().positions, run.family.count
    members = range(0, count, -(-count // MAX_MEASURED))
    chains, draws = len(positions) // count, positions.shape[1]
    needed = []
    for i in members:
        found = evaluate_ranked(run.family.member(i), join_chains(run, positions)[i]).quantities
        series = np.concatenate([a.reshape(chains, draws, -1) for a in found.values()], axis=-1)
        series = series[..., :: -(-series.shape[-1] // MAX_MEASURED)]
        needed.append([chains * draws / _effective_size(own) for own in np.moveaxis(series, -1, 0)])
    # An excess of a tenth does not justify dropping every second draw.
    return max(int(np.ceil(np.mean(needed, axis=0).max() - 0.1)), 1)


def _effective_size(series: np.ndarray) -> float:
    """Compute the effective size of draws (chains, draws); all of them if constant or too few."""
    if np.ptp(series) == 0 or series.shape[1] < MIN_DRAWS:
        return float(series.size)
    import arviz as az

    bulk, tail = az.ess(series, method="bulk"), az.ess(series, method="tail", prob=TAILS)
    sizes = float(bulk), float(tail)
    return min((size for size in sizes if np.isfinite(size)), default=float(series.size))
