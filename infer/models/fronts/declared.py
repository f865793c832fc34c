"""The front end for a plain log density whose arguments have declared supports."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array

from bijectors.base import Bijector, Constraint
from bijectors.rule import Rules
from bijectors.table import RULES

from ...calls import check_arguments
from ...errors import ModelError
from ..changes.differentiate import GradientMode
from ..inputs.coded import code_columns
from ..inputs.data import Data
from ..inputs.labels import Labels
from ..inputs.mistakes import refuse_unfit
from ..inputs.names import refuse_unnamed
from ..inputs.precision import as_array
from ..model import Model
from ..priors.sets import is_set, set_of
from ..priors.units import refuse_parameters_with_units
from ..protocol.account import Account
from ..protocol.dims_by_site import read_dims
from ..protocol.layout import lay_out
from ..protocol.observations import Observations
from ..protocol.program import Program
from ..protocol.reader import Reader
from ..protocol.site import Declaration, Dims, Term

Support = Constraint | Callable[[dict[str, Array]], Constraint]


# The default of `data=`, since None may be data.
_NO_DATA = object()


class DeclaredProgram(Program):
    """A log density over constrained values, with a set for each of them."""

    log_density: Callable[..., Any] = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    sets: dict[str, Constraint]
    dependent: tuple[tuple[str, Callable], ...] = eqx.field(static=True)
    dims: tuple[tuple[str, Dims], ...] = eqx.field(static=True)
    maps: dict[str, Bijector]
    map_names: tuple[tuple[str, str], ...] = eqx.field(static=True)
    data: Data
    observations: Observations = eqx.field(static=True, default=Observations())

    def run(self, reader: Reader, labels: Labels, rules: Rules) -> Account:
        account, values = Account(), {}
        for name in self.names:
            declaration = self._declaration(name, values, labels)
            values[name] = account.take(reader, declaration).value
        arguments = self.observations.observe(reader, account, values, self.data.tree())
        returned = self.log_density(values, *arguments.values())
        rows = as_array("log density", returned, "what it returns")
        if rows.ndim:
            raise ModelError(
                "log density",
                f"it returns an array of shape {rows.shape}, not a scalar",
                "Sum its terms: return jnp.sum(...).",
            )
        account.terms.append(Term("log_density", "factor", rows))
        self.observations.record_rows(account, values, arguments)
        return account

    def _declaration(self, name: str, values: dict[str, Array], labels: Labels) -> Declaration:
        dependent = dict(self.dependent)
        fixed = name in self.sets
        constraint = self.sets[name] if fixed else _a_set(name, dependent[name](dict(values)))
        whole = constraint.declared_shape
        event = whole[len(whole) - constraint.event_ndims :]
        own = whole[: len(whole) - constraint.event_ndims]
        laid = lay_out(name, own, event, dict(self.dims).get(name, ()), (), labels.coords)
        choice = self.maps.get(name) or dict(self.map_names).get(name)
        return Declaration(name, constraint, laid.batch_shape + event, laid.dims, None, choice)

    def constants(self) -> dict[str, np.ndarray]:
        return {name.removeprefix("data."): a for name, a in self.data.arrays().items()}

    def with_data(self, data: Any) -> "DeclaredProgram":
        """Return the same model on other data; the same shapes compile nothing."""
        return replace(self, data=self.data.replace({"data": data}))


@check_arguments("infer.declared")
def declared(
    log_density: Callable[..., Any],
    supports: Mapping[str, Support],
    *,
    data: Any = _NO_DATA,
    dims: Mapping[str, str | Sequence[str | None]] | None = None,
    coords: Mapping[str, Any] | None = None,
    bijectors: Mapping[str, Bijector | str] | None = None,
    rules: Rules = RULES,
    rows: Callable[..., Any] | None = None,
    simulate: Callable[..., Any] | None = None,
    gradient: GradientMode = "reverse",
) -> Model:
    """Make a model from a plain log density.

    Args:
        log_density: Called as `log_density(values, data)`, or `log_density(values)` if no data
            are given; returns a scalar in nats, over constrained values, without any Jacobian.
        supports: A set for each value, with its `shape`; or a function of the values
            declared before it that returns one. For a scalar, a constraint of NumPyro or a
            bijector of TFP is accepted too.
        data: Any pytree of arrays.
        dims: Names of the axes of values.
        coords: Values of each named dimension.
        bijectors: For a value, a map to use instead of the default, or its name.
        rules: Table of maps, your own rules first.
        rows: Called as `rows(values, data)`; returns the log likelihood of each row in nats, which
            `log_density` already includes, as an array or as arrays by name. Only
            `infer.log_likelihood`, `infer.log_prior` and `infer.calibrate` call it.
        simulate: Called as `simulate(key, values, data)`; draws new data for `infer.predict` and
            `infer.calibrate`, and returns them by their names in `data`, `{"y": ...}`; or, for data
            that are no dictionary, all data with what is drawn in its place.
        gradient: How JAX differentiates the log density: by "reverse" mode; by "forward" mode,
            which goes through a `while_loop` and evaluates once for each free coordinate; or `None`
            if it has no gradient, such as a `pure_callback` or steps. Engines that need none, such
            as `infer.Slice`, sample it all the same.

    Raises:
        ModelError: The data hold NaN, dims or bijectors name a value without a support, or a
            number has units.
    """
    given = () if data is _NO_DATA else (data,)
    called = "log_density(values, data)" if given else "log_density(values)"
    refuse_unfit("log density", log_density, ({}, *given), {}, called)
    observations = Observations(rows, simulate)
    observations.check({}, given, "values, data" if given else "values")
    if not isinstance(supports, Mapping):
        mend = 'Give a set for each value by name: {"sigma": bijectors.Positive()}.'
        raise ModelError("supports", f"they are a {type(supports).__name__}", mend)
    for name in supports:
        refuse_unnamed(name)
    named_dims = read_dims(dims)
    choices = bijectors or {}
    for what, names in (("dims", named_dims), ("bijectors", choices)):
        if unknown := names.keys() - supports.keys():
            mend = "Declare its support, or drop the name."
            raise ModelError(min(unknown), f"{what} name it, but no support does", mend)
    # Constraints and distributions of NumPyro are callable too.
    neither = lambda s: not (is_set(s) or hasattr(s, "log_prob") or isinstance(s, type))  # noqa: E731
    dependent = {n: s for n, s in supports.items() if callable(s) and neither(s)}
    named, labels = code_columns({} if data is _NO_DATA else {"data": data}, Labels(coords))
    for name, choice in choices.items():
        refuse_parameters_with_units(name, choice, "map")
    program = DeclaredProgram(
        log_density=log_density,
        names=tuple(supports),
        sets={n: _a_set(n, s) for n, s in supports.items() if n not in dependent},
        dependent=tuple(dependent.items()),
        dims=tuple(named_dims.items()),
        maps={n: c for n, c in choices.items() if isinstance(c, Bijector)},
        map_names=tuple((n, c) for n, c in choices.items() if isinstance(c, str)),
        data=Data.of(named),
        observations=observations,
    )
    model = Model(labels, rules, program)
    return model if gradient == "reverse" else model.with_gradient(gradient)


def _a_set(name: str, found: Any) -> Constraint:
    if is_set(found):
        return set_of(found, name)
    if hasattr(found, "log_prob"):
        raise ModelError(
            name,
            f"its support is a {type(found).__name__}, a distribution",
            "Give a set such as bijectors.Real(), and add the log_prob to the log density; for "
            "priors, use infer.model.",
        )
    if isinstance(found, type) and issubclass(found, Constraint):
        found = found.__name__
        raise ModelError(name, f"its support is the class {found}", f"Make one: {found}(...).")
    raise ModelError(
        name,
        f"its support is {found!r}, not a set",
        "Give a set of bijectors, such as bijectors.Positive(), or a function that "
        "returns one from the values declared before; for a position to start from, "
        'infer.tree_model(position, f, {"**": bijectors.Real()}).',
    )
