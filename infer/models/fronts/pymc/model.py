"""The front end for models of PyMC: their graphs, through PyTensor's JAX functions."""

from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from bijectors.base import Shape
from bijectors.rule import Rules
from bijectors.table import RULES

from ....calls import check_arguments
from ....errors import ModelError
from ...discrete.sum_out import take_discrete
from ...inputs.data import Data, refuse_unknown_data
from ...inputs.labels import Labels
from ...inputs.partition import StaticByIdentity
from ...inputs.units import refuse_units
from ...model import Model
from ...priors.prior import Prior
from ...protocol.account import Account
from ...protocol.layout import lay_out
from ...protocol.program import Program
from ...protocol.reader import Reader
from ...protocol.site import Declaration, Dims, Term
from .contents import Variable
from .density import Density
from .library import library
from .linked import Evaluation, Key
from .priors import is_flat, named


class PymcProgram(Program):
    """The graphs of a model of PyMC.

    Attributes:
        graphs: What was made of the model.
        data: Those of `pymc.Data`, and observed arrays, by name.
    """

    graphs: StaticByIdentity = eqx.field(static=True)
    data: Data

    def run(self, reader: Reader, labels: Labels, rules: Rules) -> Account:
        density: Density = self.graphs.value
        run = _Run(density, reader, labels, density.evaluate(self.data.tree()))
        for one in density.contents.variables:
            run.take(one)
        run.derive()
        return run.account

    def data_dims(self) -> dict[str, Dims]:
        contents = self.graphs.value.contents
        return {name: own for name in contents.data if (own := contents.dims_of(name))}

    def with_data(self, **named: Any) -> "PymcProgram":
        """Return the same model on other data; the same shapes compile nothing.

        Raises:
            ModelError: The model has no such data, or cannot have data of this shape.
        """
        refuse_unknown_data(named, self.data.tree())
        for name, value in named.items():
            refuse_units(name, value)
        data = self.data.replace({name: np.asarray(value) for name, value in named.items()})
        density: Density = self.graphs.value
        fitting = density.with_shapes(data.shapes())
        fitting.refuse_beyond(data.tree())
        return replace(self, data=data, graphs=StaticByIdentity(fitting))


class _Run:
    """One run of a model: each of its random variables becomes a site."""

    def __init__(
        self, density: Density, reader: Reader, labels: Labels, values: Evaluation
    ) -> None:
        self.account = Account()
        self._density, self._reader, self._coords = density, reader, labels.coords
        self._values = values

    def take(self, one: Variable) -> None:
        """Give a variable its value, and enter it in the account."""
        take = self._observe if one.is_observed else self._sum if one.is_discrete else self._free
        take(one)

    def derive(self) -> None:
        """Enter the deterministics and potentials."""
        model, account = self._density.contents.model, self.account
        for variable in model.deterministics:
            value = jnp.asarray(self._values.of(Key("derived", variable.name)))
            account.derived[variable.name] = value
            account.dims[variable.name] = self._dims(variable.name, value.shape)
        for variable in model.potentials:
            rows = jnp.asarray(self._values.of(Key("potential", variable.name)))
            account.terms.append(Term(variable.name, "factor", rows))
            account.dims[variable.name] = ()

    def _free(self, one: Variable) -> None:
        assert one.reach is not None
        bounds = self._outputs("bound", one.name, len(one.reach.bounds))
        constraint = one.reach.make(*bounds)
        prior = None if is_flat(one.random, one.reach.is_default) else self._prior(one)
        learns = prior is not None and one.reach.is_default and prior.may_learn_centering()
        dims = self._dims(one.name, one.shape)
        declaration = Declaration(
            one.name, constraint, one.shape, dims, prior, learns_centering=learns
        )
        image = self.account.take(self._reader, declaration)
        self._values.set(Key("value", one.name), image.value)
        if prior is not None:
            rows = prior.log_density(image.value, image.by_products)
            self.account.terms.append(Term(one.name, "prior", rows))

    def _sum(self, one: Variable) -> None:
        prior = self._prior(one)
        declaration = Declaration(
            one.name, prior.constraint(one.name), one.shape, self._dims(one.name, one.shape), prior
        )
        value = take_discrete(self.account, self._reader, declaration)
        self._values.set(Key("value", one.name), value)

    def _observe(self, one: Variable) -> None:
        key, prior = Key("value", one.name), self._prior(one)
        value = jnp.asarray(self._values.of(Key("observed", one.name)))
        value = jnp.asarray(self._reader.observe(one.name, prior, value))
        self._values.set(key, value)
        self.account.observed[one.name] = value
        self.account.dims[one.name] = self._dims(one.name, value.shape)
        rows = prior.log_density(value, {})
        self.account.terms.append(Term(one.name, "likelihood", rows))

    def _prior(self, one: Variable) -> Prior:
        family = self._density.families.get(one.name)
        if family is not None:
            parameters = self._outputs("parameter", one.name, len(family.parameters))
            return family.at(parameters, one.shape)
        split = len(one.shape) - self._density.event_ndims[one.name]
        batch, event = one.shape[:split], one.shape[split:]
        key = Key("value", one.name)
        log_prob = lambda value: self._values.at(key, value).of(Key("rows", one.name))  # noqa: E731
        sample = partial(self._density.draws.draw, one, self._values)
        distribution = named(type(one.random.owner.op).__name__)(batch, event, log_prob, sample)
        return Prior(distribution, batch)

    def _outputs(self, kind: str, name: str, count: int) -> list[Any]:
        return [self._values.of(Key(kind, name, i)) for i in range(count)]

    def _dims(self, name: str, shape: Shape) -> Dims:
        own = self._density.contents.dims_of(name)
        return lay_out(name, shape, (), own, (), self._coords).dims


def read_context(model: Any) -> Any:
    """Return the model that is given, or that of the context.

    Raises:
        ModelError: Neither is there.
    """
    try:
        return library().pymc.modelcontext(None) if model is None else model
    except TypeError as error:
        raise ModelError(
            "model",
            "none is given, and no `with model:` is around the call",
            "Give the pymc.Model, or call inside its context.",
        ) from error


@check_arguments("infer.from_pymc")
def from_pymc(model: Any = None, /, *, rules: Rules = RULES) -> Model:
    """Make a model from a model of PyMC.

    Free variables are sites, on the sets that PyMC's transforms reach; their maps are ours. The
    constrained density is PyMC's. Deterministics are derived values, potentials factors, and
    missing values sites. `pymc.Data` and observed arrays are data, which `with_data` replaces;
    other constants are part of the program. Discrete variables with finitely many values are summed
    out. JAX's precision applies, not PyTensor's `floatX`.

    Args:
        model: A `pymc.Model`; by default that of the context. It may not change afterwards.
        rules: Table of maps, your own rules first.

    Raises:
        ModelError: PyMC is not installed; it is no such model; or the model has a minibatch, a
            transform without a translation, an Op without a JAX implementation, or a discrete
            variable with infinitely many values.
    """
    model = read_context(model)
    if not isinstance(model, library().pymc.Model):
        raise ModelError(
            "model",
            f"a {type(model).__name__} is not a pymc.Model",
            "Give the object that `with pymc.Model() as model:` makes; of a model of Bambi, "
            "model.backend.model after model.build().",
        )
    density = Density.of(model)
    density.refuse_beyond(density.contents.data)
    program = PymcProgram(graphs=StaticByIdentity(density), data=Data.of(density.contents.data))
    return Model(Labels(density.contents.coords), rules, program)
