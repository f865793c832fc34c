"""The log density of a model over one flat unconstrained vector."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from bijectors.joint import Joint

from ..calls import check_arguments
from ..errors import ModelError
from ..models.abstract import find_entries, run_abstractly
from ..models.changes.differentiate import GradientMode, find_mode
from ..models.changes.view import describe_view
from ..models.inputs.plates import divide_plates
from ..models.model import Model
from ..models.protocol.account import Account
from ..models.protocol.minibatch import Minibatch
from ..models.protocol.site import Site
from ..models.readers import PriorDraws
from ..models.surroundings import renew
from ..models.survey import survey
from ..numerics.long_sum import long_sum, two_sum
from ..target import Components, Moments, NormalPrior, Parts, Target
from ..types import Scalar, Vector
from .differentiating import naming_looping_term, value_and_gradient
from .flatten import flatten_in_one_program
from .labels import label_coordinate
from .normal_prior import find_not_normal, normal_prior
from .once import SiteStack, compute_once, compute_stacks, compute_values, evaluate_once, join_rows
from .parted import MomentsReader, split_account
from .readers import CheckedValues, ConstrainedReader, FlatReader, as_arrays, as_inexact, as_vector
from .refusals import (
    refuse_dependent_scores,
    refuse_misnamed,
    refuse_outside,
    refuse_without_log_det,
)


class LogDensity(Target):
    """A model's unnormalized log posterior over its flat unconstrained vector, in nats.

    Attributes:
        model: The model; its data are the leaves.
        sites: What the model declares.
        jacobian: Whether the log-determinant and auxiliary terms are included. With them
            it is the density of the unconstrained vector; without, that of the
            constrained values.
        minibatches: Plates whose rows `at(key)` subsamples.
        seen: Rows that are seen of each plate, by its name; all rows of a plate that is not named.
        gradient: How it is differentiated; `None` if it has no gradient.
    """

    model: Model
    sites: tuple[Site, ...] = eqx.field(static=True)
    jacobian: bool = eqx.field(static=True)
    minibatches: tuple[Minibatch, ...] = eqx.field(static=True, default=())
    seen: dict[str, Array] = eqx.field(default_factory=dict)
    gradient: GradientMode = eqx.field(static=True, default="reverse")

    def __repr__(self) -> str:
        return f"LogDensity({self.model!r}, jacobian={self.jacobian})"

    @property
    def size(self) -> int:
        return sum(prod(site.unconstrained_shape) for site in self.latent)

    @property
    def offers(self) -> frozenset[str]:
        partly = {"minibatch"} if self.minibatches else set()
        whole = ({"value"} if not self.unvalued else set()) | (
            {"gradient"} if self.gradient else set()
        )
        parted = set() if self.unvalued or self.without_prior else {"parts"}
        normal = {"normal_prior"} if parted and not find_not_normal(self.latent) else set()
        return frozenset(whole | partly | parted | normal)

    @property
    def without_prior(self) -> tuple[str, ...]:
        """Names of the latent sites that have a constraint and no prior."""
        return tuple(site.name for site in self.latent if site.prior == "flat")

    @property
    def unvalued(self) -> tuple[str, ...]:
        """Names of the latent sites whose priors are known by their scores alone."""
        return tuple(site.name for site in self.latent if not site.has_value)

    def at(self, key: Array, turn: Array | int = 0) -> "LogDensity":
        if not self.minibatches:
            return self
        own = enumerate(self.minibatches)
        return self.on({m.plate: m.draw(jax.random.fold_in(key, i), turn) for i, m in own})

    def on(self, rows: Mapping[str, Any]) -> "LogDensity":
        """Return the density that sees only the given rows of its plates.

        Each row that is seen has the weight size / rows, so that the sum stays unbiased.

        Args:
            rows: Distinct indices of shape (rows,), by plate; all rows of a plate that is not
                named are seen.

        Raises:
            ModelError: No plate of that name has a minibatch.
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
        """Which view of the posterior this is, such as "prior * likelihood^0.5, unconstrained".

        Its terms come first, by role or name, then the space on which it is a density.
        """
        space = "unconstrained" if self.jacobian else "constrained"
        return f"{describe_view(self.model.powers())}, {space}"

    @property
    def latent(self) -> tuple[Site, ...]:
        """The sites that make up the vector, in order."""
        return tuple(site for site in self.sites if site.role == "latent")

    def __call__(self, position: Vector) -> Scalar:
        """Compute the log density at one point.

        Raises:
            ModelError: It has no value, since a prior is known by its score alone; or the point is
                not a vector of `size` numbers.
        """
        if self.unvalued:
            raise ModelError(
                self.unvalued[0],
                "its prior is known by its score alone, so the log density has no value",
                "Use evaluate for the gradient, or components for the part with a value.",
            )
        position = as_vector(position, self.size)
        return compute_once(type(self)._total_and_values, 0, self, position)

    def evaluate(self, position: Vector) -> tuple[Scalar, Vector]:
        position = as_vector(position, self.size)
        with naming_looping_term(self):
            return evaluate_once(type(self)._total_and_values, self, position)

    def value_from(self, position: Vector, reference: Scalar) -> Scalar:
        if position.dtype != jnp.float32 or self.unvalued:
            return super().value_from(position, reference)
        return compute_once(type(self)._minus_reference, 0, self, position, reference)

    def evaluate_from(self, position: Vector, reference: Scalar) -> tuple[Scalar, Vector]:
        if position.dtype != jnp.float32:
            return super().evaluate_from(position, reference)
        with naming_looping_term(self):
            return evaluate_once(type(self)._minus_reference, self, position, reference)

    def parts(
        self, position: Vector, moments: Moments | None = None, key: Array | None = None
    ) -> Parts:
        account, joint = self._read_with_moments(position, moments)
        correction = joint.log_det + joint.auxiliary if self.jacobian else 0 * joint.log_det
        parts = split_account(account, {site.name for site in self.latent}, correction)
        if moments is None or key is None:
            return parts
        from ..programs.row_noise import RowNoise, draw_by_rows

        by_rows = draw_by_rows(lambda x: self.parts(x)[1], position, RowNoise(*moments, key))
        return parts._replace(likelihood=by_rows)

    def normal_prior(self) -> NormalPrior:
        return normal_prior(self)

    def unvalued_gradient(self, position: Vector) -> Vector:
        with naming_looping_term(self):
            return jax.grad(lambda q: self._sum_terms(q, has_value=False)[0])(position)

    def components(self, position: Vector) -> Components:
        if not self.gradient:
            none = jnp.zeros_like(position)
            return Components(self(position), none, none)
        if not self.unvalued:
            return super().components(position)
        with naming_looping_term(self):
            value, gradient = value_and_gradient(self._valued_part, self.gradient)(position)
        unvalued = self.unvalued_gradient(position)
        return Components(value, gradient + unvalued, unvalued)

    def terms(self, position: Vector) -> dict[str, Scalar]:
        """Compute every term's sum at one point, and the `jacobian` of the maps.

        A term that is known by its score alone is NaN.
        """
        account, joint = self.read(position)
        terms = {term.name: term.rows.sum() for term in account.terms}
        return terms | {"jacobian": joint.log_det + joint.auxiliary} if self.jacobian else terms

    def rows(self, position: Vector) -> dict[str, Array]:
        """Compute the rows of every term at one point; a likelihood has one row per observation."""
        return {term.name: term.rows for term in self.read(position)[0].terms}

    def log_dets(self, position: Vector) -> dict[str, Scalar]:
        """Compute the log-determinant of each site's map at one point; empty without `jacobian`."""
        reader = FlatReader(position, self.model.rules, self.seen)
        self.model.run(reader)
        return reader.log_dets if self.jacobian else {}

    def of(self, values: Mapping[str, Any]) -> Scalar:
        """Compute the log density at constrained values of all latent sites, by name.

        The result equals the log density at their flat vector, with the maps' log-determinants
        if `jacobian`; it is NaN if a prior is known by its score alone. It can be differentiated
        with respect to the values. On a set of lower dimension than its space, such as a simplex,
        only derivatives along the set are meaningful.

        Raises:
            ModelError: A site is missing, unknown or of another shape.
        """
        arrays = {name: jnp.asarray(value) for name, value in values.items()}
        refuse_misnamed(arrays, self.latent)
        reader = ConstrainedReader(arrays, self.model.rules, self.jacobian)
        return self.model.run(reader).log_density() + reader.log_det

    def constrain(self, position: Vector) -> dict[str, Array]:
        """Map one point to its constrained and derived values, by name."""
        position = as_vector(position, self.size)
        return compute_values(LogDensity._total_and_values, self, position)

    def constrain_in_stacks(self, position: Vector) -> list[SiteStack]:
        """Map one point as `constrain` does, to few arrays."""
        return compute_stacks(LogDensity._total_and_values, self, position)

    def observed(self) -> dict[str, Array]:
        """Return the observed data, by name."""
        return self.read(jnp.zeros(self.size))[0].observed

    def unconstrain(self, values: Mapping[str, Any]) -> Vector:
        """Map constrained values of all latent sites to the flat vector.

        It can be vmapped, compiled and differentiated. Traced values, and values whose set depends
        on a traced one, are not checked: for one outside its set the result is NaN, infinite, or
        the position of another value.

        Raises:
            ModelError: A site is missing, unknown, of another shape, or outside its set.
        """
        given = as_arrays(values)
        refuse_misnamed(given, self.latent)
        arrays = {s.name: as_inexact(given[s.name]) for s in self.latent}
        flat = flatten_in_one_program(self.model, arrays)
        if flat is not None:
            return flat
        reader = CheckedValues(arrays, self.model.rules)
        # Inside a scan the sets of single steps are traced; those of the whole series are not.
        for declaration in self.model.run(reader).declarations:
            refuse_outside(declaration, arrays[declaration.name])
        return reader.flattener.flat()

    def draw_prior(self, key: Array) -> Vector:
        """Draw a point from the prior."""
        reader = PriorDraws(key, self.model.rules)
        self.model.run(reader)
        return reader.flattener.flat()

    def labels(self) -> list[str]:
        """Name every coordinate of the vector: "mu", "theta[Choate]", "L[2,1]"."""
        found, coords = find_entries(self.model), self.model.labels.coords
        return [label_coordinate(s, entry, coords) for s in self.latent for entry in found[s.name]]

    def _total_and_values(self, position: Vector) -> tuple[Scalar, dict[str, Array]]:
        account, joint = self.read(position)
        log_density = account.log_density().astype(position.dtype)
        own = (joint.log_det, joint.auxiliary) if self.jacobian else ()
        return sum(own, log_density), account.values()

    def _minus_reference(self, position: Vector, reference: Scalar) -> tuple[Scalar]:
        """Compute log density minus reference, with the digits that a plain sum would round off."""
        account, joint = self.read(position)
        rows = join_rows(self, [term.rows.astype(position.dtype) for term in account.terms])
        own = [joint.log_det, joint.auxiliary] if self.jacobian else []
        total, remainder = -reference, jnp.zeros_like(reference)
        for whole, rest in [*map(long_sum, rows), *((each, 0.0) for each in own)]:
            _, lost = two_sum(*jax.lax.stop_gradient((total, whole)))
            total, remainder = total + whole, remainder + rest + lost
        # That of an infinite sum is NaN; its gradient is zero, but XLA would compute the sum again.
        return (total + jnp.where(jnp.isfinite(total), jax.lax.stop_gradient(remainder), 0.0),)

    def _valued_part(self, position: Vector) -> Scalar:
        """Compute the log density of the terms that have a value."""
        log_density, joint = self._sum_terms(position, has_value=True)
        return log_density + joint.log_det + joint.auxiliary if self.jacobian else log_density

    def _sum_terms(self, position: Vector, *, has_value: bool) -> tuple[Scalar, Joint]:
        """Sum the terms that have a value, or those that have none."""
        account, joint = self.read(position)
        account.terms = [term for term in account.terms if term.has_value is has_value]
        return account.log_density().astype(position.dtype), joint

    def read(self, position: Vector) -> tuple[Account, Joint]:
        """Run the model at one point; return its account, and the sums over its maps."""
        reader = FlatReader(position, self.model.rules, self.seen)
        return self.model.run(reader), reader.joint

    def _read_with_moments(
        self, position: Vector, moments: Moments | None
    ) -> tuple[Account, Joint]:
        if moments is None:
            return self.read(position)
        reader = MomentsReader(position, moments, self.model.rules, self.seen)
        return self.model.run(reader), reader.joint


@check_arguments("infer.log_density")
def log_density(model: Model, *, jacobian: bool = True) -> LogDensity:
    """Make the log density of a model; its sites are found without computing anything.

    Args:
        model: What a front end returned.
        jacobian: True for the density of the unconstrained vector, as samplers need.

    Raises:
        ModelError: The model cannot be used; the message names the site.
    """
    (model,) = renew([model])
    sites = survey(model)
    if jacobian:
        refuse_without_log_det(sites)
    mode = find_mode(model.changes)
    found = run_abstractly(model)
    model = divide_plates(model, found.divided)
    density = LogDensity(model, sites, jacobian, found.minibatches, gradient=mode)
    if density.unvalued:
        refuse_dependent_scores(density, density.unvalued[0])
    return density
