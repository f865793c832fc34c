"""Find narrow necks that the chains did not enter, where the scale of a centered site is small."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...density.base import LogDensity
from ...density.funnels import Spread, find_funnel_sites, read_spreads
from ...density.slices import find_slices
from ...engines.base import Draws, Engine
from ...models.inputs.names import join_names
from ...programs.native import CompiledProgram, compile_program, prepare
from ...programs.slices import call_in_slices, choose_rows
from ..finding import Finding
from ..remedy import advise_non_centered, join_advice

# A scale follows one coordinate if its logarithm is, up to this, a linear function of it.
LINEAR = 1 - 1e-6
# Where the ramps of test functions begin and end, as quantiles of the log scale.
RAMPS = (0.05, 0.3), (0.02, 0.2)
# Standard errors by which the test must fail: by chance once in 4,000 sites that are tested.
SIGNIFICANT = 4.0
BATCHES = 10
# Draws from which the coordinate of a scale is found, and share of them that are the smallest.
MAX_DRAWS, SMALLEST = 1000, 0.02
# Maximum number of sites that are named.
MAX_NAMED = 5


class Neck(NamedTuple):
    """The log scale of the sites whose prior's scale follows one coordinate.

    Attributes:
        sites: Names of the sites.
        log_scale: Shape (chains, draws).
        slope: Derivative of the log density along the neck with respect to the log scale, in nats:
            the sites keep their distance from their locations in units of the scale. Likewise.
    """

    sites: tuple[str, ...]
    log_scale: np.ndarray
    slope: np.ndarray


def prepare_necks(density: LogDensity) -> None:
    """Start to compile what `find_necks` calls, if there are sites with such a scale."""
    if names := find_funnel_sites(density):
        blank = np.zeros((choose_rows(density.size), density.size), jnp.result_type(float))
        prepare(_read_all, (names,), (density, blank), "fast_compile")


def find_necks(engine: Engine, density: LogDensity, draws: Draws) -> Iterator[Finding]:
    """Report sites whose smallest scales have more posterior density than the draws show.

    Let t be the log scale and u the derivative of the log density along the neck. If the draws
    cover the posterior, the mean of h(t) u + h'(t) is zero for every smooth h, by integration by
    parts (Stein's identity). If no draw has a scale below some edge, the mean is minus the
    density of t at the edge, for an h that is one there and falls to zero.

    Args:
        engine: The engine that made the draws.
        density: The log density.
        draws: Its draws, with positions of shape (chains, draws, size).

    Source: Stein's identity as in Gorham & Mackey (2015), Measuring sample quality with Stein's
        method, equation 3.
    """
    names = find_funnel_sites(density)
    if not names or draws.gradients.shape != draws.positions.shape or not density.jacobian:
        return
    spreads = _read_spreads(density, names, draws.positions)
    for neck in _measure_necks(density, draws, spreads):
        edge = max((_measure_edge(neck, ramp) for ramp in RAMPS), key=lambda e: e[0] / e[1])
        if edge[0] > SIGNIFICANT * edge[1]:
            yield _describe(neck, edge[0], advise_non_centered(density, engine))


def _describe(neck: Neck, edge: float, advice: str) -> Finding:
    t, named = neck.log_scale, join_names(neck.sites, MAX_NAMED)
    slope = float(neck.slope[t <= np.quantile(t, SMALLEST)].mean())
    # Below the edge the density falls by `slope` nats for each unit of the log scale, or faster.
    share = edge / slope if slope > edge else 1.0
    mass = f"up to {share:.0%}" if share < 0.5 else "much"
    return Finding(
        "narrow_neck",
        f"no draw has a scale of {named} below {np.exp(t.min()):.3g}, but the posterior is still "
        f"dense there: {mass} of its mass lies in a narrow neck of smaller scales that the chains "
        "did not enter.",
        join_advice(advice),
        neck.sites,
    )


def _measure_edge(neck: Neck, ramp: tuple[float, float]) -> tuple[float, float]:
    """Estimate the density of the log scale at the smallest one, and its standard error."""
    t = neck.log_scale
    begin, end = np.quantile(t, ramp)
    if not end > begin:
        return 0.0, 1.0
    weight = np.clip((end - t) / (end - begin), 0, 1)
    each = -weight * neck.slope + ((t > begin) & (t < end)) / (end - begin)
    size = each.shape[1] // BATCHES
    means = each[:, : size * BATCHES].reshape(-1, size).mean(1)
    return float(each.mean()), float(means.std(ddof=1) / np.sqrt(len(means)) + 1e-12)


def _measure_necks(density: LogDensity, draws: Draws, spreads: dict[str, Spread]) -> Iterator[Neck]:
    """Measure the necks, one for each coordinate that a scale follows."""
    positions, scores = (a.astype(np.float64) for a in (draws.positions, draws.gradients))
    where, lead = _locate_sites(density), positions.shape[:2]
    by_coordinate: dict[int, list[tuple[str, float]]] = {}
    for name, spread in spreads.items():
        scales = np.asarray(spread.scale).reshape(*lead, -1)
        coordinate, rate = _find_coordinate(scales, positions)
        if coordinate >= 0:
            by_coordinate.setdefault(coordinate, []).append((name, rate))
    for coordinate, followers in by_coordinate.items():
        slope = scores[..., coordinate]
        for name, rate in followers:
            own = where[name]
            away = positions[..., own] - spreads[name].location.reshape(*lead, -1)
            slope = slope + rate * ((away * scores[..., own]).sum(-1) + len(own))
        first, rate = followers[0]
        log_scale = np.log(spreads[first].scale.reshape(*lead, -1)[..., 0])
        yield Neck(tuple(name for name, _ in followers), log_scale, slope / rate)


def _find_coordinate(scales: np.ndarray, positions: np.ndarray) -> tuple[int, float]:
    """Return the coordinate that a log scale follows, and its rate of change; -1 if none.

    Args:
        scales: Shape (chains, draws, entries); all entries of a draw must be equal.
        positions: Shape (chains, draws, size).
    """
    if np.ptp(scales, axis=2).any() or not (scales > 0).all() or not np.isfinite(scales).all():
        return -1, 0.0
    every = -(-scales.shape[0] * scales.shape[1] // MAX_DRAWS)
    few = positions[:, ::every].reshape(-1, positions.shape[-1])
    logs = np.log(scales[:, ::every, 0]).ravel()
    few, logs = few - few.mean(0), logs - logs.mean()
    spread, product = (few**2).sum(0), logs @ few
    with np.errstate(divide="ignore", invalid="ignore"):
        agreement = np.nan_to_num(product**2 / (spread * (logs @ logs)))
    best = int(np.argmax(agreement))
    return (best, float(product[best] / spread[best])) if agreement[best] > LINEAR else (-1, 0.0)


def _locate_sites(density: LogDensity) -> dict[str, np.ndarray]:
    """Return the indices of each latent site's coordinates."""
    slices = find_slices(density.latent)
    return {name: np.arange(own.start, own.stop) for name, own in slices.items()}


def _read_spreads(
    density: LogDensity, names: tuple[str, ...], positions: np.ndarray
) -> dict[str, Spread]:
    """Read where the priors put the sites at each draw; arrays of shape (chains * draws, ...)."""
    rows = choose_rows(density.size)
    blank = np.zeros((rows, density.size), positions.dtype)
    made, _ = compile_program(_read_all, (names,), (density, blank), "fast_compile")
    assert isinstance(made, CompiledProgram)
    flat = positions.reshape(-1, density.size)
    found = call_in_slices(lambda own: made.call(density, own), flat, rows)
    return {name: Spread(*(a.astype(np.float64) for a in own)) for name, own in found.items()}


def _read_all(names: tuple[str, ...], density: LogDensity, positions: Array) -> dict[str, Spread]:
    def read(position: Array) -> dict[str, Spread]:
        spreads = read_spreads(density, position)
        return {name: spreads[name] for name in names}

    return jax.vmap(read)(positions)
