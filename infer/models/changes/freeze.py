"""Freeze sites: they are held at values and never reach the flat vector."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.base import Image

from ...errors import ModelError
from ..abstract import latent_names
from ..inputs.foreign import refuse_masked
from ..inputs.names import join_names
from ..inputs.precision import on_device
from ..inputs.units import refuse_units
from ..origins import translate_errors_of
from ..protocol.account import Account
from ..protocol.reader import DelegatingReader, Reader, wrap_steps
from ..protocol.runnable import Runnable
from ..protocol.site import Declaration, Term
from ..protocol.steps import Repeated, Steps, refuse_lengths
from ..protocol.surveyor import ObservationSurveyor, Surveyor
from .change import Change, Run
from .labelled import order_as_sites

Check = Callable[[Declaration, Array], None]
# From a selector and names, the names that it selects.
Select = Callable[[Any, Sequence[str]], list[str]]


class Freeze(Change):
    """Hold latent sites at values; see `Model.freeze`.

    Attributes:
        values: What the sites are held at, by name; leaves of the model.
        guarded: Sites whose set is only known inside the program, so that the log density has to
            test whether the value lies in it.
    """

    values: dict[str, Array]
    guarded: tuple[str, ...] = eqx.field(static=True)

    @classmethod
    def checked(cls, model: Runnable, values: Mapping[str, Array]) -> "Freeze":
        """Make the change, after checking abstractly that the values lie in their sets.

        Raises:
            ModelError: A value is outside its set or of a wrong shape.
        """
        undecided: list[str] = []

        def check(declaration: Declaration, value: Array) -> None:
            if not is_inside(declaration, value, "is frozen at"):
                undecided.append(declaration.name)

        # Observations that are still to be predicted must not keep a model from being frozen.
        surveyor = ObservationSurveyor(Surveyor(model.rules))
        reader = _FrozenReader(surveyor, values, check)
        # Data and values that the function closes over stay numbers, which can be compared.
        with translate_errors_of(model):
            jax.eval_shape(lambda: model.run(reader).log_density())
        return cls(dict(values), tuple(sorted(undecided)))

    def run(self, inner: Run, reader: Reader) -> Account:
        frozen = _FrozenReader(reader, self.values)
        account = inner(frozen)
        refuse_unknown(self.values, [d.name for d in account.declarations])
        account.declarations = [d for d in account.declarations if d.name not in self.values]
        account.images = {n: i for n, i in account.images.items() if n not in self.values}
        account.frozen = account.frozen | frozen.declarations
        # A term known by its score alone is an unknown constant here, and needs no value.
        account.terms = [t for t in account.terms if t.has_value or t.name not in self.values]
        account.terms += [self._support(name, frozen.declarations[name]) for name in self.guarded]
        return account

    def held(self) -> Mapping[str, Any]:
        return self.values

    def check_again(self, model: Runnable) -> "Freeze":
        return Freeze.checked(model, self.values)

    def _support(self, name: str, declaration: Declaration) -> Term:
        constraint = jax.lax.stop_gradient(declaration.constraint)
        inside = jnp.all(constraint.contains(self.values[name]))
        return Term(f"support of {name}", "prior", jnp.where(inside, 0.0, -jnp.inf))


class _FrozenReader(DelegatingReader):
    """Supplies the values of frozen sites, and asks another reader for the rest.

    Attributes:
        declarations: The frozen sites that were asked for, by name.
    """

    def __init__(
        self, reader: Reader, values: Mapping[str, Array], check: Check | None = None
    ) -> None:
        super().__init__(reader)
        self._values, self._check = values, check
        self.declarations: dict[str, Declaration] = {}

    def take(self, declaration: Declaration) -> Image:
        d = declaration
        if d.name not in self._values:
            return self.reader.take(d)
        value = self._values[d.name]
        if value.shape != d.shape:
            raise ModelError(
                d.name,
                f"it is frozen at a value of shape {value.shape}, but the site has {d.shape}",
                "Give the whole value. To hold only some of its entries, make them a site of "
                "their own and join the two in the model.",
            )
        self._hold(d, value)
        return Image.of(value)

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        own = {site.name: self._values[site.name] for site in repeated if site.name in self._values}
        refuse_lengths(own, length)
        inner = self.reader.steps([s for s in repeated if s.name not in own], length, reverse)

        def close(reports: Any, whole: list[Declaration]) -> None:
            for declaration in whole:
                if declaration.name in own:
                    self._hold(declaration, own[declaration.name])
            inner.close(reports, [d for d in whole if d.name not in own])

        # The values of all steps are checked together at the end.
        return wrap_steps(inner, own, _FrozenReader)._replace(close=close)

    def _hold(self, declaration: Declaration, value: Array) -> None:
        self.declarations[declaration.name] = declaration
        if self._check is not None:
            self._check(declaration, value)


def values_to_freeze(
    selectors: Sequence[Any],
    values: Mapping[str, Any],
    model: Runnable,
    known: Mapping[str, Any],
    select: Select,
) -> dict[str, Array]:
    """Read what `Model.freeze` is given: a value for each site that is to be frozen.

    Args:
        selectors: Selectors of sites with known values, and mappings of names to values.
        values: Values by name.
        model: The model with all sites free.
        known: Values that selected sites are frozen at.
        select: Lists the names that a selector selects.

    Raises:
        ModelError: No such site, no site at all, or no value known.
    """
    given, names = dict(values), latent_names(model)
    found: dict[str, Any] = {}
    for selector in selectors:
        if isinstance(selector, Mapping):
            given |= selector
        else:
            found |= _look_up(select_sites(selector, names, select), known)
    refuse_unknown(given, names)
    if not found and not given:
        raise ModelError("freeze", "no site is named", f"The sites are {join_names(names)}.")
    ordered = order_as_sites(model, found | given)
    return {name: as_value(name, value) for name, value in ordered.items()}


def values_left_frozen(
    selectors: Sequence[Any], held: Mapping[str, Array], select: Select
) -> dict[str, Array]:
    """Return the values of the sites that `Model.free` leaves frozen.

    Raises:
        ModelError: No frozen site is selected.
    """
    if not held:
        raise ModelError("free", "no site is frozen", "model.freeze(...) freezes some.")
    chosen = {n for s in selectors or ("**",) for n in select_sites(s, [*held], select)}
    return {name: value for name, value in held.items() if name not in chosen}


def is_inside(declaration: Declaration, value: Array, how: str) -> bool:
    """Return whether a value is known to lie in a site's set before the program runs.

    Args:
        declaration: The site.
        value: The value.
        how: How the site comes by it, for the message: "is frozen at".

    Raises:
        ModelError: It is known to lie outside.
    """
    inside = declaration.holds(value)
    if inside is False:
        raise ModelError(
            declaration.name,
            f"it {how} {_show(value)}, which lies outside {declaration.constraint!r}",
            "Give a value inside its set, or declare another constraint.",
        )
    return inside is True


def refuse_unknown(given: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise if a value is given for something that is not a latent site."""
    for name in sorted(given.keys() - set(names)):
        raise ModelError(
            name,
            "a value is given to hold it at, but the model has no such latent site",
            f"The latent sites are {join_names(names)}.",
        )


def select_sites(selector: Any, names: Sequence[str], select: Select) -> list[str]:
    """List the names that a selector selects; raise if there are none."""
    chosen = select(selector, names)
    if not chosen:
        raise ModelError(
            repr(selector) if isinstance(selector, str) else "selector",
            "it selects no site",
            f"The sites are {join_names(names)}; in a glob * stays within one step of a path, and "
            "** spans any number.",
        )
    return chosen


def as_value(name: str, value: Any) -> Array:
    """Return a value as a float array; a traced one stays as it is."""
    refuse_units(name, value, "its value")
    refuse_masked(name, value, "its value", "Give a value for each entry.")
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.number):
        raise ModelError(
            name, f"it is frozen at {value!r}", "Give a number or an array of numbers."
        )
    is_float = jnp.issubdtype(array.dtype, jnp.inexact)
    return on_device(array if is_float else array.astype(jnp.result_type(float)), name)


def _look_up(names: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    missing = [name for name in names if name not in values]
    if missing:
        raise ModelError(
            missing[0],
            "no value is known to freeze it at",
            f"Give one: model.freeze({{{missing[0]!r}: value}}), or at=optimum.values.",
        )
    return {name: values[name] for name in names}


def _show(value: Array) -> str:
    return str(np.asarray(value)) if value.size <= 6 else f"an array of shape {value.shape}"
