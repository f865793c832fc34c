"""Readers that learn what a model declares: they supply zeros and record what is asked for."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array

from bijectors.base import Image
from bijectors.registry import bijector_for
from bijectors.rule import Rules

from ...errors import ModelError
from ..priors.centering import read_spread
from ..priors.prior import Prior, strip_axes
from .minibatch import Minibatch
from .reader import DelegatingReader, Reader, wrap_steps
from .site import Declaration
from .steps import Repeated, Steps


class Surveyor(Reader):
    """Supplies images of zero and records what the model asks for.

    Attributes:
        unconstrained_shapes: Shape of each site's piece of the flat vector, by name.
        bijectors: Name of the type of each site's map.
        refusals: Why each map has no log-determinant; empty if it has one.
        entries: For each site, lists the entry that each of its unconstrained numbers belongs to.
        minibatches: Plates of which a step sees a minibatch, by name.
        divided: Sizes of the plates whose rows are divided over devices, by name.
        spreads: Location and scale of the prior of each site that may learn its centering.
        in_steps: Names of the sites of which each step of a scan, or row of a vmap, has a part.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.unconstrained_shapes: dict[str, tuple[int, ...]] = {}
        self.bijectors: dict[str, str] = {}
        self.refusals: dict[str, str] = {}
        self.entries: dict[str, Callable[[], list[tuple[int, ...]]]] = {}
        self.minibatches: dict[str, Minibatch] = {}
        self.divided: dict[str, int] = {}
        self.spreads: dict[str, tuple[Array, Array]] = {}
        self.in_steps: set[str] = set()

    def take(self, declaration: Declaration) -> Image:
        d = declaration
        bijector = bijector_for(d.constraint, d.shape, d.bijector, self._rules, d.name)
        shape = bijector.unconstrained_shape(d.shape)
        self.unconstrained_shapes[d.name] = shape
        each = getattr(bijector, "each", bijector)
        self.bijectors[d.name] = type(each).__name__
        self.refusals[d.name] = each.why_no_log_det
        self.entries[d.name] = partial(bijector.find_entries, d.shape)
        if d.learns_centering and d.prior is not None:
            location, scale = read_spread(strip_axes(d.prior.distribution))
            self.spreads[d.name] = jnp.asarray(location), jnp.asarray(scale)
        # The barrier keeps readers of the program from taking the zeros for known numbers.
        image = bijector.image(jax.lax.optimization_barrier(jnp.zeros(shape)))
        _refuse_misfit(d, image)
        return image

    def repeated(self, declaration: Declaration) -> Repeated:
        """Return what was recorded of a site that a step of a scan declares."""
        name = declaration.name
        return Repeated(
            name,
            self.unconstrained_shapes[name],
            self.bijectors[name],
            self.refusals[name],
            self.entries[name],
            declaration.learns_centering,
        )

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        for site in repeated:
            self.unconstrained_shapes[site.name] = (length, *site.unconstrained_shape)
            self.bijectors[site.name] = site.bijector
            self.refusals[site.name] = site.why_no_log_det
            self.entries[site.name] = partial(_at_every_step, site.entries, length)
        self.in_steps.update(site.name for site in repeated)
        learning = [site.name for site in repeated if site.learns_centering]
        report = lambda own: {name: own.spreads[name] for name in learning}  # noqa: E731
        close = lambda spreads, _: self.spreads.update(spreads)  # noqa: E731
        return Steps(None, lambda _: Surveyor(self._rules), report, close)

    def rows(self, minibatch: Minibatch) -> Array | None:
        known = self.minibatches.setdefault(minibatch.plate, minibatch)
        if known != minibatch:
            raise ModelError(
                minibatch.plate,
                f"its minibatch holds {minibatch.seen} of {minibatch.size} rows here, and "
                f"{known.seen} of {known.size} at an earlier plate of the same name",
                "A name stands for the same rows wherever it is used: make the sizes agree, or "
                "give the plates two names.",
            )
        return None


class ObservationSurveyor(DelegatingReader):
    """Draws the observations that have no data yet, and records which ones can be drawn.

    Attributes:
        priors: The distribution of each observation, by name.
    """

    def __init__(self, reader: Reader, priors: dict[str, Prior] | None = None) -> None:
        super().__init__(reader)
        self.priors = {} if priors is None else priors

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        self.priors[name] = prior
        return prior.sample(jax.random.key(0)) if value is None else value

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        wrap = lambda reader, _: ObservationSurveyor(reader, self.priors)  # noqa: E731
        return wrap_steps(self.reader.steps(repeated, length, reverse), None, wrap)


def _refuse_misfit(declaration: Declaration, image: Image) -> None:
    """Raise if bounds, or parameters of the map, have axes that the site lacks."""
    value, log_det = image.value.shape, image.log_det.shape
    if log_det or value != declaration.shape:
        batch = log_det or value[: len(value) - declaration.constraint.event_ndims]
        raise ModelError(
            declaration.name,
            f"its shape is {declaration.shape}, but its map gives a value of shape {value} and a "
            f"log-determinant of shape {log_det}",
            "Bounds, or parameters of the map, that are arrays need a site of their shape: give "
            f"shape={batch}.",
        )


def _at_every_step(entries: Callable, length: int) -> list[tuple[int, ...]]:
    return [(step, *entry) for step in range(length) for entry in entries()]
