"""The front end for Stan programs: Stan computes density, gradient and quantities on the host."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.base import Shape
from bijectors.rule import Rules
from bijectors.table import RULES

from ....calls import check_arguments
from ....errors import ModelError, warn_of_model
from ...inputs.data import Data
from ...inputs.labels import Labels
from ...inputs.names import join_names
from ...model import Model
from ...protocol.account import Account
from ...protocol.dims_by_site import read_dims
from ...protocol.layout import lay_out
from ...protocol.program import Program
from ...protocol.reader import Reader
from ...protocol.site import FLAT_SITE, Declaration, Dims, Term
from .callbacks import constrain, log_density
from .given import read_data
from .names import Quantity
from .opened import Opened, Runner, Source, find_opened, open_program
from .program_text import ProgramText
from .space import TARGET, StanSpace

# Dimension of the flat vector.
COORDINATE = "unconstrained_coordinate"
# Stan's generated quantity of pointwise log likelihoods, by convention.
LOG_LIK = "log_lik"
# As often, Stan itself tries to find a start, uniform on (-2, 2).
TRIES = 100


class StanProgram(Program):
    """A Stan program with its data.

    Attributes:
        source: The program.
        size: Length of the unconstrained vector.
        quantities: Parameters, transformed parameters and generated quantities.
        dims: Names of the axes of quantities.
        data: The hash of the data, by which they are found.
        initial: The unconstrained vector of the initial values; `None` without.
    """

    source: Source = eqx.field(static=True)
    size: int = eqx.field(static=True)
    quantities: tuple[Quantity, ...] = eqx.field(static=True)
    dims: tuple[tuple[str, Dims], ...] = eqx.field(static=True)
    data: Data
    initial: Array | None = None

    def run(self, reader: Reader, labels: Labels, rules: Rules) -> Account:
        account, key = Account(), self.data.tree()["key"]
        space = StanSpace(shape=(self.size,), source=self.source, key=key)
        image = account.take(reader, Declaration(FLAT_SITE, space, (self.size,), (COORDINATE,)))
        target = image.by_products.get(TARGET)
        if target is None:
            target = log_density(self.source, key, image.value)[0]
        account.terms.append(Term("target", "factor", target))
        flat = constrain(self.source, self._count, key, image.value)
        account.derived |= {own.name: own.take(flat) for own in self.quantities}
        account.dims |= {own.name: self._dims_of(own, labels) for own in self.quantities}
        if LOG_LIK in account.derived:
            account.rows = lambda: {LOG_LIK: account.derived[LOG_LIK]}
        return account

    @property
    def drops_constants(self) -> bool:
        return self.source.runner == "stanli" and ProgramText(self.source.text).drops_constants

    @property
    def _count(self) -> int:
        return sum(len(own.places) for own in self.quantities)

    def _dims_of(self, own: Quantity, labels: Labels) -> Dims:
        given = dict(self.dims).get(own.name, ())
        return lay_out(own.name, own.shape, (), given, (), labels.coords).dims

    def _opened(self) -> Opened:
        return find_opened(self.source, np.asarray(self.data.tree()["key"]))

    def constants(self) -> dict[str, np.ndarray]:
        return dict(self._opened().data)

    def data_shapes(self) -> dict[str, Shape]:
        return {name: array.shape for name, array in self._opened().data.items()}

    def initial_values(self) -> dict[str, Array]:
        return {} if self.initial is None else {FLAT_SITE: self.initial}

    def with_data(self, **named: Any) -> "StanProgram":
        """Return the same program with other data of the same sizes; this compiles nothing.

        Raises:
            ModelError: The program declares no such data, or they change the sizes of its
                parameters.
        """
        opened, key = open_program(self.source, self._opened().data | read_data(named))
        if opened.density.size != self.size or opened.quantities != self.quantities:
            raise ModelError(
                "data",
                "they change the sizes of the program's parameters",
                "Make another model of them by infer.from_stan.",
            )
        return replace(self, data=Data.of({"key": key}), initial=self._move_initial(opened))

    def _move_initial(self, opened: Opened) -> Array | None:
        """Return the vector of the same initial values in a program whose bounds may be others."""
        if self.initial is None:
            return None
        before, after = self._opened().density.model, opened.density.model
        values = before.param_constrain(np.asarray(self.initial, np.float64))
        try:
            return jnp.asarray(after.param_unconstrain(values))
        except RuntimeError as error:
            raise ModelError(
                "initial",
                f"Stan says of the initial values under these data: {error}",
                "Make another model by infer.from_stan, with other values.",
            ) from error


@check_arguments("infer.from_stan")
def from_stan(
    program: str | os.PathLike,
    data: Mapping[str, Any] | str | os.PathLike | None = None,
    *,
    coords: Mapping[str, Any] | None = None,
    dims: Mapping[str, str | Sequence[str | None]] | None = None,
    initial: Mapping[str, Any] | None = None,
    runner: Runner = "stanli",
    seed: int = 0,
) -> Model:
    """Make a model of a Stan program.

    Stan evaluates the log density, its gradient and all quantities, in its own coordinates and by
    its own transforms; JAX calls it on the host. That takes longer than a model written for JAX,
    and only first derivatives are exact: second ones are central differences of the gradient.

    The flat vector is Stan's unconstrained vector, the one latent site, `unconstrained__`. The
    parameters, transformed parameters and generated quantities are derived values with the names
    and shapes that they have in the program. Quantities of size 0 are left out.

    Args:
        program: The text of a Stan program, or the path of a `.stan` file; or the path of a library
            that BridgeStan compiled.
        data: Data by name; or the path, or the text, of a JSON file. Lists become arrays.
        coords: Values of each dimension of `dims`.
        dims: Names of the axes of quantities.
        initial: Values of all parameters, by name; chains begin there if `starts="initial"`.
        runner: "stanli" interprets the program, which needs no compiler; "bridgestan" compiles it
            with the C++ compiler of the machine.
        seed: Seed of functions `_rng`. Generated quantities of a draw depend on this seed and on
            the draw alone, so that they can be computed again.

    Warns:
        ModelWarning: Stan refuses the program's density at 100 random points.

    Raises:
        ModelError: The library is not installed; the program has an error, or no parameters; data
            are missing, not declared or of another shape.
    """
    source = _read_source(program, runner, seed)
    opened, key = open_program(source, read_data(data))
    named_dims = read_dims(dims)
    _refuse_unknown(named_dims, opened)
    stan = StanProgram(
        source=source,
        size=opened.density.size,
        quantities=opened.quantities,
        dims=tuple(named_dims.items()),
        data=Data.of({"key": key}),
        initial=None if initial is None else _unconstrain(opened, initial),
    )
    _warn_if_refused(opened)
    labels = {COORDINATE: opened.density.model.param_unc_names(), **(coords or {})}
    return Model(Labels(labels), RULES, stan)


def _read_source(program: str | os.PathLike, runner: Runner, seed: int) -> Source:
    if runner not in get_args(Runner):
        mend = f"Give one of {join_names(get_args(Runner))}."
        raise ModelError("runner", f"there is no runner {runner!r}", mend)
    if str(program).endswith((".so", ".dll", ".dylib")):
        return Source("", str(Path(program).absolute()), "bridgestan", seed)
    text = ProgramText.read(program).text
    return Source(text, "", runner, seed)


def _refuse_unknown(dims: Mapping[str, Dims], opened: Opened) -> None:
    shapes = {own.name: own.shape for own in opened.quantities}
    for name, own in dims.items():
        if name not in shapes:
            mend = f"Its quantities are {join_names(shapes)}."
            raise ModelError(name, "dims name it, but the program has no such quantity", mend)
        if len(own) != len(shapes[name]):
            raise ModelError(
                name,
                f"dims={own} name {len(own)} axes of a value of shape {shapes[name]}",
                "Name each axis once; None leaves one unnamed.",
            )


def _unconstrain(opened: Opened, initial: Mapping[str, Any]) -> Array:
    values = read_data(initial)
    try:
        found = opened.density.model.param_unconstrain_json(
            {name: array.tolist() for name, array in values.items()}
        )
    except RuntimeError as error:
        raise ModelError(
            "initial", f"Stan says: {error}", "Give all parameters, inside their bounds."
        ) from error
    return jnp.asarray(found)


def _warn_if_refused(opened: Opened) -> None:
    """Warn, in Stan's words, if no start is likely to be found."""
    points = np.random.default_rng(0).uniform(-2, 2, (TRIES, opened.density.size))
    for point in points:
        if np.isfinite(opened.evaluate(point[None])[0]).all():
            return
    warn_of_model(
        "target",
        f"Stan refuses the program's density at {TRIES} random points: {opened.density.message}",
        "Correct the program or its data; or give values to start from, by initial= and "
        'starts="initial".',
    )
