"""Draws of single variables of PyMC, given all that they depend on."""

import warnings
from functools import cached_property
from typing import Any

import jax
from jax import Array

from ....errors import ModelError
from .contents import Contents, Variable
from .library import library
from .linked import Evaluation, Key, Linked


class Draws:
    """Draws variables of a model; the graph of each is made when it is first asked for."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._graphs: dict[str, _Graph] = {}

    def draw(self, one: Variable, given: Evaluation, key: Array) -> Array:
        """Draw a variable.

        Args:
            one: The variable.
            given: Holds the values of those that it depends on.
            key: A JAX key.

        Raises:
            ModelError: Its distribution has no draws in JAX.
        """
        if one.name not in self._graphs:
            self._graphs[one.name] = _Graph(self._contents, one)
        return self._graphs[one.name].draw(given, key)


class _Graph:
    """The graph of one variable, in which random generators are inputs."""

    def __init__(self, contents: Contents, one: Variable) -> None:
        self._contents, self._one = contents, one
        self._output = Key("draw", one.name)

    @cached_property
    def _linked(self) -> Linked:
        contents, random = self._contents, self._one.random
        values = contents.values()
        node = random.owner
        replace = library().pymc.logprob.utils.replace_rvs_by_values
        del values[random]
        (graph,) = replace([random], rvs_to_values=values)
        (graph,) = contents.with_data([graph])
        generators = [
            v for v in library().pytensor.graph.traversal.graph_inputs([graph]) if _is_generator(v)
        ]
        inputs = {
            Key("generator", node.op.__class__.__name__, i): g for i, g in enumerate(generators)
        }
        return Linked(contents.inputs | inputs, {self._output: graph})

    def draw(self, given: Evaluation, key: Array) -> Array:
        own = [k for k in self._linked.inputs if k.kind == "generator"]
        keys = jax.random.split(key, max(len(own), 1))
        state = {k: {"jax_state": keys[i]} for i, k in enumerate(own)}
        with warnings.catch_warnings():
            # PyTensor asks for its own precision, and gets JAX's.
            warnings.filterwarnings("ignore", "Explicitly requested dtype", UserWarning)
            try:
                return Evaluation(self._linked, given.given | state).of(self._output)
            except NotImplementedError as error:
                raise ModelError(
                    self._one.name,
                    f"PyTensor has no draws of its distribution in JAX ({error})",
                    "Draw it by pymc.sample_posterior_predictive or pymc.sample_prior_predictive.",
                ) from error


def _is_generator(variable: Any) -> bool:
    return type(variable.type).__name__ == "RandomGeneratorType"
