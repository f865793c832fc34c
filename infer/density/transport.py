"""Move points between coordinates in which some sites are centered to other degrees."""

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jax.interpreters.partial_eval import dce_jaxpr
from jaxtyping import Array

from bijectors.compose import repeat_over_batch

from ..models.priors.whitening import PartialWhitening
from ..types import ProgramSignature, Scalar, Vector, signature_of
from .recentered import Piece, PriorSpread, Recentered, find_entries, index_entries, mark_scalars


class Moved(NamedTuple):
    """A point in other coordinates, traced; or points on the host, with leading axes.

    Attributes:
        position: The same point, shape (size,).
        gradient: Gradient of the log density of these coordinates.
        log_det: What the log density of these coordinates exceeds that of the old ones by.
        location: Location of the prior of each entry that is no vector's, shape (entries,).
        log_scale: Log scale of the prior of each of these, likewise.
    """

    position: Any
    gradient: Any
    log_det: Any
    location: Any
    log_scale: Any


def move(density: Recentered, degrees: Array, position: Vector, gradient: Vector) -> Moved:
    """Move a point of the density to coordinates of other degrees; the values stay the same."""
    there, _, spread = _transport(density, degrees, position)
    other = replace(density, degrees=degrees)
    back = lambda q: _transport(other, jnp.asarray(density.degrees), q)[:2]  # noqa: E731
    (_, log_det), pull = jax.vjp(back, there)
    return Moved(there, pull((gradient, jnp.ones_like(log_det)))[0], log_det, *spread)


def move_position(density: Recentered, degrees: Array, position: Vector) -> Moved:
    """Move a point as `move` does, but not its gradient; the spreads are left out, too."""
    there = _transport(density, degrees, position)[0]
    other = replace(density, degrees=degrees)
    log_det = _transport(other, jnp.asarray(density.degrees), there)[1]
    return Moved(there, None, log_det, None, None)


def _transport(
    density: Recentered, degrees: Array, position: Vector
) -> tuple[Vector, Scalar, PriorSpread]:
    """Return a point in other coordinates, and the log-determinant of this map.

    The last result is the spread of the priors of all entries but those of vectors.
    """
    pieces, spreads = density.pieces, _read_spreads(density, position)
    old, new = jnp.asarray(density.degrees), jnp.asarray(degrees)
    both = list(zip(pieces, spreads, strict=True))
    scalars, marked = [pair for pair in both if not pair[0].is_vector], mark_scalars(pieces)
    # As they are if there are no others, so that nothing is gathered.
    pair = (old, new) if marked.all() else (old[marked], new[marked])
    moved, log_det, spread = _transport_scalars(scalars, *pair, position)
    for piece, own in both:
        if piece.is_vector:
            here = find_entries(pieces, piece)
            moved, more = _transport_vectors(piece, own, old[here], new[here], moved)
            log_det = log_det + more
    return moved, log_det, spread


def _read_spreads(density: Recentered, position: Vector) -> list[PriorSpread]:
    """Return the spread of the prior of each site, by a program that computes nothing else."""
    given = density, position
    flat = jaxpr_as_fun(_trace_spreads(signature_of(given)))(*jax.tree.leaves(given))
    return [PriorSpread(*pair) for pair in zip(flat[::2], flat[1::2], strict=True)]


@lru_cache(maxsize=64)
def _trace_spreads(signature: ProgramSignature) -> ClosedJaxpr:
    """Trace what the spreads need, once: `move` reads them twice, and differentiates that."""
    read = lambda density, q: density.read_spreads(q)[2]  # noqa: E731
    whole = jax.make_jaxpr(read)(*signature.outline())
    needed, _ = dce_jaxpr(whole.jaxpr, [True] * len(whole.jaxpr.outvars), instantiate=True)
    return ClosedJaxpr(needed, whole.consts)


def _transport_scalars(
    each: list[tuple[Piece, PriorSpread]], old: Array, new: Array, position: Vector
) -> tuple[Vector, Scalar, PriorSpread]:
    """Move all entries that belong to no vector; also return the spreads of their priors."""
    if not each:
        none = jnp.zeros(0, position.dtype)
        return position, none.sum(), PriorSpread(none, none)
    parts = zip(*(spread for _, spread in each), strict=True)
    location, log_scale = (jnp.concatenate([a.reshape(-1) for a in part]) for part in parts)
    location, log_scale = (a.astype(position.dtype) for a in (location, log_scale))
    where = index_entries([piece for piece, _ in each])
    # A scale may underflow to 0, and entries whose degree stays must stay too.
    growth = jnp.where(new == old, 0, (new - old) * log_scale)
    entries = jnp.exp(growth) * (position[where] - old * location) + new * location
    return position.at[where].set(entries), growth.sum(), PriorSpread(location, log_scale)


def _transport_vectors(
    piece: Piece, spread: PriorSpread, old: Array, new: Array, position: Vector
) -> tuple[Vector, Scalar]:
    """Move the vectors of one site, each entry of which has a degree."""
    begin, end = piece.begin, piece.begin + piece.size
    old, new = old.reshape(piece.shape), new.reshape(piece.shape)
    y, stays = position[begin:end].reshape(piece.shape), (old == new)[..., :1]
    # A factor may be singular, and vectors whose degree stays must stay too.
    factor = jnp.where(stays[..., None], jnp.eye(piece.shape[-1]), spread.scale)
    here, there = (
        repeat_over_batch(PartialWhitening(spread.location, factor, d[..., None]), piece.shape)
        for d in (old, new)
    )
    image = here.image(y)
    found = there.inverse(image.value)
    log_det = image.log_det - there.image(found).log_det
    entries = jnp.where(stays, y, found).reshape(-1)
    return position.at[begin:end].set(entries), log_det
