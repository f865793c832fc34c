"""A model is a program that takes its sites from a reader, in order."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.base import Image
from bijectors.registry import bijector_for
from bijectors.rule import Rules

from ..errors import ModelError
from .site import Declaration, Role, Site, Term


class Labels:
    """Coordinates of named dimensions, which never reach a compiled program.

    Any two are equal, so that models that differ in labels alone share one program.
    """

    def __init__(self, coords: Mapping[str, Sequence[Any] | np.ndarray] | None = None) -> None:
        self.coords = {name: np.asarray(values) for name, values in (coords or {}).items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Labels)

    def __hash__(self) -> int:
        return 0


class Reader(ABC):
    """Where a running model takes the values of its latent sites from."""

    @abstractmethod
    def take(self, declaration: Declaration) -> Image:
        """Return the value of the next latent site, with its map's by-products."""


@dataclass
class Account:
    """What one run of a model said of itself.

    Attributes:
        declarations: Latent sites in the order they were taken.
        images: Their values and by-products.
        derived: Quantities computed from them, by name.
        observed: Observed data, by name.
        terms: Summands of the log density.
        dims: Dimension names of every site.
    """

    declarations: list[Declaration] = field(default_factory=list)
    images: dict[str, Image] = field(default_factory=dict)
    derived: dict[str, Array] = field(default_factory=dict)
    observed: dict[str, Any] = field(default_factory=dict)
    terms: list[Term] = field(default_factory=list)
    dims: dict[str, tuple[str | None, ...]] = field(default_factory=dict)

    def take(self, reader: Reader, declaration: Declaration) -> Image:
        """Take one latent site from the reader and enter it."""
        image = reader.take(declaration)
        self.declarations.append(declaration)
        self.images[declaration.name] = image
        self.dims[declaration.name] = declaration.dims
        return image

    def values(self) -> dict[str, Array]:
        """Latent and derived values, by name."""
        return {name: image.value for name, image in self.images.items()} | self.derived

    def log_density(self) -> Array:
        """Sum the rows of all terms: the log density of the constrained values, in nats."""
        return jnp.asarray(sum(term.rows.sum() for term in self.terms))


class Model(eqx.Module):
    """A program over sites; its leaves are the data.

    Attributes:
        labels: Coordinates of the named dimensions.
        rules: The table of maps that the sites use.
    """

    labels: Labels = eqx.field(static=True)
    rules: Rules = eqx.field(static=True)

    @abstractmethod
    def run(self, reader: Reader) -> Account:
        """Run once: take every latent site from `reader` and account for every term."""

    @abstractmethod
    def constants(self) -> dict[str, np.ndarray]:
        """Named arrays of data, on the host."""

    def with_rules(self, rules: Rules) -> "Model":
        """Return the same model with another table of maps, such as one of `bijectors.prefer`."""
        return replace(self, rules=rules)


class _Surveyor(Reader):
    """A reader that hands out images of zero, to learn what a model asks for."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.unconstrained_shapes: dict[str, tuple[int, ...]] = {}
        self.bijectors: dict[str, str] = {}
        self.entries: dict[str, Callable[[], list[tuple[int, ...]]]] = {}

    def take(self, declaration: Declaration) -> Image:
        d = declaration
        bijector = bijector_for(d.constraint, d.shape, d.bijector, self._rules, d.name)
        shape = bijector.unconstrained_shape(d.shape)
        self.unconstrained_shapes[d.name] = shape
        self.bijectors[d.name] = type(getattr(bijector, "each", bijector)).__name__
        self.entries[d.name] = partial(bijector.entries, d.shape)
        return bijector.image(jnp.zeros(shape))


def survey(model: Model) -> tuple[Site, ...]:
    """Find the sites of a model by one abstract run; nothing is computed or compiled.

    Raises:
        ModelError: The model has no latent site, or a term is not a real number.
    """
    sites, _ = _surveyed(model)
    if not any(site.role == "latent" for site in sites):
        raise ModelError(
            "model",
            "it has no latent site, so there is nothing to infer",
            'Declare one, such as site("mu", dist.Normal(0, 1)).',
        )
    return sites


def entries(model: Model) -> dict[str, list[tuple[int, ...]]]:
    """List, for each latent site, the entry that each number of the flat vector is named after."""
    _, surveyor = _surveyed(model)
    return {name: find() for name, find in surveyor.entries.items()}


def _surveyed(model: Model) -> tuple[tuple[Site, ...], _Surveyor]:
    found: list[tuple[tuple[Site, ...], _Surveyor]] = []

    def abstract_run(model: Model) -> Array:
        surveyor = _Surveyor(model.rules)
        account = model.run(surveyor)
        found.append((_sites(account, surveyor), surveyor))
        _check_terms(account.terms)
        return account.log_density()

    try:
        jax.eval_shape(abstract_run, model)
    except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError) as error:
        error.add_note(
            "Arrays and floats among the data are traced, so that changing them compiles "
            "nothing. Compute with jax.numpy on them, or pass infer.static(x) for what steers "
            "Python code or goes to NumPy."
        )
        raise
    return found[0]


def _sites(account: Account, surveyor: _Surveyor) -> tuple[Site, ...]:
    latent = [
        Site(
            d.name,
            "latent",
            type(d.constraint).__name__,
            surveyor.bijectors[d.name],
            d.shape,
            surveyor.unconstrained_shapes[d.name],
            d.dims,
        )
        for d in account.declarations
    ]
    rest: list[tuple[Role, Mapping[str, Any]]] = [
        ("derived", account.derived),
        ("observed", account.observed),
    ]
    others = [
        Site(name, role, "", "", tuple(jnp.shape(value)), (0,), account.dims[name])
        for role, values in rest
        for name, value in values.items()
    ]
    return tuple(latent + others)


def _check_terms(terms: list[Term]) -> None:
    for term in terms:
        if not jnp.issubdtype(term.rows.dtype, jnp.floating):
            raise ModelError(
                term.name,
                f"its log density has dtype {term.rows.dtype}",
                "Return real floating-point numbers.",
            )
