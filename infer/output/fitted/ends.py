"""Judge where the searches for a mode ended: what is wrong, and what to do about it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ...density.base import LogDensity
from ...models.inputs.names import join_names
from ...models.protocol.site import Site
from ...numerics.mode_search import ROUNDING, UNBOUNDED
from ..finding import Finding
from .rise import Flat, Rise, find_bend, find_flat, find_rise
from .surroundings import Probe, find_same_mode, list_most_changed, tolerance

# Absolute unconstrained value beyond which a value is at the edge of its set: exp(-16) is 1e-7.
EDGE = 16.0
# Absolute unconstrained value from which it is tried whether the mode is at the edge of a set:
# exp(-8) is 0.0003.
NEAR_EDGE = 8.0
# Nats, 0.14 standard deviations, that rounding may leave to the mode without a word.
ROUNDED = 0.01
# Nats by which the log density must still rise, twice as far from zero, to be called unbounded.
STILL_RISING = 1.0
# Nats per unconstrained unit towards an edge from which the log density counts as rising there.
STEEP = 0.1
# Unconstrained value from which it is tried whether the log density rises further out still, and
# multiples of the position at which it is.
REMOTE, OUTWARD = 1e4, np.array([2.0, 4.0, 8.0])
# Kinds of findings after which an end is not a mode.
RISING = ("saddle_point", "unbounded_density", "flat_density")
# Maximum number of quantities and starts that are named.
MAX_NAMED = 3


class Ends(NamedTuple):
    """Where the searches for the mode of one density ended.

    Attributes:
        density: The log density.
        max_steps: Maximum number of steps of a search.
        positions: Shape (searches, size).
        lp: Log densities there in nats, shape (searches,).
        converged: Whether each met its stopping rule, shape (searches,).
        reasons: Why each ended, as codes of `numerics.mode_search`, shape (searches,).
        decrement: Estimated distance of each from its mode in nats, shape (searches,).
        best: Index of the one that is called the mode.
        values: Constrained values there, by name.
        gradient: Gradient there, shape (size,).
        on_host: Whether a program that evaluates one point is to be used around it.
    """

    density: LogDensity
    max_steps: int
    positions: np.ndarray
    lp: np.ndarray
    converged: np.ndarray
    reasons: np.ndarray
    decrement: np.ndarray
    best: int
    values: Mapping[str, np.ndarray]
    gradient: np.ndarray | None = None
    on_host: bool = False


class Findings(NamedTuple):
    """What was found.

    Attributes:
        rises: Whether the log density rises from the best end, which then is not a mode.
        findings: What is wrong, with what to do.
    """

    rises: bool
    findings: tuple[Finding, ...]


def examine_ends(ends: Ends) -> tuple[np.ndarray, Findings]:
    """Return which searches ended at the best place, and what is wrong.

    With a minibatch no search converges and no two ends are equal, so only those that are as high
    are returned.
    """
    lp, valued = float(ends.lp[ends.best]), ends.density.has_value
    high = ends.lp >= lp - tolerance(lp) if valued else np.full(len(ends.lp), True)
    if "minibatch" in ends.density.offers:
        return high, Findings(False, ())
    probe = Probe.at(ends.density, ends.positions[ends.best], ends.on_host, ends.gradient)
    same = np.arange(len(ends.lp)) == ends.best
    same[high] |= find_same_mode(probe, lp, ends.positions[high])
    rise = flat = None
    if ends.converged[ends.best] and valued:
        bend = find_bend(probe)
        rise, flat = find_rise(probe, lp, bend), find_flat(probe, lp, bend)
    found = tuple(_find_problems(ends, probe, high, same, rise, flat))
    return same, Findings(any(own.kind in RISING for own in found), found)


def _find_problems(
    ends: Ends, probe: Probe, high: np.ndarray, same: np.ndarray,
    rise: Rise | None, flat: Flat | None,
) -> Iterator[Finding]:  # fmt: skip
    if not ends.converged[ends.best]:
        yield _describe_unbounded(ends, probe) or _describe_unfinished(ends)
        return
    others = np.flatnonzero(high & ~same & ends.converged)
    edge = _describe_boundary(ends, probe) if ends.density.has_value else None
    # A ridge may lead to the edge: searches that ended as high inside show that it is flat.
    inside = [i for i in others if not _find_edges(ends._replace(best=int(i)), NEAR_EDGE)]
    if edge and not (inside and edge.kind == "mode_at_boundary"):
        yield edge
        return
    if _is_remote(ends, probe) and (remote := _describe_rising(ends, probe)):
        yield remote
        return
    if rise is not None:
        yield Finding(
            "saddle_point",
            f"the search ended at a saddle point: from there the log density rises by "
            f"{rise.gain:.3g} nats along {join_names(rise.along, MAX_NAMED)}, so this is not a "
            "mode.",
            "Give other starts=, away from symmetries of the model.",
            rise.along,
        )
        return
    if ends.reasons[ends.best] == ROUNDING and ends.decrement[ends.best] > ROUNDED:
        yield _describe_rounding(ends)
    if len(others) and ends.density.has_value:
        yield Finding(
            "several_maxima",
            f"{len(others)} of {len(same)} searches ended equally high at other places (from start "
            f"{join_names(map(str, others), MAX_NAMED)}): there are several modes, or the log "
            "density is flat between them. every_value has them all.",
            "A prior separates them, or an order (bijectors.Ordered) if components can be "
            "exchanged.",
        )
    elif flat is not None:
        yield _describe_flat(flat)
    elif same.sum() == 1 and len(same) > 1:
        yield Finding(
            "maximum_found_once",
            f"only 1 of {len(same)} searches ended there, so a higher mode may have been missed.",
            "Give more starts=.",
        )


def _is_remote(ends: Ends, probe: Probe) -> bool:
    """Return whether a search went far, or to where rounding hides that the log density rises."""
    if not ends.density.has_value:
        return False
    is_near = ends.decrement[ends.best] <= ROUNDED and np.spacing(ends.lp[ends.best]) < STILL_RISING
    is_rounded = ends.reasons[ends.best] == ROUNDING and not is_near
    return bool(is_rounded or np.abs(probe.center).max() > REMOTE)


def _describe_flat(flat: Flat) -> Finding:
    where = "on both sides" if flat.is_everywhere else "on one side, however far one goes"
    return Finding(
        "flat_density",
        f"the log density does not fall along {join_names(flat.along, MAX_NAMED)} {where}, so the "
        "search ended at one of many points that are equally high, and there is no mode.",
        "Give these sites proper priors, or remove them if nothing depends on them.",
        flat.along,
    )


def _describe_unfinished(ends: Ends) -> Finding:
    most, converged = ends.max_steps, int(ends.converged.sum())
    rest = f"; {converged} of {len(ends.lp)} searches did, at lower values" if converged else ""
    return Finding(
        "unfinished_search",
        f"the search with the highest log density did not converge{rest}, so its values are not "
        "a mode.",
        f"Look at its trace; allow more steps (max_steps={most} now), give other starts=, "
        "or rescale the model so that its unconstrained values have similar sizes.",
    )


def _describe_rounding(ends: Ends) -> Finding:
    lp, dtype = float(ends.lp[ends.best]), ends.positions.dtype
    return Finding(
        "rounded_mode",
        f"the search stopped an estimated {ends.decrement[ends.best]:.2g} nats below the mode, "
        f"because a log density of {lp:.3g} nats is rounded to {np.spacing(dtype.type(lp)):.1g}.",
        'Compute in double precision, jax.config.update("jax_enable_x64", True), or subtract a '
        "constant from each term of the log density."
        if dtype == np.float32
        else "Subtract a constant from each term of the log density.",
    )


def _describe_unbounded(ends: Ends, probe: Probe) -> Finding | None:
    """Describe where the log density seems to grow without bound, if it does."""
    if not ends.density.has_value:
        return None
    edges = _find_edges(ends)
    if not edges or not _rises_outward(ends, probe, edges):
        return _describe_rising(ends, probe)
    rising = _mark_rising(ends, probe, edges)
    steep = [site.name for site, place in _list_places(ends) if rising[place].any()]
    edges = {name: edges[name] for name in steep or edges}
    other = (
        'MAP(space="unconstrained") adds the log-determinants of the maps, which may prevent this. '
        if not ends.density.jacobian
        else ""
    )
    return Finding(
        "unbounded_density",
        "the log density seems to grow without bound as "
        f"{join_names(edges.values(), MAX_NAMED)}: it had reached {ends.lp[ends.best]:.4g} nats "
        "when the search stopped, so there is no mode.",
        f"{other}Give these sites priors that vanish there, or fix them with model.freeze(...).",
        tuple(edges),
    )


def _describe_boundary(ends: Ends, probe: Probe) -> Finding | None:
    """Describe values that tend to the edge of their sets, where the log density is highest.

    If it still rises there steeply, it has no highest value: the curvature in other directions was
    so large that the search took what is left for nothing.
    """
    edges = _find_edges(ends, NEAR_EDGE)
    if not edges:
        return None
    if _rises_outward(ends, probe, edges):
        return _describe_unbounded(ends, probe)
    far = _mark_far(ends, probe, edges, NEAR_EDGE)
    values, _ = probe.evaluate(np.where(far, 2 * probe.center, probe.center)[None])
    if not values[0] >= ends.lp[ends.best]:
        return None
    return Finding(
        "mode_at_boundary",
        f"the log density is highest at the edge of a set, as {join_names(edges.values(), 3)}: "
        "it rises towards the edge, by less and less.",
        "The values are those of the edge, and have no standard errors. For an interior mode, use "
        'MAP(space="unconstrained"), or give these sites priors that vanish at the edge.',
        tuple(edges),
    )


def _rises_outward(ends: Ends, probe: Probe, edges: Mapping[str, str]) -> bool:
    """Return whether the log density rises steeply towards the edge of a set, or did to the last.

    Where the values have underflowed the slope is NaN: the search went as far as numbers go.
    """
    return bool(_mark_rising(ends, probe, edges).any()) or ends.reasons[ends.best] == UNBOUNDED


def _mark_rising(ends: Ends, probe: Probe, edges: Mapping[str, str]) -> np.ndarray:
    """Return towards which edges the log density rises steeply, shape (size,)."""
    _, gradients = probe.evaluate(probe.center[None])
    is_flat = gradients[0] * np.sign(probe.center) <= STEEP
    return _mark_far(ends, probe, edges, EDGE) & ~is_flat


def _mark_far(ends: Ends, probe: Probe, edges: Mapping[str, str], edge: float) -> np.ndarray:
    """Return which coordinates are near the edges of their sets, shape (size,)."""
    far = np.zeros(len(probe.center), bool)
    for site, place in _list_places(ends):
        far[place] = (site.name in edges) & (np.abs(probe.center[place]) > edge)
    return far


def _list_places(ends: Ends) -> Iterator[tuple[Site, slice]]:
    """List the latent sites with their places in the flat vector."""
    begin = 0
    for site in ends.density.latent:
        end = begin + int(np.prod(site.unconstrained_shape))
        yield site, slice(begin, end)
        begin = end


def _find_edges(ends: Ends, edge: float = EDGE) -> dict[str, str]:
    """Describe the sites whose values are at the edge of their sets, by name."""
    found = {}
    for site, place in _list_places(ends):
        flat = ends.positions[ends.best][place]
        if site.bijector == "Identity" or not np.any(np.abs(flat) > edge):
            continue
        value = np.ravel(ends.values[site.name])
        alone = len(value) == len(flat)
        found[site.name] = (
            f"{site.name} -> {_round_to_edge(value[np.argmax(np.abs(flat))], edge)}"
            if alone
            else f"{site.name} approaches the edge of its set"
        )
    return found


def _round_to_edge(value: Any, edge: float) -> str:
    """Format a value near the edge of a set as that edge."""
    if abs(value) < np.exp(-edge):
        return "0"
    return f"{np.copysign(np.inf, value)}" if abs(value) > np.exp(edge) else f"{value:.6g}"


def _goes_on_rising(lp: float, values: np.ndarray) -> bool:
    """Return whether values further and further out rise, unless numbers end there."""
    is_higher = values[0] > lp + STILL_RISING or values[0] == np.inf
    steps = np.diff(values[np.cumsum(~np.isfinite(values)) == 0])
    return bool(is_higher and (steps > 0).all())


def _describe_rising(ends: Ends, probe: Probe) -> Finding | None:
    """Describe that the log density rises further out, unless there is a higher mode there."""
    center, lp = probe.center.astype(float), ends.lp[ends.best]
    with np.errstate(over="ignore"):
        values, _ = probe.evaluate(OUTWARD[:, None] * center)
    if not _goes_on_rising(lp, values):
        return None
    along = list_most_changed(ends.density, center)
    return Finding(
        "unbounded_density",
        f"the log density still rises further out along {join_names(along, MAX_NAMED)}: from "
        f"{lp:.4g} to {values[0]:.4g} nats at twice the unconstrained values that the search "
        "reached. It may have no mode.",
        "Give these sites priors, or allow more steps (max_steps=).",
        along,
    )
