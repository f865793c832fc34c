"""A log density in coordinates in which some sites are centered to a degree.

A value x whose prior has location m and scale s has coordinates y for each degree c from 0 to 1:

    x = m + s^(1 - c) * (y - c * m),

non-centered for c = 0, and x itself for c = 1. For a log-normal prior x stands for the logarithm
of the value. A multivariate normal has one degree for each vector, and the map of
`PartialWhitening`. The degrees are an array, so that other degrees compile nothing.

Source: Papaspiliopoulos, Roberts & Skoeld (2007), A general framework for the parametrization of
    hierarchical models, section 3; Gorinova, Moore & Hoffman (2020), Automatic reparameterization
    of probabilistic programs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from math import prod
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bijectors.base import Image, Shape
from bijectors.joint import Joint

from ..models.priors.centering import PartialCentering, partial_centering
from ..models.priors.prior import strip_axes
from ..models.priors.whitening import PartialWhitening
from ..models.protocol.account import Account
from ..models.protocol.reader import DelegatingReader, Reader, wrap_steps
from ..models.protocol.site import Declaration
from ..models.protocol.steps import Repeated, Steps
from ..types import Vector
from .base import LogDensity
from .family import Family
from .readers import FlatReader


class Piece(NamedTuple):
    """Where the flat vector has a site whose centering is learned.

    Attributes:
        name: Name of the site.
        begin: Index of its first entry.
        shape: Shape of the site.
        is_vector: Whether all entries along the last axis have the same degree.
        in_steps: Whether each step of a `site.scan` or row of a `site.vmap` has a part of it.
    """

    name: str
    begin: int
    shape: Shape
    is_vector: bool = False
    in_steps: bool = False

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

    def read_spreads(self, position: Vector) -> "tuple[Account, Joint, list[PriorSpread]]":
        """Run the model at one point; also return the spread of the prior of each such site."""
        inner = FlatReader(position, self.model.rules, self.seen)
        reader = _CenteringReader(inner, split_entries(self.pieces, self.degrees))
        account = self.model.run(reader)
        return account, inner.joint, [reader.spreads[piece.name] for piece in self.pieces]


class PriorSpread(NamedTuple):
    """Where the prior of a site puts its values.

    Attributes:
        location: Location of each entry, of the shape of the site; for vectors a column.
        scale: Log scale of each entry, likewise; for vectors the triangular factor.
    """

    location: Array
    scale: Array


class _CenteringReader(DelegatingReader):
    """Give sites the map of their degree of centering, and record the spread of their priors."""

    def __init__(self, reader: Reader, degrees: Mapping[str, Array], is_step: bool = False) -> None:
        super().__init__(reader)
        self._degrees, self._is_step = degrees, is_step
        self.spreads: dict[str, PriorSpread] = {}

    def take(self, declaration: Declaration) -> Image:
        name, shape = declaration.name, declaration.shape
        if name not in self._degrees or declaration.prior is None:
            return self.reader.take(declaration)
        prior = strip_axes(declaration.prior.distribution)
        bijector = partial_centering(prior, self._degrees[name])
        self.spreads[name] = _spread_of(bijector, shape)
        image = self.reader.take(replace(declaration, bijector=bijector))
        if self._is_step:
            return image
        # Otherwise XLA computes the map again wherever the value is read, such as at each answer
        # to an item: a gradient of item response took 6 % longer.
        return image._replace(value=jax.lax.optimization_barrier(image.value))

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        """Give each step its rows of the degrees; their spreads are stacked as values are."""
        own = {s.name: self._degrees[s.name] for s in repeated if s.name in self._degrees}
        wrap = partial(_CenteringReader, is_step=True)
        inner = wrap_steps(self.reader.steps(repeated, length, reverse), own, wrap)

        def close(reports: Any, whole: list[Declaration]) -> None:
            inner.close(reports[0], whole)
            self.spreads |= reports[1]

        report = lambda reader: (inner.report(reader), reader.spreads)  # noqa: E731
        return inner._replace(report=report, close=close)


def _spread_of(bijector: PartialCentering | PartialWhitening, shape: Shape) -> PriorSpread:
    # Broadcast to the shape of the site, so that those of the steps of a scan stack in front of it.
    if isinstance(bijector, PartialWhitening):
        column, square = (*shape, 1), (*shape, shape[-1])
        return PriorSpread(
            jnp.broadcast_to(bijector.location, column), jnp.broadcast_to(bijector.factor, square)
        )
    return PriorSpread(
        jnp.broadcast_to(jnp.asarray(bijector.location, float), shape),
        jnp.broadcast_to(jnp.log(jnp.asarray(bijector.scale, float)), shape),
    )


def find_pieces(density: LogDensity) -> tuple[Piece, ...]:
    """Find the sites whose centering can be learned: location or scale depends on the vector."""
    found, begin = [], 0
    for site in density.latent:
        # In the default coordinates the degree must be 1; a site without entries has none.
        if prod(site.shape) and site.learns_centering and site.bijector in ("Identity", "Exp"):
            is_vector = site.prior == "MultivariateNormal"
            found.append(Piece(site.name, begin, site.shape, is_vector, site.in_steps))
        begin += prod(site.unconstrained_shape)
    return tuple(found)


def _fields_of(density: LogDensity) -> dict[str, Any]:
    return {field.name: getattr(density, field.name) for field in fields(LogDensity)}


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

    def some(self, few: slice) -> "Centering":
        """Return that of some of several members."""
        return self._replace(degrees=self.degrees[few])


def find_centering(density: LogDensity) -> Centering | None:
    """Return how far sites are centered in the coordinates of a density; `None` for its own."""
    if not isinstance(density, Recentered):
        return None
    return Centering(density.pieces, np.asarray(density.degrees))


def in_own_coordinates(density: LogDensity) -> LogDensity:
    """Return a density in the coordinates in which every degree is 1."""
    is_other = isinstance(density, Recentered)
    return LogDensity(**_fields_of(density)) if is_other else density


def mark_scalars(pieces: Sequence[Piece]) -> np.ndarray:
    """Return which of all entries of sites belong to no vector."""
    return _mark(pieces, lambda piece: not piece.is_vector)


def _mark(pieces: Sequence[Piece], chooses: Callable[[Piece], bool]) -> np.ndarray:
    """Return which of all entries of sites belong to one of the chosen sites."""
    return np.concatenate([np.full(piece.size, chooses(piece)) for piece in pieces])


def find_entries(pieces: Sequence[Piece], piece: Piece) -> slice:
    """Return where an array of all entries of sites has those of one of them."""
    begin = sum(other.size for other in pieces[: pieces.index(piece)])
    return slice(begin, begin + piece.size)


def _is_plain(piece: Piece) -> bool:
    return not (piece.is_vector or piece.in_steps)


# First, the sites that fits learn, and the first version of runs learned. Second, those that later
# versions learned before they learned sites of steps.
EARLIER = (_is_plain, lambda piece: not piece.in_steps)


def learned_by_fits(centering: Centering) -> Centering:
    """Leave vectors, and sites of steps, in the coordinates of the density."""
    return _some_sites(centering, _is_plain)


def _some_sites(centering: Centering, chooses: Callable[[Piece], bool]) -> Centering:
    kept = tuple(filter(chooses, centering.pieces))
    return Centering(kept, centering.degrees[..., _mark(centering.pieces, chooses)])


def match_earlier(centering: Centering, entries: int) -> Centering:
    """Leave those sites in the coordinates of the density that an earlier version did not learn.

    Args:
        centering: Centering of all sites.
        entries: Number of entries that were learned.
    """
    earlier = (_some_sites(centering, chooses) for chooses in EARLIER)
    same = (own for own in earlier if own.degrees.shape[-1] == entries and own.pieces)
    return next(same, centering)


def complete_degrees(pieces: Sequence[Piece], degrees: np.ndarray) -> np.ndarray:
    """Return the degrees of all entries of sites, given these, or those that a fit learns.

    Degrees of earlier versions are completed, too. What was not learned is in the coordinates of
    the density.
    """
    for learned in (_mark(pieces, chooses) for chooses in EARLIER):
        if 0 < degrees.shape[-1] == learned.sum() < len(learned):
            whole = np.ones((*degrees.shape[:-1], len(learned)), degrees.dtype)
            whole[..., learned] = degrees
            return whole
    return degrees


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
