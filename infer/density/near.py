"""Move uniform proposals near given values: of all sites, or of some of them."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.base import Image
from bijectors.joint import Flattener, Joint
from bijectors.rule import Rules

from ..errors import ModelError
from ..models.protocol.reader import Reader
from ..models.protocol.site import Declaration
from ..models.protocol.steps import Repeated, Steps
from ..models.readers import write_steps
from ..programs.native import call_compiled
from ..types import Vector
from .base import LogDensity
from .chain_starts import ChainStart
from .family import Family, naming_member
from .jitter import Near
from .points import map_lanes, members_of_lanes
from .proposals import RADIUS, Place
from .readers import as_inexact


class Completion(Reader):
    """Reads some sites from values, by name, and the others from a flat vector; writes another."""

    def __init__(self, values: Mapping[str, Array], position: Vector, rules: Rules) -> None:
        self._values, self._position, self._rules = values, position, rules
        self._joint = Joint(position, rules)
        self.flattener = Flattener(rules)

    def take(self, declaration: Declaration) -> Image:
        d, begin = declaration, self._joint.position
        image = self._joint.take(d.name, d.constraint, d.shape, d.bijector)
        if d.name in self._values:
            return self.flattener.put(d.name, d.constraint, self._values[d.name], d.bijector)
        self.flattener.write(self._position[begin : self._joint.position])
        return image

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        pieces = [self._joint.read((length, site.size), site.name) for site in repeated]
        rows = jnp.concatenate(pieces, axis=1) if pieces else jnp.zeros((length, 0))
        own = {s.name: self._values[s.name] for s in repeated if s.name in self._values}
        for_step = lambda xs: Completion(xs[0], xs[1], self._rules)  # noqa: E731
        return write_steps(self.flattener, repeated, (own, rows), for_step)


def place_near(family: Family, wanted: Sequence[ChainStart], place: Place | None) -> Place | None:
    """Return a function that moves the proposals of lanes that start near values.

    Args:
        family: The log densities.
        wanted: Where each lane starts.
        place: Moves the proposals of all lanes first.

    Returns:
        The function. It raises a `ModelError` if a value lies outside its set at all proposals. If
        no lane starts near values, it is `place`.
    """
    groups: dict[Any, list[int]] = {}
    for lane, start in enumerate(wanted):
        if isinstance(start, Near):
            names = None if start.values is None else frozenset(start.values)
            groups.setdefault(names, []).append(lane)
    if not groups:
        return place

    members = members_of_lanes(family, len(wanted))

    def move(positions: np.ndarray) -> tuple[np.ndarray, Any]:
        found, offset = (positions, 0.0) if place is None else place(positions)
        found = np.array(found)
        for lanes in groups.values():
            own = _Lanes(family, members[lanes], [wanted[lane] for lane in lanes])
            found[:, lanes] = own.move(positions[:, lanes], found[:, lanes])
        return found, offset

    return move


class _Lanes(NamedTuple):
    """Lanes that start near values of the same sites.

    Attributes:
        family: The log densities.
        members: Which of them each lane belongs to.
        wanted: Where each lane starts.
    """

    family: Family
    members: np.ndarray
    wanted: Sequence[Any]

    def move(self, uniform: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Move proposals near the values.

        Args:
            uniform: Proposals on (-2, 2), shape (attempts, lanes, size).
            found: The same, moved by what all proposals are moved by.
        """
        radius = np.array([[near.radius] for near in self.wanted], uniform.dtype)
        noise = uniform * (radius / np.asarray(RADIUS, uniform.dtype))
        if self.wanted[0].values is None:
            return noise
        names = sorted(self.wanted[0].values)
        values = {n: jnp.stack([as_inexact(near.values[n]) for near in self.wanted]) for n in names}
        latent = self.family.shared.latent
        sizes = [prod(site.unconstrained_shape) for site in latent]
        named = np.repeat([site.name in values for site in latent], sizes)
        return self._complete(values, found) + np.where(named, noise, 0)

    def _complete(self, values: dict[str, Array], found: np.ndarray) -> np.ndarray:
        """Replace the values of some sites; a position where one is outside its set is NaN."""
        own, rows = self.family.rows(self.members), np.swapaxes(found, 0, 1)
        given = (self.family.shared, own, values, rows)
        made, inside = call_compiled(_complete_lanes, *given, form="fast_compile")
        for name, flags in inside.items():
            never = ~np.asarray(flags).any(1)
            if never.any():
                self._refuse_outside(name, int(never.argmax()), values[name])
        usable = np.all(list(inside.values()), axis=0)
        return np.swapaxes(np.where(usable[..., None], made, np.nan), 0, 1)

    def _refuse_outside(self, name: str, lane: int, values: Array) -> None:
        site = next(site for site in self.family.shared.latent if site.name == name)
        with naming_member(self.family, int(self.members[lane])):
            raise ModelError(
                name,
                f"the value {np.asarray(values[lane])} lies outside its set, {site.constraint}",
                "Give a value inside the set, or declare another constraint.",
            )


def _complete_lanes(
    shared: LogDensity, own: LogDensity, values: dict[str, Array], rows: Array
) -> tuple[Array, dict[str, Array]]:
    def one(
        own: LogDensity, values: dict[str, Array], rows: Array
    ) -> tuple[Array, dict[str, Array]]:
        density = eqx.combine(shared, own)
        return jax.lax.map(lambda row: _complete_one(density, values, row), rows)

    return map_lanes(one, own, values, rows)


def _complete_one(
    density: LogDensity, values: dict[str, Array], row: Vector
) -> tuple[Vector, dict[str, Array]]:
    """Replace the values of some sites; also return whether each lies in its set."""
    reader = Completion(values, row, density.model.rules)
    declared = density.model.run(reader).declarations
    inside = {
        d.name: d.constraint.contains(values[d.name]).all() for d in declared if d.name in values
    }
    return reader.flattener.flat(), inside
