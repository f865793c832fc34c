"""Rows and simulators: what users say of the observations behind a log density of their own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from bijectors.base import Shape

from ...errors import ModelError
from ..inputs.data import name_path
from ..inputs.mistakes import refuse_unfit
from ..inputs.precision import as_array
from ..priors import distributions as dist
from ..priors.prior import Prior
from .account import Account
from .reader import Reader

# The name of rows that belong to no observation with a name.
LOG_LIKELIHOOD = "log_likelihood"


@dataclass(frozen=True)
class Observations:
    """Functions that a user gives beside a log density; both may be absent.

    Attributes:
        rows: Called as `rows(values, data)`; returns the log likelihood of each row in nats, as an
            array, or as arrays by name.
        simulate: Called as `simulate(key, values, data)`; returns drawn data.
    """

    rows: Callable[..., Any] | None = None
    simulate: Callable[..., Any] | None = None

    def check(self, values: Any, given: tuple[Any, ...], called: str) -> None:
        """Raise if a function does not take its arguments, or there are no data to simulate.

        Args:
            values: What stands for the values in a call.
            given: The data, if there are any.
            called: The arguments of a call, such as "values, data".
        """
        if self.rows is not None:
            refuse_unfit("rows", self.rows, (values, *given), {}, f"rows({called})")
        if self.simulate is None:
            return
        if not given:
            raise ModelError(
                "simulate",
                "it draws data, but the model has none",
                "Pass the data by data=; what has not been observed is None.",
            )
        refuse_unfit(
            "simulate", self.simulate, (None, values, *given), {}, f"simulate(key, {called})"
        )

    def observe(
        self, reader: Reader, account: Account, values: Any, data: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Let the reader observe every part of the data that the simulator draws.

        Args:
            reader: May replace what was observed.
            account: The observed parts are recorded there.
            values: The first argument of the user's functions.
            data: The data, under the one name `data`; empty if there are none.

        Returns:
            The data, with what the reader makes of their observed parts.

        Raises:
            ModelError: What is drawn does not fit the data, or an observed part is `None`.
        """
        if self.simulate is None:
            return dict(data)
        draw = _Draw(self.simulate, values, data["data"])
        paths, structure = _flatten(data["data"])
        leaves = [leaf for _, leaf in paths]
        for i, shape in draw.find_shapes().items():
            name = name_path(paths[i][0]) or "data"
            value = _check_observed(name, leaves[i], shape)
            leaves[i] = reader.observe(name, _DrawnPart(draw, i, shape), value)
            if leaves[i] is None:
                raise ModelError(
                    name,
                    "its value is None, so nothing was observed",
                    "Give data, or predict them by infer.predict(model, posterior).",
                )
            account.observed[name] = leaves[i]
            account.dims[name] = (None,) * len(shape)
        account.simulated = frozenset({LOG_LIKELIHOOD})
        return {"data": jax.tree.unflatten(structure, leaves)}

    def record_rows(
        self, account: Account, values: Any, data: Mapping[str, Any], own: Array | None = None
    ) -> None:
        """Let the account compute the log likelihood of each row, if that is known.

        Args:
            account: The account.
            values: The first argument of the user's functions.
            data: The data, as `observe` returned them.
            own: Rows that the log likelihood itself has, if it has any.
        """
        rows = self.rows
        if rows is not None:
            account.rows = lambda: _name_rows(account, rows(values, *data.values()))
        elif own is not None and own.ndim:
            account.rows = lambda: _name_rows(account, own)


class _Draw:
    """Data drawn once, with the first key that is given; all their parts belong to that draw."""

    def __init__(self, simulate: Callable[..., Any], values: Any, data: Any) -> None:
        self._simulate, self._values, self._data = simulate, values, data
        self._leaves: list[Any] | None = None

    def draw_leaves(self, key: Array) -> list[Any]:
        """Draw the data, unless they are drawn; return their leaves."""
        if self._leaves is None:
            self._leaves = self._call(key)
        return self._leaves

    def find_shapes(self) -> dict[int, Shape]:
        """Return the shapes of the leaves that are drawn, by index; the others are as before."""
        shapes: dict[int, Shape] = {}

        def abstract_run() -> None:
            old = [leaf for _, leaf in _flatten(self._data)[0]]
            pairs = zip(self._call(jax.random.key(0)), old, strict=True)
            shapes.update(
                {i: jnp.shape(new) for i, (new, own) in enumerate(pairs) if new is not own}
            )

        jax.eval_shape(abstract_run)
        if not shapes:
            self._refuse("it returns the data unchanged")
        return shapes

    def _call(self, key: Array) -> list[Any]:
        data, drawn = self._data, self._simulate(key, self._values, self._data)
        if isinstance(data, Mapping) and isinstance(drawn, Mapping) and drawn.keys() <= data.keys():
            drawn = {**data, **drawn}
        paths, structure = _flatten(drawn)
        if structure != _flatten(data)[1]:
            self._refuse(f"it returns {structure}, and the data are {_flatten(data)[1]}")
        return [leaf for _, leaf in paths]

    def _refuse(self, found: str) -> None:
        raise ModelError(
            "simulate",
            found,
            "Return what is drawn by its name in the data, {'y': ...}; or, for data that are no "
            "dictionary, all data with what is drawn in its place.",
        )


class _DrawnPart(Prior):
    """A part of the data, of which only draws are known."""

    def __init__(self, draw: _Draw, index: int, shape: Shape) -> None:
        super().__init__(dist.ImproperUniform(dist.constraints.real, (), shape), ())
        self._draw, self._index = draw, index

    def sample(self, key: Array) -> Array:
        return jnp.asarray(self._draw.draw_leaves(key)[self._index])


def _flatten(data: Any) -> tuple[list[tuple[Any, Any]], Any]:
    return jax.tree_util.tree_flatten_with_path(data, is_leaf=lambda leaf: leaf is None)


def _check_observed(name: str, value: Any, drawn: Shape) -> Array | None:
    """Return observed data as an array; refuse those of another shape than what is drawn."""
    if value is not None and jnp.shape(value) != drawn:
        raise ModelError(
            name,
            f"simulate draws it with shape {drawn}, and the data have shape {jnp.shape(value)}",
            "Draw it in the shape of the data.",
        )
    return None if value is None else jnp.asarray(value)


def _name_rows(account: Account, rows: Any) -> dict[str, Array]:
    """Name rows after the only observation that a simulator draws, unless they have names."""
    if isinstance(rows, Mapping):
        return {name: as_array(name, own, "its rows") for name, own in rows.items()}
    names = list(account.observed)
    name = names[0] if len(names) == 1 else LOG_LIKELIHOOD
    return {name: as_array("rows", rows, "what it returns")}
