"""The log density of a model over one flat unconstrained vector."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from bijectors.base import Image
from bijectors.joint import Flattener, Joint
from bijectors.rule import Rules

from ..calls import checks_arguments
from ..errors import ModelError
from ..models.abstract import abstract, entries
from ..models.changes.view import described
from ..models.model import Model
from ..models.protocol.account import Account
from ..models.protocol.minibatch import Minibatch
from ..models.protocol.reader import Reader
from ..models.protocol.site import Declaration, Site
from ..models.protocol.steps import Repeated, Steps
from ..models.readers import PriorDraws, Values
from ..models.survey import survey
from ..numerics.long_sum import long_sum, two_sum
from ..target import Components, NormalPrior, Parts, Target
from ..types import Scalar, Vector
from .normal_prior import find_not_normal, normal_prior


class _FlatReader(Reader):
    """Takes every site from one flat vector."""

    def __init__(self, position: Vector, rules: Rules, rows: Mapping[str, Array]) -> None:
        self.joint, self._rules, self._rows = Joint(position, rules), rules, rows
        self.log_dets: dict[str, Array] = {}

    def take(self, declaration: Declaration) -> Image:
        d = declaration
        image = self.joint.take(d.name, d.constraint, d.shape, d.bijector)
        self.log_dets[d.name] = image.log_det + image.auxiliary
        return image

    def rows(self, minibatch: Minibatch) -> Array | None:
        return self._rows.get(minibatch.plate)

    def steps(self, repeated: Sequence[Repeated], length: int) -> Steps:
        joint = self.joint
        pieces = [joint.read((length, site.size), site.name) for site in repeated]

        def close(reports: tuple[Array, Array, dict[str, Array]], _: list[Declaration]) -> None:
            joint.log_det = joint.log_det + reports[0].sum()
            joint.auxiliary = joint.auxiliary + reports[1].sum()
            self.log_dets |= {name: own.sum() for name, own in reports[2].items()}

        return Steps(
            jnp.concatenate(pieces, axis=1) if pieces else jnp.zeros((length, 0)),
            lambda piece: _FlatReader(piece, self._rules, self._rows),
            lambda reader: (reader.joint.log_det, reader.joint.auxiliary, reader.log_dets),
            close,
        )


class _ConstrainedReader(Reader):
    """Hands out constrained values, so that every term is that of the values themselves."""

    def __init__(self, values: Mapping[str, Array], rules: Rules, jacobian: bool) -> None:
        self._values, self._rules, self._jacobian = values, rules, jacobian
        self._flattener = Flattener(rules)
        self.log_det: Array | float = 0.0

    def take(self, declaration: Declaration) -> Image:
        d, value = declaration, self._values[declaration.name]
        if self._jacobian:
            image = self._flattener.put(d.name, d.constraint, value, d.bijector)
            self.log_det = self.log_det + image.log_det + image.auxiliary
        return Image.of(value)

    def steps(self, repeated: Sequence[Repeated], length: int) -> Steps:
        own = {site.name: self._values[site.name] for site in repeated}

        def close(log_dets: Array, _: list[Declaration]) -> None:
            self.log_det = self.log_det + log_dets.sum()

        opened = lambda values: _ConstrainedReader(values, self._rules, self._jacobian)  # noqa: E731
        return Steps(own, opened, lambda handed: jnp.asarray(handed.log_det), close)


class _CheckedValues(Values):
    """Checks each value where it is known, before the model computes with it."""

    def take(self, declaration: Declaration) -> Image:
        _refuse_outside(declaration, self._values[declaration.name])
        return super().take(declaration)


class LogDensity(Target):
    """A model's unnormalized log posterior over its flat unconstrained vector, in nats.

    Attributes:
        model: The model; its data are the leaves.
        sites: What the model declares.
        jacobian: Whether the log-determinant and auxiliary terms are included. With them
            it is the density of the unconstrained vector; without, that of the
            constrained values.
        minibatches: Plates of which `at(key)` sees some rows.
        seen: Rows seen of each plate, by its name; of a plate not named here, all.
    """

    model: Model
    sites: tuple[Site, ...] = eqx.field(static=True)
    jacobian: bool = eqx.field(static=True)
    minibatches: tuple[Minibatch, ...] = eqx.field(static=True, default=())
    seen: dict[str, Array] = eqx.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"LogDensity({self.model!r}, jacobian={self.jacobian})"

    @property
    def size(self) -> int:
        return sum(int(np.prod(site.unconstrained_shape)) for site in self.latent)

    @property
    def offers(self) -> frozenset[str]:
        partly = {"minibatch"} if self.minibatches else set()
        valued = {"gradient"} if self.unvalued else {"value", "gradient"}
        parted = set() if self.unvalued or self.without_prior else {"parts"}
        normal = {"normal_prior"} if parted and not find_not_normal(self.latent) else set()
        return frozenset(valued | partly | parted | normal)

    @property
    def without_prior(self) -> tuple[str, ...]:
        """Names of the latent sites that have a constraint and no prior."""
        return tuple(site.name for site in self.latent if site.prior == "flat")

    @property
    def unvalued(self) -> tuple[str, ...]:
        """Names of the latent sites whose priors are known by their scores alone."""
        return tuple(site.name for site in self.latent if not site.valued)

    def at(self, key: Array) -> "LogDensity":
        if not self.minibatches:
            return self
        keys = [jax.random.fold_in(key, i) for i in range(len(self.minibatches))]
        return self.on({m.plate: m.draw(k) for m, k in zip(self.minibatches, keys, strict=True)})

    def on(self, rows: Mapping[str, Any]) -> "LogDensity":
        """Return the density that sees given rows of its plates, each for size / rows of them.

        Args:
            rows: Shape (rows,), distinct, by plate; of a plate not named, all are seen.

        Raises:
            ModelError: No such plate has a minibatch.
        """
        known = [minibatch.plate for minibatch in self.minibatches]
        for name in sorted(rows.keys() - set(known)):
            raise ModelError(
                name,
                "rows are given for it, but no plate of that name has a minibatch",
                f"Plates with a minibatch are {', '.join(known) or 'none'}.",
            )
        return replace(self, seen={name: jnp.asarray(own) for name, own in rows.items()})

    @property
    def view(self) -> str:
        """Which view of the posterior it is, such as "prior * likelihood^0.5, unconstrained".

        Its terms, by role or name, then the space that it is a density of.
        """
        space = "unconstrained" if self.jacobian else "constrained"
        return f"{described(self.model)}, {space}"

    @property
    def latent(self) -> tuple[Site, ...]:
        """The sites that make up the vector, in order."""
        return tuple(site for site in self.sites if site.role == "latent")

    def __call__(self, position: Vector) -> Scalar:
        """Compute the log density at one point.

        Raises:
            ModelError: It has no value, since a prior is known by its score alone.
        """
        if self.unvalued:
            raise ModelError(
                self.unvalued[0],
                "its prior is known by its score alone, so the log density has no value",
                "Use evaluate for the gradient, or components for the part with a value.",
            )
        return self._total(position)

    def evaluate(self, position: Vector) -> tuple[Scalar, Vector]:
        with differentiating(self):
            return jax.value_and_grad(self._total)(position)

    def evaluate_from(self, position: Vector, reference: Scalar) -> tuple[Scalar, Vector]:
        if position.dtype != jnp.float32:
            return super().evaluate_from(position, reference)
        with differentiating(self):
            return jax.value_and_grad(self._beyond)(position, reference)

    def parts(self, position: Vector) -> Parts:
        account, joint = self.read(position)
        names = {site.name for site in self.latent}
        # The prior of a frozen site may depend on latent ones, and draws know nothing of it.
        drawn = [term.role == "prior" and term.name in names for term in account.terms]
        sums = [term.rows.sum().astype(position.dtype) for term in account.terms]
        zero = jnp.zeros((), position.dtype)
        prior = sum((s for s, own in zip(sums, drawn, strict=True) if own), zero)
        likelihood = sum((s for s, own in zip(sums, drawn, strict=True) if not own), zero)
        correction = joint.log_det + joint.auxiliary if self.jacobian else zero
        return Parts(prior + correction, likelihood)

    def normal_prior(self) -> NormalPrior:
        return normal_prior(self)

    def unvalued_gradient(self, position: Vector) -> Vector:
        with differentiating(self):
            return jax.grad(lambda q: self._summed(q, valued=False)[0])(position)

    def components(self, position: Vector) -> Components:
        if not self.unvalued:
            return super().components(position)
        with differentiating(self):
            value, gradient = jax.value_and_grad(self._valued)(position)
        unvalued = self.unvalued_gradient(position)
        return Components(value, gradient + unvalued, unvalued)

    def terms(self, position: Vector) -> dict[str, Scalar]:
        """Compute every summand at one point: each term's sum, and the maps' `jacobian`.

        A term that is known by its score alone is NaN.
        """
        account, joint = self.read(position)
        terms = {term.name: term.rows.sum() for term in account.terms}
        return terms | {"jacobian": joint.log_det + joint.auxiliary} if self.jacobian else terms

    def rows(self, position: Vector) -> dict[str, Array]:
        """Compute the rows of every term at one point: of a likelihood, one per observation."""
        return {term.name: term.rows for term in self.read(position)[0].terms}

    def log_dets(self, position: Vector) -> dict[str, Scalar]:
        """Compute what the map of each site adds at one point; nothing without `jacobian`."""
        reader = _FlatReader(position, self.model.rules, self.seen)
        self.model.run(reader)
        return reader.log_dets if self.jacobian else {}

    def of(self, values: Mapping[str, Any]) -> Scalar:
        """Compute the log density at constrained values of all latent sites, by name.

        The number is that of their flat vector, with the maps' log-determinants there if
        `jacobian`; NaN where a prior is known by its score alone. It may be differentiated with
        respect to the values; of a set that is thinner than its space, such as a simplex, only
        directions along it have a meaning.

        Raises:
            ModelError: A site is missing, unknown or of another shape.
        """
        arrays = {name: jnp.asarray(value) for name, value in values.items()}
        self.check_names(arrays)
        reader = _ConstrainedReader(arrays, self.model.rules, self.jacobian)
        return self.model.run(reader).log_density() + reader.log_det

    def constrain(self, position: Vector) -> dict[str, Array]:
        """Map one point to its constrained and derived values, by name."""
        return self.read(position)[0].values()

    def observed(self) -> dict[str, Array]:
        """Return the observed data, by name."""
        return self.read(jnp.zeros(self.size))[0].observed

    def unconstrain(self, values: Mapping[str, Any]) -> Vector:
        """Map constrained values of all latent sites to the flat vector.

        It may be mapped, compiled and differentiated. Values that are traced then, or whose set
        depends on one that is, are not compared with their sets; outside, the result is NaN or
        infinite, or the image of another value.

        Raises:
            ModelError: A site is missing, unknown, of another shape, or outside its set.
        """
        given = {n: v if isinstance(v, jax.Array) else np.asarray(v) for n, v in values.items()}
        self.check_names(given)
        arrays = {s.name: _as_inexact(given[s.name]) for s in self.latent}
        reader = _CheckedValues(arrays, self.model.rules)
        # In a scan the steps' own sets are traced; those of the whole series are not.
        for declaration in self.model.run(reader).declarations:
            _refuse_outside(declaration, arrays[declaration.name])
        return reader.flattener.flat()

    def draw_prior(self, key: Array) -> Vector:
        """Draw a point from the prior."""
        reader = PriorDraws(key, self.model.rules)
        self.model.run(reader)
        return reader.flattener.flat()

    def labels(self) -> list[str]:
        """Name every coordinate of the vector: "mu", "theta[Choate]", "L[2,1]"."""
        found, coords = entries(self.model), self.model.labels.coords
        return [_label(s, entry, coords) for s in self.latent for entry in found[s.name]]

    def _total(self, position: Vector) -> Scalar:
        account, joint = self.read(position)
        log_density = account.log_density().astype(position.dtype)
        return log_density + joint.log_det + joint.auxiliary if self.jacobian else log_density

    def _beyond(self, position: Vector, reference: Scalar) -> Scalar:
        """Log density minus a reference, with the digits that its own size would drop."""
        account, joint = self.read(position)
        sums = [long_sum(term.rows.astype(position.dtype)) for term in account.terms]
        own = [joint.log_det, joint.auxiliary] if self.jacobian else []
        total, remainder = -reference, jnp.zeros_like(reference)
        for whole, rest in [*sums, *((each, 0.0) for each in own)]:
            total, lost = two_sum(total, whole)
            remainder = remainder + rest + lost
        return total + remainder

    def _valued(self, position: Vector) -> Scalar:
        """Log density of the terms that have a value."""
        log_density, joint = self._summed(position, valued=True)
        return log_density + joint.log_det + joint.auxiliary if self.jacobian else log_density

    def _summed(self, position: Vector, *, valued: bool) -> tuple[Scalar, Joint]:
        """Sum the terms of one kind."""
        account, joint = self.read(position)
        account.terms = [term for term in account.terms if term.valued is valued]
        return account.log_density().astype(position.dtype), joint

    def read(self, position: Vector) -> tuple[Account, Joint]:
        """Run the model at one point; return what it says, and the sums of its maps."""
        reader = _FlatReader(position, self.model.rules, self.seen)
        return self.model.run(reader), reader.joint

    def check_names(self, given: Mapping[str, Any]) -> None:
        """Raise where values are missing, unknown or of another shape than their site."""
        shapes = {site.name: site.shape for site in self.latent}
        for name in sorted(shapes.keys() ^ given.keys()):
            missing = name in shapes
            raise ModelError(
                name,
                "no value is given for it" if missing else "a value is given, but no site is",
                f"The latent sites are {', '.join(shapes)}.",
            )
        for name, value in given.items():
            if value.shape != shapes[name]:
                raise ModelError(
                    name,
                    f"the value has shape {value.shape}",
                    f"Give it the shape {shapes[name]} of the site.",
                )


@contextmanager
def differentiating(density: LogDensity) -> Iterator[None]:
    """Say which term has no gradient, if JAX finds in the block that one has none.

    Raises:
        ModelError: A term runs a loop that reverse mode cannot take; the message names the term.
    """
    try:
        yield
    except ValueError as error:
        if not str(error).startswith(_NO_REVERSE):
            raise
        raise ModelError(
            "while_loop",
            f"{_looping(density)} has no gradient: it runs such a loop, or a jax.lax.fori_loop "
            "whose bounds are traced, and reverse mode needs to know the number of steps",
            "Use jax.lax.scan, or jax.lax.fori_loop with whole numbers for bounds; infer.static(n) "
            "makes one of the data such a number, and jnp.where in the body stops early.",
        ) from error


_NO_REVERSE = "Reverse-mode differentiation does not work for lax.while_loop"


def _looping(density: LogDensity) -> str:
    """Name the first term without a gradient, by differentiating each of them abstractly."""
    position = jnp.zeros(density.size)
    for name in jax.eval_shape(lambda q: density.terms(q), position):
        try:
            jax.eval_shape(jax.grad(lambda q, name=name: density.terms(q)[name]), position)
        except ValueError:
            return name
    return "log density"


@checks_arguments("infer.log_density")
def log_density(model: Model, *, jacobian: bool = True) -> LogDensity:
    """Make the log density of a model, finding its sites without computing anything.

    Args:
        model: What a front end returned.
        jacobian: True for the density of the unconstrained vector, as samplers need.

    Raises:
        ModelError: The model cannot be used; the message names the site.
    """
    sites = survey(model)
    if jacobian:
        _refuse_without_log_det(sites)
    density = LogDensity(model, sites, jacobian, abstract(model).minibatches)
    if density.unvalued:
        _refuse_dependent_scores(density)
    return density


def _refuse_dependent_scores(density: LogDensity) -> None:
    """Raise where a score depends on other sites, whose own gradients it does not tell."""
    try:
        # JAX would compare the method itself by the arrays of its density, which may be traced.
        jax.eval_shape(lambda q: density.unvalued_gradient(q), jnp.zeros(density.size))
    except ValueError as error:
        # As equinox says that what only a derivative by name could reach is differentiated.
        if "keyword tangent" not in str(error):
            raise
        raise ModelError(
            density.unvalued[0],
            "its score depends on another latent site, and does not tell how the log density of "
            "its prior changes with that one",
            "Freeze that site or give its value as data, or use a prior with a log density.",
        ) from error


def _refuse_without_log_det(sites: tuple[Site, ...]) -> None:
    for site in sites:
        if site.why_no_log_det:
            raise ModelError(
                site.name,
                f"no posterior density of it exists: {site.why_no_log_det}",
                'Freeze it, or infer the arrays inside it; MAP(space="constrained") needs no '
                "Jacobian.",
            )


def _as_inexact(value: np.ndarray | Array) -> Array:
    dtype = jnp.result_type(complex if jnp.iscomplexobj(value) else float)
    if isinstance(value, Tracer):
        return value.astype(dtype)
    # A number that is known stays known inside a program that is being traced.
    with jax.ensure_compile_time_eval():
        return jnp.asarray(value, dtype)


def _refuse_outside(declaration: Declaration, value: Array) -> None:
    if declaration.holds(value) is False:
        raise ModelError(
            declaration.name,
            f"the value {np.asarray(value)} lies outside {declaration.constraint!r}",
            "Give a value inside the set, or declare another constraint.",
        )


def _label(site: Site, entry: tuple[int, ...], coords: Mapping[str, np.ndarray]) -> str:
    names = [_coordinate(site, axis, index, coords) for axis, index in enumerate(entry)]
    return f"{site.name}[{','.join(names)}]" if names else site.name


def _coordinate(site: Site, axis: int, index: int, coords: Mapping[str, np.ndarray]) -> str:
    """Name one index: by the axis's coords, unless the map mixes that axis's entries."""
    dim = site.dims[axis] if axis < len(site.dims) else None
    flat, whole = site.unconstrained_shape, site.shape
    mixed = len(flat) == len(whole) and flat[axis] != whole[axis]
    return str(coords[dim][index] if dim is not None and dim in coords and not mixed else index)
