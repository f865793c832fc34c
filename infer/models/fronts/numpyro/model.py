"""The front end for models of NumPyro: the unchanged function runs under our handler."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx

from bijectors.rule import Rules
from bijectors.table import RULES

from ....errors import ModelError
from ...inputs.coded import code_columns
from ...inputs.data import Data, refuse_unknown_data
from ...inputs.labels import Labels
from ...model import Model
from ...protocol.account import Account
from ...protocol.dims_by_site import read_dims
from ...protocol.program import Program
from ...protocol.reader import Reader
from ...protocol.site import Dims
from .handler import Interpreter

Names = str | Sequence[str | None]


class NumPyroProgram(Program):
    """A function that calls NumPyro's primitives, and its arguments.

    Attributes:
        function: The function, with the handlers around it.
        dims: Names of axes that no plate names, by site.
        data: The arguments, by the names of the function's parameters.
    """

    function: Callable[..., Any] = eqx.field(static=True)
    dims: tuple[tuple[str, Dims], ...] = eqx.field(static=True)
    data: Data

    def run(self, reader: Reader, labels: Labels, rules: Rules) -> Account:
        arguments = _bound(_signature(self.function), self.data.tree())
        with (interpreter := Interpreter(reader, labels, dict(self.dims), rules)):
            self.function(*arguments.args, **arguments.kwargs)
        return interpreter.finish()

    def with_data(self, **named: Any) -> "NumPyroProgram":
        """Return the same model on other arguments; the same shapes compile nothing.

        Arguments that were first passed by position are named after their parameters.

        Raises:
            ModelError: The model has no such argument.
        """
        parameters = _signature(self.function).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        if not takes_any:
            refuse_unknown_data(named, parameters, "argument")
        return replace(self, data=self.data.replace(named))


def from_numpyro(
    model: Any,
    /,
    *args: Any,
    coords: Mapping[str, Any] | None = None,
    dims: Mapping[str, Names] | None = None,
    rules: Rules = RULES,
    **kwargs: Any,
) -> Model:
    """Make a model from a function written for NumPyro, with any handlers around it.

    Plates name the axes of their sites. All rows of a subsampled plate are used, unless
    `numpyro.handlers.substitute` gives its indices. `numpyro.param` is a latent site with a
    constraint and a flat prior. In names, "." replaces the "/" of
    `numpyro.handlers.scope`.

    Args:
        model: The function, or a handler of NumPyro around one.
        args: Its arguments, which are the data: arrays and floats may change without
            compiling anything; whole numbers, strings and callables are part of the program.
        coords: Values of each dimension, by the name of its plate or of `dims`.
        dims: For a site, names of the axes that no plate names, or of all its axes.
        rules: Table of maps, your own rules first.
        kwargs: More of its arguments.

    Raises:
        ModelError: It is not a function, it does not take the arguments, or the data hold NaN.
    """
    if not callable(model):
        raise ModelError(
            "model",
            f"{type(model).__name__} is not a function",
            "Give the function that calls numpyro.sample.",
        )
    named, labels = code_columns(_by_name(model, args, kwargs), Labels(coords))
    program = NumPyroProgram(
        function=model,
        dims=tuple((n.replace("/", "."), names) for n, names in read_dims(dims).items()),
        data=Data.of(named),
    )
    return Model(labels, rules, program)


def _signature(model: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(model)
    except (TypeError, ValueError):
        return inspect.signature(lambda *args, **kwargs: None)


def _by_name(model: Callable[..., Any], args: tuple, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    signature = _signature(model)
    try:
        named = dict(signature.bind(*args, **kwargs).arguments)
    except TypeError as error:
        ours = next(iter(signature.parameters), "") == "site"
        mend = "For a function of `site`, use infer.model(f, y=y)." if ours else ""
        raise ModelError(
            "model", f"its arguments do not fit: {error}", f"It takes {signature}. {mend}".rstrip()
        ) from None
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= named.pop(parameter.name, {})
    return named


def _bound(signature: inspect.Signature, named: dict[str, Any]) -> inspect.BoundArguments:
    """Undo `_by_name`."""
    parameters = signature.parameters
    ordinary = {n: v for n, v in named.items() if n in parameters}
    more = {n: v for n, v in named.items() if n not in parameters}
    rest = {p.name: more for p in parameters.values() if p.kind is p.VAR_KEYWORD}
    return inspect.BoundArguments(signature, ordinary | rest)  # pyright: ignore[reportArgumentType]
