"""Blocks: independent parts of the vector, each with a family of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from ...errors import EngineError
from ...types import Scalar, Vector
from .base import Distribution, Family, Noise
from .full_rank import FullRank
from .mean_field import MeanField

Segments = tuple[tuple[int, int], ...]


class BlockDistribution(Distribution):
    """Independent distributions of disjoint parts of the vector.

    Attributes:
        parts: One distribution for each block.
        segments: For each block, beginnings and ends of its entries in the vector.
    """

    parts: tuple[Distribution, ...]
    segments: tuple[Segments, ...] = eqx.field(static=True)

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    @property
    def location(self) -> Vector:
        return self._join([part.location for part in self.parts])

    @property
    def sd(self) -> Vector:
        return self._join([part.sd for part in self.parts])

    def forward(self, noise: Vector) -> Vector:
        return self._join([q.forward(own) for q, own in self._pairs(noise)])

    def inverse(self, position: Vector) -> Vector:
        return self._join([q.inverse(own) for q, own in self._pairs(position)])

    def log_det(self, noise: Vector) -> Scalar:
        return jnp.stack([q.log_det(own) for q, own in self._pairs(noise)]).sum()

    def ascent(
        self, noise: Noise, gradients: Noise, estimator: str = "path", weight: Scalar | float = 1.0
    ) -> tuple[Any, ...]:
        pairs = zip(self._pairs(noise), self._split(gradients), strict=True)
        return tuple(q.ascent(own, slope, estimator, weight) for (q, own), slope in pairs)

    def densify(self, step: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(q.densify(own) for q, own in zip(self.parts, step, strict=True))

    def limit(self, direction: tuple[Any, ...], rate: Scalar | float) -> tuple[Any, ...]:
        return tuple(q.limit(own, rate) for q, own in zip(self.parts, direction, strict=True))

    def move(self, step: tuple[Any, ...]) -> "BlockDistribution":
        moved = tuple(q.move(own) for q, own in zip(self.parts, step, strict=True))
        return BlockDistribution(moved, self.segments)

    def pack(self) -> Float[Array, "width"]:
        return jnp.concatenate([part.pack() for part in self.parts])

    def log_density_on_host(self, positions: np.ndarray) -> np.ndarray:
        return np.sum([q.log_density_on_host(own) for q, own in self._pairs(positions)], axis=0)

    def _split(self, rows: Any) -> list[Any]:
        join = np.concatenate if isinstance(rows, np.ndarray) else jnp.concatenate
        return [join([rows[..., a:b] for a, b in own], axis=-1) for own in self.segments]

    def _pairs(self, rows: Any) -> list[tuple[Distribution, Any]]:
        return list(zip(self.parts, self._split(rows), strict=True))

    def _join(self, values: list[Array]) -> Vector:
        pieces: dict[int, Array] = {}
        for value, own in zip(values, self.segments, strict=True):
            ends = np.cumsum([b - a for a, b in own])[:-1].tolist()
            pieces |= dict(zip((a for a, _ in own), jnp.split(value, ends), strict=True))
        return jnp.concatenate([pieces[begin] for begin in sorted(pieces)])


@dataclass(frozen=True)
class Blocks(Family):
    """Independent blocks of sites, each with a family of its own.

    `Blocks({"beta": "full_rank", ("mu", "tau"): "full_rank"})` follows correlations within beta,
    and between mu and tau; the other sites together have the family `rest`. A fit finds where the
    sites are; see `bind`.

    Attributes:
        families: The family of a site, or of several sites together, by name or names.
        rest: The family of all other sites.
        segments: Where each block is in the flat vector, once the family is bound to a model.
    """

    example: ClassVar[Mapping[str, Any]] = {"families": {"b": "full_rank"}}
    families: Any
    rest: str | Family = "mean_field"
    segments: tuple[Segments, ...] = field(default=())

    def __post_init__(self) -> None:
        given = self.families
        pairs = given.items() if isinstance(given, Mapping) else given
        named = tuple((_as_names(sites), _find_part(own)) for sites, own in pairs)
        object.__setattr__(self, "families", named)
        object.__setattr__(self, "rest", _find_part(self.rest))

    @property
    def name(self) -> str:
        return "blocks"

    @property
    def _parts(self) -> list[Family]:
        if not self.segments:
            raise EngineError(
                "Blocks", "it does not know where the sites are", "Fit it by infer.fit."
            )
        own: list[Any] = [family for _, family in self.families]
        return [*own, self.rest][: len(self.segments)]

    @property
    def has_absolute_steps(self) -> bool:
        return any(family.has_absolute_steps for family in self._parts)

    def bind(self, sites: Mapping[str, slice], is_training: bool) -> "Blocks":
        named = [name for names, _ in self.families for name in names]
        for name in named:
            if name not in sites:
                raise EngineError(
                    "Blocks", f"there is no site {name!r}", f"Sites are {', '.join(sites)}."
                )
            if named.count(name) > 1:
                raise EngineError("Blocks", f"{name!r} is in two blocks", "Name each site once.")
        rest = tuple(name for name in sites if name not in named)
        groups = [*(names for names, _ in self.families), *([rest] if rest else [])]
        segments = tuple(_segments_of(sites, names) for names in groups)
        bound = tuple((names, own.bind(sites, is_training)) for names, own in self.families)
        last: Any = self.rest
        return replace(self, families=bound, rest=last.bind(sites, is_training), segments=segments)

    def begin(self, location: Vector, scale: Array | float) -> BlockDistribution:
        scale = jnp.asarray(scale, location.dtype)
        split = BlockDistribution((), self.segments)._split  # noqa: SLF001
        locations = split(location)
        scales = [scale] * len(locations) if scale.ndim == 0 else split(scale)
        if scale.ndim == 2:
            # The covariance within a block, from its rows of the factor.
            rows = [jnp.concatenate([scale[a:b] for a, b in own]) for own in self.segments]
            scales = [jnp.linalg.cholesky(own @ own.T) for own in rows]
        made = zip(self._parts, locations, scales, strict=True)
        return BlockDistribution(tuple(f.begin(x, s) for f, x, s in made), self.segments)

    def unpack(self, packed: Float[Array, "width"], size: int) -> BlockDistribution:
        pieces = zip(self._parts, self._pieces(packed), self._sizes, strict=True)
        return BlockDistribution(tuple(f.unpack(x, n) for f, x, n in pieces), self.segments)

    def average(self, packed: np.ndarray, size: int) -> BlockDistribution:
        pieces = zip(self._parts, self._pieces(packed), self._sizes, strict=True)
        return BlockDistribution(tuple(f.average(x, n) for f, x, n in pieces), self.segments)

    def moments(self, packed: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        pieces = zip(self._parts, self._pieces(packed), self._sizes, strict=True)
        means, log_sds = zip(*(f.moments(x, n) for f, x, n in pieces), strict=True)
        order = np.concatenate([np.arange(a, b) for own in self.segments for a, b in own])
        back = np.argsort(order)
        return np.concatenate(means, -1)[:, back], np.concatenate(log_sds, -1)[:, back]

    def count_numbers(self, size: int) -> int:
        if sum(self._sizes) != size:
            return max(f.count_numbers(size) for f in self._parts)
        pairs = zip(self._parts, self._sizes, strict=True)
        return sum(family.count_numbers(own) for family, own in pairs)

    def optimizer(self) -> optax.GradientTransformation:
        return _apply_each([family.optimizer() for family in self._parts])

    @property
    def _sizes(self) -> list[int]:
        return [sum(b - a for a, b in own) for own in self.segments]

    def _pieces(self, packed: Any) -> list[Any]:
        counts = zip(self._parts, self._sizes, strict=True)
        ends = np.cumsum([family.count_numbers(n) for family, n in counts])[:-1].tolist()
        split = np.split if isinstance(packed, np.ndarray) else jnp.split
        return split(packed, ends, axis=-1)


def _apply_each(parts: list[optax.GradientTransformation]) -> optax.GradientTransformation:
    """Apply one optimizer to each entry of a tuple."""

    def init(steps: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(part.init(own) for part, own in zip(parts, steps, strict=True))

    def update(steps: tuple[Any, ...], states: tuple[Any, ...], _: Any = None) -> Any:
        made = [p.update(g, s) for p, g, s in zip(parts, steps, states, strict=True)]
        return tuple(step for step, _ in made), tuple(state for _, state in made)

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


def _as_names(sites: Any) -> tuple[str, ...]:
    return (sites,) if isinstance(sites, str) else tuple(sites)


def _find_part(family: Any) -> Family:
    """Return the family of one block."""
    simple: dict[str, Family] = {own.name: own for own in (MeanField(), FullRank())}
    found = family if isinstance(family, Family) else simple.get(str(family))
    if found is None or isinstance(found, Blocks):
        raise EngineError(
            "Blocks",
            f"the family of a block is {family!r}",
            'Choose "mean_field" or "full_rank", or give settings such as infer.LowRank(rank=10). '
            "Engines for blocks of sites go to infer.Gibbs.",
        )
    return found


def _segments_of(sites: Mapping[str, slice], names: tuple[str, ...]) -> Segments:
    return tuple((sites[name].start, sites[name].stop) for name in names)
