"""Find starting points at which the log density and its gradient are finite."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..errors import StartError
from ..models.names import listed
from .base import LogDensity
from .explanation import explained

Starts = str | Mapping[str, Any]

TRIES = 100
# Of so many uniform starts a chain takes the one of highest log density.
CANDIDATES = 8
# Stan's default: uniform on (-2, 2) in the unconstrained space.
RADIUS = 2.0


class Points(NamedTuple):
    """Evaluated points, one for each chain, on the host.

    Attributes:
        positions: Shape (chains, size).
        log_densities: Shape (chains,), in nats.
        gradients: Shape (chains, size).
    """

    positions: np.ndarray
    log_densities: np.ndarray
    gradients: np.ndarray


def find_starts(density: LogDensity, chains: int, key: np.ndarray, starts: Starts) -> Points:
    """Find a usable start for every chain.

    Args:
        density: The log density.
        chains: Number of starts.
        key: Key data, shape (2,), of threefry2x32.
        starts: "uniform" (the best of eight on (-2, 2) of the unconstrained space), "prior",
            or constrained values by name, each of a site's shape or with a leading axis of
            chains.

    Raises:
        StartError: After 100 tries a chain has no finite start; the message names the terms
            that are not finite, with the values.
        ModelError: Given values are missing, of a wrong shape, or outside their set.
    """
    if not isinstance(starts, str):
        return _given(density, chains, starts)
    found = search(density, chains, key, starts)
    which = f"at the first of {TRIES} starts that were tried:"
    mend = "Give starting values, or weaker constraints; infer.explain(model) shows every term."
    return _refuse_unusable(density, found, which, mend)


def search(density: LogDensity, chains: int, key: np.ndarray, starts: str) -> Points:
    """Search as `find_starts` does, and return the first points tried where none is usable."""
    # A draw from the prior is kept; of uniform ones, some lie where no chain comes back from.
    candidates = CANDIDATES if starts == "uniform" else 1
    found = _propose(density, key, 0, chains, starts)
    for attempt in range(1, TRIES):
        usable = _usable(found)
        if attempt >= candidates and usable.all():
            break
        again = _propose(density, key, attempt, chains, starts)
        better = again.log_densities > found.log_densities
        better = _usable(again) & (better & (attempt < candidates) | ~usable)
        found = Points(*(_pick(better, new, old) for new, old in zip(again, found, strict=True)))
    return found


def refuse_misfits(density: LogDensity, chains: int, starts: Starts) -> None:
    """Raise where starts have an unknown name or a wrong shape, computing nothing."""
    if not isinstance(starts, str):
        for values in _per_chain(density, chains, starts):
            density.check_names(values)
    elif starts not in ("uniform", "prior"):
        raise StartError(
            "starts", f"{starts!r} is unknown", 'Choose "uniform", "prior", or give values by name.'
        )


def evaluate(density: LogDensity, positions: np.ndarray) -> Points:
    """Evaluate the log density and gradient at points of shape (chains, size)."""
    values, gradients = _evaluate(density, jnp.asarray(positions))
    return Points(np.asarray(positions), np.asarray(values), np.asarray(gradients))


@eqx.filter_jit
def _evaluate(density: LogDensity, positions: Array) -> tuple[Array, Array]:
    return jax.vmap(density.evaluate)(positions)


def _propose(density: LogDensity, key: np.ndarray, attempt: int, chains: int, how: str) -> Points:
    # Bits must not depend on how the user's own programs draw theirs.
    with jax.threefry_partitionable(True):
        draws = _draw(density, key, np.uint32(attempt), np.arange(chains, dtype=np.uint32), how)
    return Points(*(np.asarray(a) for a in draws))


@eqx.filter_jit
def _draw(density: LogDensity, key: Any, attempt: Any, chains: Any, how: str):
    root = jax.random.wrap_key_data(key, impl="threefry2x32")

    def one(chain: Array) -> Array:
        own = jax.random.fold_in(jax.random.fold_in(root, chain), attempt)
        if how == "prior":
            return density.draw_prior(own)
        return jax.random.uniform(own, (density.size,), minval=-RADIUS, maxval=RADIUS)

    positions = jax.vmap(one)(chains)
    return positions, *jax.vmap(density.evaluate)(positions)


def _per_chain(
    density: LogDensity, chains: int, values: Mapping[str, Any]
) -> list[dict[str, np.ndarray]]:
    shapes = {site.name: site.shape for site in density.latent}
    arrays = {name: np.asarray(value) for name, value in values.items()}
    return [
        {
            n: np.asarray(a[c]) if a.shape == (chains, *shapes.get(n, ())) else a
            for n, a in arrays.items()
        }
        for c in range(chains)
    ]


def _given(density: LogDensity, chains: int, values: Mapping[str, Any]) -> Points:
    per_chain = _per_chain(density, chains, values)
    positions = np.stack([np.asarray(density.unconstrain(v)) for v in per_chain])
    found = evaluate(density, positions)
    return _refuse_unusable(
        density, found, "at the start", "Give values where every term is finite."
    )


def _usable(points: Points) -> np.ndarray:
    return np.isfinite(points.log_densities) & np.isfinite(points.gradients).all(-1)


def _pick(chosen: np.ndarray, new: np.ndarray, old: np.ndarray) -> np.ndarray:
    return np.where(chosen.reshape(-1, *(1,) * (new.ndim - 1)), new, old)


def _refuse_unusable(density: LogDensity, points: Points, which: str, mend: str) -> Points:
    usable = _usable(points)
    if usable.all():
        return points
    at = explained(density, jnp.asarray(points.positions[int(np.argmin(usable))]))
    first, *more = [line for line in (*at.lines, at.total) if line.trouble]
    names = [line.name for line in more if line is not at.total]
    also = f"; also not finite: {listed(names)}" if names else ""
    raise StartError(first.name, f"its {first.trouble}, {which} {at.point}{also}", mend)
