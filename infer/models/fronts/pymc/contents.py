"""The contents of a model of PyMC: its variables in order, with the graphs that belong to each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bijectors.base import Shape

from ....errors import ModelError
from .library import library
from .linked import Key
from .refusals import ancestors, refuse_minibatches, refuse_strangers
from .sets import Reach, reach_of


@dataclass(frozen=True)
class Variable:
    """A free or observed random variable.

    Attributes:
        name: Its name.
        random: The random variable, in the model's own graph.
        shape: Shape of a value.
        is_observed: Whether it has data.
        is_discrete: Whether its values are whole numbers.
        reach: Set of its values; `None` if it is observed or discrete.
    """

    name: str
    random: Any
    shape: Shape
    is_observed: bool
    is_discrete: bool
    reach: Reach | None


class Contents:
    """What a model declares, for data of given shapes.

    Attributes:
        model: The model, which is not changed.
        variables: Its random variables, each after those that it depends on.
        inputs: A variable without a graph for each value and each data set, by key.
        data: Data that may change: those of `pymc.Data`, and observed arrays.
        coords: Coordinates of the dimensions that have any.

    Raises:
        ModelError: See `refusals.py` and `sets.py`; or a shape depends on a value, or data do not
            have the shape of their variable.
    """

    def __init__(self, model: Any, shapes: Mapping[str, Shape]) -> None:
        self.model = model
        refuse_minibatches(model)
        self.data = dict(_find_data(model))
        self.shapes = {n: shapes.get(n, v.shape) for n, v in self.data.items()}
        self.inputs = {
            Key("data", name): _input(name, value.dtype, self.shapes[name])
            for name, value in self.data.items()
        }
        self._substitutes = self._substitute_shared()
        self.variables = tuple(self._read_variables())
        for one in self.variables:
            self.inputs[Key("value", one.name)] = _input(one.name, one.random.dtype, one.shape)
        self.coords = {n: _as_labels(v) for n, v in model.coords.items() if v is not None}

    def dims_of(self, name: str) -> tuple[str | None, ...]:
        """Return the names of the axes of a variable that has any."""
        return tuple(self.model.named_vars_to_dims.get(name) or ())

    def values(self) -> dict[Any, Any]:
        """Return the input that stands for each random variable."""
        return {one.random: self.inputs[Key("value", one.name)] for one in self.variables}

    def observation(self, one: Variable) -> Any:
        """Return what was observed of a variable, as a graph of the data."""
        found = self.model.rvs_to_values[one.random]
        return self.inputs.get(Key("data", one.name), found)

    def in_values(self, graphs: Sequence[Any]) -> list[Any]:
        """Replace the random variables in graphs by their values, and shared variables by data."""
        replace = library().pymc.logprob.utils.replace_rvs_by_values
        return self.with_data(replace(list(graphs), rvs_to_values=self.values()))

    def with_data(self, graphs: Sequence[Any]) -> list[Any]:
        """Replace the shared variables in graphs by the inputs that stand for them."""
        clone = library().pytensor.graph.replace.clone_replace
        return clone(list(graphs), self._substitutes) if graphs else []

    def _substitute_shared(self) -> dict[Any, Any]:
        """Return what stands for each shared variable: data, or a length that is known."""
        constant = library().pytensor.tensor.constant
        found = {v: self.inputs[Key("data", v.name)] for v in self.model.data_vars}
        lengths = {
            dim: size
            for name, shape in self.shapes.items()
            for dim, size in zip(self.dims_of(name), shape, strict=False)
        }
        for dim, length in self.model.dim_lengths.items():
            if hasattr(length, "get_value"):
                size = lengths.get(dim, length.get_value())
                found[length] = constant(np.asarray(size, length.dtype))
        return found

    def _read_variables(self) -> Iterator[Variable]:
        randoms = _in_order(self.model.basic_RVs)
        refuse_strangers(self.model, randoms)
        shapes = self._find_shapes(randoms)
        for random, shape in zip(randoms, shapes, strict=True):
            is_observed = random in self.model.observed_RVs
            if is_observed:
                self._refuse_fixed(random.name, shape)
            is_discrete = not random.dtype.startswith("float")
            transform = self.model.rvs_to_transforms.get(random)
            reach = None if is_observed or is_discrete else reach_of(random.name, random, transform)
            yield Variable(random.name, random, shape, is_observed, is_discrete, reach)

    def _refuse_fixed(self, name: str, shape: Shape) -> None:
        """Raise if an observed array has another shape than before, but its variable has not."""
        found = self.shapes.get(name, shape)
        if name in self.data and found not in (shape, self.data[name].shape):
            raise ModelError(
                name,
                f"the data have shape {found}, and the model declares it with shape {shape}",
                "Observe pymc.Data, whose length may change, in the model of PyMC.",
            )

    def _find_shapes(self, randoms: Sequence[Any]) -> list[Shape]:
        pytensor = library().pytensor
        fold = library().pymc.pytensorf.constant_fold
        with pytensor.config.change_flags(cxx=""):
            found = fold(self.with_data([r.shape for r in randoms]), raise_not_constant=False)
        for random, shape in zip(randoms, found, strict=True):
            if not isinstance(shape, np.ndarray):
                raise ModelError(
                    random.name,
                    "its shape depends on values of the model, so it is not known",
                    "Give it a shape of whole numbers, or dims.",
                )
        return [tuple(map(int, shape)) for shape in found]


def _find_data(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    for shared in model.data_vars:
        yield shared.name, np.asarray(shared.get_value())
    for random in model.observed_RVs:
        value = model.rvs_to_values[random]
        if hasattr(value, "data"):
            yield random.name, np.asarray(value.data)


def _input(name: str, dtype: Any, shape: Shape) -> Any:
    return library().pytensor.tensor.TensorType(str(dtype), shape=shape)(name)


def _in_order(randoms: Sequence[Any]) -> list[Any]:
    """Sort random variables as the model has them, but each after those that it depends on."""
    graph = library().pytensor.graph.FunctionGraph(outputs=list(randoms), clone=False)
    depth = {node: i for i, node in enumerate(graph.toposort())}
    index = {random: i for i, random in enumerate(randoms)}
    last = {r: max(index.get(v, 0) for v in ancestors([r])) for r in randoms}
    return sorted(randoms, key=lambda random: (last[random], depth[random.owner]))


def _as_labels(values: Sequence[Any]) -> np.ndarray:
    """Return coordinates as one vector, also those that are tuples."""
    array = np.asarray(values) if values else np.zeros(0, int)
    if array.ndim == 1:
        return array
    labels = np.empty(len(values), object)
    labels[:] = values
    return labels
