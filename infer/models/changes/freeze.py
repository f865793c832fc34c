"""Freeze sites of any model: they are held at values and never reach the flat vector."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.base import Image
from bijectors.rule import Rules

from ...errors import ModelError
from ..abstract import latent_names
from ..inputs.names import join_names
from ..inputs.precision import on_device
from ..model import Model
from ..origins import translating
from ..priors.prior import Prior
from ..protocol.account import Account
from ..protocol.minibatch import Minibatch
from ..protocol.reader import Reader
from ..protocol.site import Declaration, Term
from ..protocol.steps import Repeated, Steps, refuse_lengths
from ..protocol.surveyor import Surveyor
from .change import Holding


class Frozen(Holding):
    """A model of which some latent sites are held at values.

    Attributes:
        model: The model, with all its sites free.
        values: What the frozen sites are held at.
        guarded: Sites whose set is known in the program alone, so that the log density has
            to tell whether they lie inside.
    """

    guarded: tuple[str, ...] = eqx.field(static=True)

    def run(self, reader: Reader) -> Account:
        holder = _Holder(reader, self.values)
        account = self.model.run(holder)
        refuse_unknown(self.values, [d.name for d in account.declarations])
        account.declarations = [d for d in account.declarations if d.name not in self.values]
        account.images = {n: i for n, i in account.images.items() if n not in self.values}
        account.frozen = account.frozen | holder.held
        # What a held value adds by its score alone is a constant, which nobody needs.
        account.terms = [t for t in account.terms if t.valued or t.name not in self.values]
        account.terms += [self._support(name, holder.held[name]) for name in self.guarded]
        return account

    def _support(self, name: str, declaration: Declaration) -> Term:
        constraint = jax.lax.stop_gradient(declaration.constraint)
        inside = jnp.all(constraint.contains(self.values[name]))
        return Term(f"support of {name}", "prior", jnp.where(inside, 0.0, -jnp.inf))

    def with_rules(self, rules: Rules) -> "Frozen":
        return frozen(self.model.with_rules(rules), self.values)

    def with_data(self, *args: Any, **kwargs: Any) -> "Frozen":
        """Return the same model on other data, with the same sites frozen."""
        changed = self.model.with_data(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]
        return frozen(changed, self.values)

    def parts(self) -> tuple[Model, dict[str, Array]]:
        return self.model, self.values


class _Holder(Reader):
    """Hands out the values of frozen sites, and asks another reader for the rest."""

    def __init__(self, reader: Reader, values: Mapping[str, Array]) -> None:
        self._reader, self._values = reader, values
        self.held: dict[str, Declaration] = {}

    def take(self, declaration: Declaration) -> Image:
        d = declaration
        if d.name not in self._values:
            return self._reader.take(d)
        value = self._values[d.name]
        if value.shape != d.shape:
            raise ModelError(
                d.name,
                f"it is frozen at a value of shape {value.shape}, but the site has {d.shape}",
                "Give the whole value. To hold some of its entries alone, make them a site of "
                "their own and join the two in the model.",
            )
        self.hold(d, value)
        return Image.of(value)

    def rows(self, minibatch: Minibatch) -> Array | None:
        return self._reader.rows(minibatch)

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        return self._reader.observe(name, prior, value)

    def steps(self, repeated: Sequence[Repeated], length: int) -> Steps:
        own = {site.name: self._values[site.name] for site in repeated if site.name in self._values}
        refuse_lengths(own, length)
        inner = self._reader.steps([s for s in repeated if s.name not in own], length)

        def close(reports: Any, whole: list[Declaration]) -> None:
            for declaration in whole:
                if declaration.name in own:
                    self.hold(declaration, own[declaration.name])
            inner.close(reports, [d for d in whole if d.name not in own])

        reader = lambda given: _Holder(inner.reader(given[0]), given[1])  # noqa: E731
        return Steps((inner.xs, own), reader, lambda holder: inner.report(holder._reader), close)

    def hold(self, declaration: Declaration, value: Array) -> None:
        """Note that a site is held at a value."""
        self.held[declaration.name] = declaration


class _Checker(_Holder):
    """Checks each value as it hands it out, before the model computes with it.

    Attributes:
        undecided: Sites of which the program alone can tell whether the value lies inside.
    """

    def __init__(self, reader: Reader, values: Mapping[str, Array]) -> None:
        super().__init__(reader, values)
        self.undecided: list[str] = []

    def hold(self, declaration: Declaration, value: Array) -> None:
        super().hold(declaration, value)
        if not decided(declaration, value, "is frozen at"):
            self.undecided.append(declaration.name)

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        # What is still to be predicted must not keep a model from being frozen.
        return prior.sample(jax.random.key(0)) if value is None else value


def freeze(
    model: Model, selectors: Sequence[Any], at: Mapping[str, Any], values: Mapping[str, Any]
) -> Frozen:
    """Hold sites of a model, which may have frozen ones already; see `Model.freeze`."""
    whole, held = model.parts()
    names = latent_names(whole)
    given = dict(values)
    found: dict[str, Any] = {}
    for selector in selectors:
        if isinstance(selector, Mapping):
            given |= selector
        else:
            known = {**whole.initial_values(), **held, **at}
            found |= _known(_selected(model, selector, names), known)
    refuse_unknown(given, names)
    if not found and not given:
        raise ModelError("freeze", "no site is named", f"The sites are {join_names(names)}.")
    new = {name: as_value(name, value) for name, value in (found | given).items()}
    return frozen(whole, held | new)


def free(model: Model, selectors: Sequence[Any]) -> Model:
    """Let sites of a model move again; see `Model.free`."""
    whole, held = model.parts()
    if not held:
        raise ModelError("free", "no site is frozen", "model.freeze(...) freezes some.")
    chosen = {n for s in selectors or ("**",) for n in _selected(model, s, [*held])}
    left = {name: value for name, value in held.items() if name not in chosen}
    return frozen(whole, left) if left else whole


def frozen(model: Model, values: Mapping[str, Array]) -> Frozen:
    """Hold sites at values, once it is known that the values lie inside their sets.

    Raises:
        ModelError: A value is outside its set, of a wrong shape, or of no site.
    """
    checker = _Checker(Surveyor(model.rules), values)
    # Closed over, data and values stay numbers, which the checker can look at.
    with translating(model):
        jax.eval_shape(lambda: model.run(checker).log_density())
    return Frozen(model.labels, model.rules, model, dict(values), tuple(sorted(checker.undecided)))


def decided(declaration: Declaration, value: Array, how: str) -> bool:
    """Tell whether it can be seen before the program runs that a value lies in a site's set.

    Raises:
        ModelError: It does not; `how` says how the site comes by it.
    """
    inside = declaration.holds(value)
    if inside is False:
        raise ModelError(
            declaration.name,
            f"it {how} {_shown(value)}, which lies outside {declaration.constraint!r}",
            "Give a value inside its set, or declare another constraint.",
        )
    return inside is True


def refuse_unknown(given: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise where a value is given for what is no latent site."""
    for name in sorted(given.keys() - set(names)):
        raise ModelError(
            name,
            "a value is given to hold it at, but the model has no such latent site",
            f"The latent sites are {join_names(names)}.",
        )


def _selected(model: Model, selector: Any, names: Sequence[str]) -> list[str]:
    chosen = model.selected(selector, names)
    if not chosen:
        raise ModelError(
            repr(selector) if isinstance(selector, str) else "selector",
            "it selects no site",
            f"The sites are {join_names(names)}; in a glob * stays within one step of a path, and "
            "** spans any number.",
        )
    return chosen


def _known(names: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    missing = [name for name in names if name not in values]
    if missing:
        raise ModelError(
            missing[0],
            "no value is known to freeze it at",
            f"Give one: model.freeze({{{missing[0]!r}: value}}), or at=optimum.values.",
        )
    return {name: values[name] for name in names}


def as_value(name: str, value: Any) -> Array:
    """Make a float array of a value; one that is traced stays as it is."""
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.number):
        raise ModelError(
            name, f"it is frozen at {value!r}", "Give a number or an array of numbers."
        )
    is_float = jnp.issubdtype(array.dtype, jnp.inexact)
    return on_device(array if is_float else array.astype(jnp.result_type(float)), name)


def _shown(value: Array) -> str:
    return str(np.asarray(value)) if value.size <= 6 else f"an array of shape {value.shape}"
