"""A log density in coordinates in which some sites are centered to a degree; maps between them.

A value x whose prior has location m and scale s has coordinates y for each degree c from 0 to 1:

    x = m + s^(1 - c) * (y - c * m),

non-centered for c = 0, and x itself for c = 1. For a log-normal prior x stands for the logarithm
of the value. The degrees are an array, so that other degrees compile nothing.

Source: Papaspiliopoulos, Roberts & Skoeld (2007), A general framework for the parametrization of
    hierarchical models, section 3; Gorinova, Moore & Hoffman (2020), Automatic reparameterization
    of probabilistic programs.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bijectors.base import Image, Shape
from bijectors.joint import Joint

from ..models.priors.centering import partial_centering
from ..models.priors.prior import strip_axes
from ..models.protocol.account import Account
from ..models.protocol.reader import DelegatingReader
from ..models.protocol.site import Declaration
from ..programs.garbage import pause_collection
from ..types import ProgramSignature, Scalar, Vector, signature_of
from .base import LogDensity
from .family import Family
from .funnels import find_moving
from .readers import FlatReader


class Piece(NamedTuple):
    """Where the flat vector has a site whose centering is learned.

    Attributes:
        name: Name of the site.
        begin: Index of its first entry.
        shape: Shape of the site.
    """

    name: str
    begin: int
    shape: Shape

    @property
    def size(self) -> int:
        """Number of its entries."""
        return prod(self.shape)


class Recentered(LogDensity):
    """A log density whose vector has these sites in coordinates of their degree of centering.

    Only its evaluation knows of them: `unconstrain` and `draw_prior` return the vector in the
    coordinates of the density that it was made of, in which every degree is 1.

    Attributes:
        pieces: The sites.
        degrees: The degree of each of their entries, from 0 to 1, in order.
    """

    pieces: tuple[Piece, ...] = eqx.field(static=True, default=())
    degrees: Float[Array | np.ndarray, "*members entries"] | None = None

    def read(self, position: Vector) -> tuple[Account, Joint]:
        account, joint, _ = self.read_spreads(position)
        return account, joint

    def _read_with_moments(self, position: Vector, moments: Any) -> tuple[Account, Joint]:
        # Priors of sites that are not centered have no expectation in closed form.
        return self.read(position)

    def read_spreads(self, position: Vector) -> "tuple[Account, Joint, list[_Spread]]":
        """Run the model at one point; also return the spread of the prior of each such site."""
        inner = FlatReader(position, self.model.rules, self.seen)
        reader = _CenteringReader(inner, split_entries(self.pieces, self.degrees))
        account = self.model.run(reader)
        return account, inner.joint, [reader.spreads[piece.name] for piece in self.pieces]


class _Spread(NamedTuple):
    """Location and log scale of the prior of a site, each of the shape of the site."""

    location: Array
    log_scale: Array


class _CenteringReader(DelegatingReader):
    """Give sites the map of their degree of centering, and record the spread of their priors."""

    def __init__(self, reader: FlatReader, degrees: dict[str, Array]) -> None:
        super().__init__(reader)
        self._degrees = degrees
        self.spreads: dict[str, _Spread] = {}

    def take(self, declaration: Declaration) -> Image:
        name, shape = declaration.name, declaration.shape
        if name not in self._degrees or declaration.prior is None:
            return self.reader.take(declaration)
        bijector = partial_centering(
            strip_axes(declaration.prior.distribution), self._degrees[name]
        )
        self.spreads[name] = _Spread(
            jnp.broadcast_to(jnp.asarray(bijector.location, float), shape),
            jnp.broadcast_to(jnp.log(jnp.asarray(bijector.scale, float)), shape),
        )
        return self.reader.take(replace(declaration, bijector=bijector))


def find_pieces(density: LogDensity) -> tuple[Piece, ...]:
    """Find the sites whose centering can be learned; traces the model at most once.

    They declare so, and their location or scale depends on the vector.
    """
    if not any(site.learns_centering for site in density.latent):
        return ()
    return _find_pieces(signature_of(density))


@lru_cache(maxsize=64)
@pause_collection()
def _find_pieces(kind: ProgramSignature) -> tuple[Piece, ...]:
    density: LogDensity = kind.outline()
    candidates = _list_candidates(density)
    made = Recentered(**_fields_of(density), pieces=candidates)
    position = jax.ShapeDtypeStruct((density.size,), jnp.result_type(float))
    ones = jnp.ones(sum(piece.size for piece in candidates))
    traced = jax.make_jaxpr(lambda d, q: replace(d, degrees=ones).read_spreads(q)[2])(
        made, position
    )
    moving = iter(find_moving(traced))
    return tuple(own for own in candidates if any([next(moving), next(moving)]))


def _list_candidates(density: LogDensity) -> tuple[Piece, ...]:
    found, begin = [], 0
    for site in density.latent:
        # In the default coordinates the degree must be 1.
        if site.learns_centering and site.bijector in ("Identity", "Exp"):
            found.append(Piece(site.name, begin, site.shape))
        begin += prod(site.unconstrained_shape)
    return tuple(found)


def _fields_of(density: LogDensity) -> dict[str, Any]:
    names = ("model", "sites", "jacobian", "minibatches", "seen")
    return {name: getattr(density, name) for name in names}


class Centering(NamedTuple):
    """How far the entries of some sites are centered.

    Attributes:
        pieces: The sites, as `find_pieces` returns them.
        degrees: The degree of each entry, shape (entries,); of several members of a family, shape
            (members, entries).
    """

    pieces: tuple[Piece, ...]
    degrees: np.ndarray

    @property
    def entries(self) -> np.ndarray:
        """The indices of the entries in the flat vector."""
        return index_entries(self.pieces)

    def of(self, member: int) -> np.ndarray:
        """Return the degrees of one member."""
        return self.degrees if self.degrees.ndim == 1 else self.degrees[member]


def find_centering(density: LogDensity) -> Centering | None:
    """Return how far sites are centered in the coordinates of a density; `None` for its own."""
    if not isinstance(density, Recentered):
        return None
    return Centering(density.pieces, np.asarray(density.degrees))


def in_own_coordinates(density: LogDensity) -> LogDensity:
    """Return a density in the coordinates in which every degree is 1."""
    is_other = isinstance(density, Recentered)
    return LogDensity(**_fields_of(density)) if is_other else density


def index_entries(pieces: Sequence[Piece]) -> np.ndarray:
    """Return the indices of the entries of sites in the flat vector."""
    return np.concatenate([piece.begin + np.arange(piece.size) for piece in pieces])


def recenter(family: Family, centering: Centering | None) -> Family:
    """Return the log densities in coordinates of these degrees; with `None` as they are."""
    if centering is None:
        return family
    pieces, degrees = centering
    single = family.count == 1
    shared, own = (
        Recentered(**_fields_of(part), pieces=pieces, degrees=degrees if has else None)
        for part, has in ((family.shared, single), (family.own, not single))
    )
    return Family(shared, own, family.count)


def split_entries(pieces: Sequence[Piece], entries: Any) -> dict[str, Any]:
    """Split an array of all entries, along its last axis, into one for each site."""
    ends = np.cumsum([piece.size for piece in pieces])[:-1]
    split = np.split if isinstance(entries, np.ndarray) else jnp.split
    parts = split(entries, ends, axis=-1)
    lead = np.shape(entries)[:-1]
    # A tuple, because NumPy's method needs an argument if it is empty.
    return {p.name: a.reshape((*lead, *p.shape)) for p, a in zip(pieces, parts, strict=True)}


class Moved(NamedTuple):
    """A point in other coordinates, traced; or points on the host, with leading axes.

    Attributes:
        position: The same point, shape (size,).
        gradient: Gradient of the log density of these coordinates.
        log_det: What the log density of these coordinates exceeds that of the old ones by.
        location: Location of the prior of each entry, shape (entries,).
        log_scale: Log scale of the prior of each entry, likewise.
    """

    position: Any
    gradient: Any
    log_det: Any
    location: Any
    log_scale: Any


def move(density: Recentered, degrees: Array, position: Vector, gradient: Vector) -> Moved:
    """Move a point of the density to coordinates of other degrees; the values stay the same."""
    there, _, spreads = _transport(density, degrees, position)
    other = replace(density, degrees=degrees)
    back = lambda q: _transport(other, jnp.asarray(density.degrees), q)[:2]  # noqa: E731
    (_, log_det), pull = jax.vjp(back, there)
    return Moved(there, pull((gradient, jnp.ones_like(log_det)))[0], log_det, *spreads)


def _transport(
    density: Recentered, degrees: Array, position: Vector
) -> tuple[Vector, Scalar, _Spread]:
    """Return a point in other coordinates, the log-determinant of this map, and all spreads."""
    each = density.read_spreads(position)[2]
    spreads = _Spread(*(jnp.concatenate([a.reshape(-1) for a in own]) for own in zip(*each)))  # noqa: B905
    location, log_scale = (a.astype(position.dtype) for a in spreads)
    where = index_entries(density.pieces)
    old, new = jnp.asarray(density.degrees), jnp.asarray(degrees)
    # A scale may underflow to 0, and entries whose degree stays must stay too.
    growth = jnp.where(new == old, 0, (new - old) * log_scale)
    entries = jnp.exp(growth) * (position[where] - old * location) + new * location
    return position.at[where].set(entries), growth.sum(), _Spread(location, log_scale)
