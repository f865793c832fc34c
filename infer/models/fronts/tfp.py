"""The front end for joint distributions of TFP: their coroutine runs, and our reader answers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions.distribution import Independent

from bijectors.base import Shape
from bijectors.rule import Rules
from bijectors.table import RULES
from bijectors.translate.tfp import batch_shape, event_shape
from bijectors.translate.tfp_import import load_tfp

from ...calls import check_arguments
from ...errors import ModelError
from ..inputs.coded import code_columns
from ..inputs.data import Data, refuse_unknown_data
from ..inputs.labels import Labels
from ..inputs.names import join_names
from ..inputs.partition import StaticByIdentity
from ..model import Model
from ..priors.from_tfp import as_numpyro
from ..priors.prior import Prior
from ..priors.tfp_kinds import is_a, is_joint
from ..priors.units import refuse_parameters_with_units
from ..protocol.account import Account
from ..protocol.dims_by_site import read_dims
from ..protocol.layout import lay_out
from ..protocol.program import Program
from ..protocol.reader import Reader
from ..protocol.site import Declaration, Dims, Term

Names = str | Sequence[str | None]


class TfpProgram(Program):
    """A joint distribution of TFP, or a function that makes one from data.

    Attributes:
        joint: The joint distribution or the function.
        observed: Names of the parts that are observed.
        dims: Names of the axes of parts.
        data: Observed values and arguments of the function, by name.
    """

    joint: StaticByIdentity = eqx.field(static=True)
    observed: tuple[str, ...] = eqx.field(static=True)
    dims: tuple[tuple[str, Dims], ...] = eqx.field(static=True)
    data: Data

    def run(self, reader: Reader, labels: Labels, rules: Rules) -> Account:
        named = self.data.tree()
        observed = {name: named.pop(name) for name in self.observed}
        joint = _joint(self.joint.value, named)
        walk = _Walk(reader, labels, observed, dict(self.dims))
        walk.through(joint, "")
        walk.refuse_unknown()
        return walk.account

    def with_data(self, **named: Any) -> "TfpProgram":
        """Return the same model on other data; the same shapes compile nothing.

        Raises:
            ModelError: The model has no such data.
        """
        refuse_unknown_data(named, self.data.tree())
        return replace(self, data=self.data.replace(named))


class _Walk:
    """One run of a joint distribution: each part that it yields becomes a site."""

    def __init__(
        self, reader: Reader, labels: Labels, observed: Mapping[str, Any], dims: Mapping[str, Dims]
    ) -> None:
        self.account = Account()
        self._reader, self._coords = reader, labels.coords
        self._observed, self._given_dims = dict(observed), dims

    def through(self, joint: Any, prefix: str) -> Any:
        """Run the coroutine of a joint distribution; return its value in its own structure."""
        values = []
        parts = joint._model_coroutine()
        try:
            part = next(parts)
            for name in joint._flat_resolve_names():
                values.append(self._value(joint, prefix + name, _bare(part)))
                part = parts.send(values[-1])
        except StopIteration:
            pass
        return joint._model_unflatten(values)

    def refuse_unknown(self) -> None:
        """Raise if values or dims are given for a part that does not exist."""
        names = self.account.dims.keys()
        for what, given in (("observed values", self._observed), ("dims", self._given_dims)):
            for name in given.keys() - names:
                raise ModelError(
                    name,
                    f"{what} name it, but there is no such part",
                    f"The parts are {join_names(names)}.",
                )

    def _value(self, joint: Any, name: str, part: Any) -> Any:
        refuse_parameters_with_units(name, part, "distribution")
        if is_joint(part):
            self._observe_inside(part, name)
            return self.through(part, f"{name}.")
        if name in self._coords:
            raise ModelError(name, "a part and a dimension share the name", "Rename the dimension.")
        if is_a(part, "IncrementLogProb"):
            return self._factor(name, part)
        if is_a(part, "Deterministic", "VectorDeterministic"):
            return self._derived(name, part)
        _refuse_batch(joint, name, part)
        own = self._observe(name, part) if name in self._observed else self._take(name, part)
        # A sample would have this dtype too; TFP refuses parameters of mixed precision.
        return own.astype(part.dtype)

    def _observe_inside(self, part: Any, name: str) -> None:
        """Pass the parts of an observed joint distribution, as a pin gives it, to its own parts."""
        if name in self._observed:
            values = part._model_flatten(self._observed.pop(name))
            inner = [f"{name}.{own}" for own in part._flat_resolve_names()]
            self._observed |= dict(zip(inner, values, strict=True))

    def _take(self, name: str, part: Any) -> Array:
        batch, event = batch_shape(part), event_shape(part)
        prior = Prior(as_numpyro(part, name), batch)
        dims = self._dims(name, batch + event)
        declaration = Declaration(name, prior.constraint(name), batch + event, dims, prior)
        image = self.account.take(self._reader, declaration)
        rows = prior.log_density(image.value, image.by_products)
        self.account.terms.append(Term(name, "prior", rows))
        return image.value

    def _observe(self, name: str, part: Any) -> Array:
        batch, event = batch_shape(part), event_shape(part)
        given, whole = self._observed[name], batch + event
        value = None if given is None else jnp.asarray(given)
        if value is not None and value.shape != whole:
            raise ModelError(
                name,
                f"the observed value has shape {value.shape}, but its distribution has batch shape "
                f"{batch_shape(part)} and event shape {event_shape(part)}",
                "Make the value's shape the batch shape followed by the event shape.",
            )
        distribution = as_numpyro(part, name)
        value = self._reader.observe(name, Prior(distribution, batch), value)
        if value is None:
            raise ModelError(
                name,
                "its value is None, so nothing was observed",
                "Give data, or predict them by infer.predict(model, posterior).",
            )
        self.account.observed[name] = value
        self.account.dims[name] = self._dims(name, whole)
        self.account.terms.append(Term(name, "likelihood", _rows(distribution, value)))
        return value

    def _factor(self, name: str, part: Any) -> Array:
        rows = jnp.asarray(part.log_prob_increment)
        self.account.terms.append(Term(name, "factor", rows))
        self.account.dims[name] = ()
        return jnp.zeros((*rows.shape, 0), rows.dtype)

    def _derived(self, name: str, part: Any) -> Array:
        value = jnp.broadcast_to(jnp.asarray(part.loc), batch_shape(part) + event_shape(part))
        self.account.derived[name] = value
        self.account.dims[name] = self._dims(name, value.shape)
        return value

    def _dims(self, name: str, shape: Shape) -> Dims:
        given = self._given_dims.get(name, ())
        if len(given) > len(shape):
            raise ModelError(
                name,
                f"dims={given} name {len(given)} axes of a value of shape {shape}",
                "Name each axis once; None leaves one unnamed.",
            )
        laid = lay_out(name, shape, (), given, (), self._coords)
        if laid.batch_shape != shape:
            raise ModelError(
                name,
                f"dims={given} would spread a value of shape {shape} to {laid.batch_shape}",
                "Give the distribution its whole shape, or make the coords as long as its axes.",
            )
        return laid.dims


@check_arguments("infer.from_tfp")
def from_tfp(
    joint: Any,
    /,
    *,
    observed: Mapping[str, Any] | None = None,
    coords: Mapping[str, Any] | None = None,
    dims: Mapping[str, Names] | None = None,
    rules: Rules = RULES,
    **data: Any,
) -> Model:
    """Make a model from a joint distribution of TFP, on its JAX substrate.

    Its parts have the names that TFP gives them; parts of a joint distribution inside it are
    called "outer.inner". A `Deterministic` part is a derived value, an `IncrementLogProb` a
    factor. Observed values are data. Everything else in the joint distribution is part of the
    program, unless a function makes the joint distribution from `data`.

    Args:
        joint: A `JointDistributionNamed`, `JointDistributionSequential`,
            `JointDistributionCoroutine` or an auto-batched form; one that is pinned
            (`joint.experimental_pin(...)`), whose pins are observed; or a function of `data` that
            returns one.
        observed: Values of parts, by name.
        coords: Values of each dimension of `dims`.
        dims: Names of the axes of parts, by name.
        rules: Table of maps, your own rules first.
        data: Arguments of the function.

    Raises:
        ModelError: It is no joint distribution, or a batch of them; a name fits no part; the data
            hold NaN.
    """
    load_tfp()
    if not isinstance(observed, Mapping | None):
        mend = 'Give values by the names of the parts: observed={"y": y}.'
        raise ModelError("observed", f"they are a {type(observed).__name__}", mend)
    observed = dict(observed or {})
    if is_a(joint, "JointDistributionPinned"):
        twice = joint.pins.keys() & observed.keys()
        if twice:
            raise ModelError(min(twice), "it is pinned and observed", "Give its value once.")
        joint, observed = joint.distribution, {**joint.pins, **observed}
    _refuse_other(joint)
    if both := data.keys() & observed.keys():
        raise ModelError(min(both), "it is among observed and data", "Rename the data.")
    if is_joint(joint):
        _refuse_data(data)
        # TFP finds the names once, and keeps them: not inside a program.
        joint._flat_resolve_names()
    named, labels = code_columns(observed | data, Labels(coords))
    program = TfpProgram(
        joint=StaticByIdentity(joint),
        observed=tuple(observed),
        dims=tuple(read_dims(dims).items()),
        data=Data.of(named),
    )
    return Model(labels, rules, program)


def _refuse_other(joint: Any) -> None:
    if not is_joint(joint) and not callable(joint):
        raise ModelError(
            "joint",
            f"a {type(joint).__name__} is not a joint distribution",
            "Give one of tensorflow_probability.substrates.jax, or a function that returns one.",
        )


def _refuse_data(data: Mapping[str, Any]) -> None:
    if data:
        raise ModelError(
            min(data),
            "a joint distribution takes no data",
            "Give a function of data that returns the joint distribution, or name it in observed=.",
        )


def _joint(made: Any, data: Mapping[str, Any]) -> Any:
    joint = made if is_joint(made) else made(**data)
    if not is_joint(joint):
        raise ModelError(
            "joint",
            f"the function returned a {type(joint).__name__}",
            "Return a joint distribution of tensorflow_probability.substrates.jax.",
        )
    if joint.batch_ndims:
        raise ModelError(
            "joint",
            f"batch_ndims={joint.batch_ndims} makes it a batch of joint distributions",
            "Make a joint distribution with batch_ndims=0 for each.",
        )
    return joint


def _refuse_batch(joint: Any, name: str, part: Any) -> None:
    """Raise if a joint distribution would not sum the rows of a part."""
    if joint.batch_ndims is None and batch_shape(part):
        raise ModelError(
            name,
            f"it has the batch shape {batch_shape(part)}, which makes the joint distribution a "
            "batch of several",
            "Make it one event by tfd.Independent or tfd.Sample, or use the AutoBatched form of "
            "the joint distribution.",
        )


def _bare(part: Any) -> Any:
    """Strip the marker of a part without parents."""
    return part.distribution if type(part).__name__ == "Root" else part


def _rows(distribution: Any, value: Array) -> Array:
    """Return the log density of each observation of a distribution of independent ones."""
    while isinstance(distribution, Independent):
        distribution = distribution.base_dist
    return jnp.asarray(distribution.log_prob(value))
