"""A site is a named quantity: a declaration while a model runs, and what a survey keeps of it."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array

from bijectors.base import Bijector, Constraint, Shape

from ..priors.prior import Prior
from ..priors.units import refuse_parameters_with_units

# Name of a latent site that is the flat vector itself, of which all other values are derived.
FLAT_SITE = "unconstrained__"
Role = Literal["latent", "frozen", "summed", "observed", "derived"]
Part = Literal["prior", "likelihood", "factor"]
Dims = tuple[str | None, ...]


@dataclass(frozen=True)
class Declaration:
    """What a model asks its reader for: one latent site, whose bounds and prior may be traced.

    Attributes:
        name: Name of the site.
        constraint: Set of its values.
        shape: Shape of a value, batch axes first.
        dims: A name, or `None`, for each axis of `shape`.
        prior: Its distribution, or `None` for a site with only a constraint.
        bijector: A map to use instead of the default, or the name of a registered one.
        learns_centering: Whether samplers may learn how far the site is centered.

    Raises:
        ModelError: A parameter of the map has units.
    """

    name: str
    constraint: Constraint
    shape: Shape
    dims: Dims
    prior: Prior | None = None
    bijector: Bijector | str | None = None
    learns_centering: bool = False

    def __post_init__(self) -> None:
        refuse_parameters_with_units(self.name, self.bijector, "map")

    def holds(self, value: Array) -> bool | None:
        """Return whether a value lies in the set; `None` if it or the set is traced."""
        leaves = jax.tree.leaves((self.constraint, value))
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            return None
        with jax.ensure_compile_time_eval():
            return bool(jnp.all(self.constraint.contains(value)))


class Site(NamedTuple):
    """One named quantity as one abstract run of the model found it; it hashes.

    Attributes:
        name: Name of the site.
        role: Whether it is sampled, frozen at a value, summed out, observed or derived.
        constraint: Name of the type of its set; empty if observed or derived.
        bijector: Name of the type of its map; empty unless latent.
        shape: Shape of a value, batch axes first.
        unconstrained_shape: Shape of its piece of the flat vector; (0,) unless latent.
        dims: A name, or `None`, for each axis of `shape`.
        prior: Name of the type of its prior, or "flat"; empty if observed or derived.
        why_no_log_det: Why its map has no log-determinant; empty if it has one.
        has_value: Whether the log density of its prior has a value; else only its score is known.
        remark: Consequences of a prior whose support is not the constraint.
        learns_centering: Whether samplers may learn how far it is centered.
        in_steps: Whether each step of a `site.scan` or row of a `site.vmap` has a part of it.
    """

    name: str
    role: Role
    constraint: str
    bijector: str
    shape: Shape
    unconstrained_shape: Shape
    dims: Dims
    prior: str = ""
    why_no_log_det: str = ""
    has_value: bool = True
    remark: str = ""
    learns_centering: bool = False
    in_steps: bool = False


class Term(NamedTuple):
    """One summand of the log density.

    Attributes:
        name: Name of the site or factor it comes from.
        role: Which part of the posterior it belongs to.
        rows: Log density in nats, shape (*batch,); the rows are summed.
        has_value: Whether the rows are known; else they are NaN, and only their gradient is right.
        is_partial: Whether the rows are those of a minibatch, scaled up.
        is_scaled: Whether NumPyro scales the rows, by its handler or in a plate of some rows.
    """

    name: str
    role: Part
    rows: Array
    has_value: bool = True
    is_partial: bool = False
    is_scaled: bool = False


class Power(NamedTuple):
    """How views have changed one term of a model.

    Attributes:
        role: Which part of the posterior the term belongs to.
        factors: What its log density is multiplied by, one number for each view, the innermost
            first; 0 if the term is left out.
    """

    role: Part
    factors: tuple[Any, ...]
