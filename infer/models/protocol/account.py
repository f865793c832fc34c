"""An account collects what one run of a model declares and computes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from bijectors.base import Image

from .reader import Reader
from .site import Declaration, Power, Term


@dataclass
class Account:
    """What one run of a model declares and computes.

    Attributes:
        declarations: Latent sites in the order they were taken.
        images: Their values and by-products.
        derived: Quantities computed from them, by name.
        observed: Observed data, by name.
        terms: Summands of the log density.
        dims: Dimension names of every site.
        frozen: Sites that were given a value, so that the reader was not asked for one.
        powers: How views have changed each term, by name; empty if there are no views.
        reserved: Names declared outside, if this is the account of one step of a scan.
        rows: Computes the log likelihood of each row, by name, if no term has it.
        summed: Discrete sites that are summed out, by name.
        draws: Draw some of these sites from a key, given the values of all others.
        simulated: Names of the likelihood terms whose data are all drawn by a simulator.
        divided: Sizes of the plates whose rows are divided over devices, by name.
    """

    declarations: list[Declaration] = field(default_factory=list)
    images: dict[str, Image] = field(default_factory=dict)
    derived: dict[str, Array] = field(default_factory=dict)
    observed: dict[str, Any] = field(default_factory=dict)
    terms: list[Term] = field(default_factory=list)
    dims: dict[str, tuple[str | None, ...]] = field(default_factory=dict)
    frozen: dict[str, Declaration] = field(default_factory=dict)
    powers: dict[str, Power] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()
    rows: Callable[[], Mapping[str, Array]] | None = None
    summed: dict[str, Any] = field(default_factory=dict)
    draws: list[Callable[[Array], Mapping[str, Array]]] = field(default_factory=list)
    simulated: frozenset[str] = frozenset()
    divided: dict[str, int] = field(default_factory=dict)

    def names(self) -> set[str]:
        """Return the names that are taken."""
        return {term.name for term in self.terms} | self.dims.keys() | self.reserved

    def take(self, reader: Reader, declaration: Declaration) -> Image:
        """Take one latent site from the reader and record it."""
        image = reader.take(declaration)
        self.declarations.append(declaration)
        self.images[declaration.name] = image
        self.dims[declaration.name] = declaration.dims
        return image

    def values(self) -> dict[str, Array]:
        """Return the latent and derived values, by name."""
        return {name: image.value for name, image in self.images.items()} | self.derived

    def log_density(self) -> Array:
        """Sum the rows of all terms: the log density of the constrained values, in nats.

        NaN if a term is known by its score alone; the gradient is still right.
        """
        return jnp.asarray(sum(term.rows.sum() for term in self.terms))
