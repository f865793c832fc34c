"""View some terms of a log density, each raised to a power."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ...errors import ModelError
from ..abstract import account_of
from ..inputs.names import join_names, match_names
from ..inputs.precision import on_device
from ..protocol.account import Account
from ..protocol.reader import Reader
from ..protocol.runnable import Runnable
from ..protocol.site import Power, Term
from .change import Change, Run

# Selects every term, whatever its role.
WHOLE = "posterior"
_ROLES = ("prior", "likelihood", "factor")


class View(Change):
    """Leave terms out, or raise terms to powers; see `Model.view`.

    Attributes:
        chosen: Roles, names or globs of the terms that are kept; none for all of them.
        powers: What terms are multiplied by, by role, name or glob; leaves of the model.
    """

    chosen: tuple[str, ...] = eqx.field(static=True)
    powers: dict[str, Array]

    @classmethod
    def checked(
        cls, model: Runnable, selectors: Sequence[Any], powers: Mapping[str, Any]
    ) -> "View":
        """Make the change, after checking that each selector selects a term.

        Raises:
            ModelError: A selector selects no term, or a power is not a number of at least zero.
        """
        chosen = tuple(s for s in selectors if not isinstance(s, Mapping))
        given = dict(powers)
        for selector in selectors:
            given |= selector if isinstance(selector, Mapping) else {}
        if not chosen and not given:
            raise ModelError(
                "view",
                "neither terms nor powers are given",
                'Give some: model.view("likelihood") keeps these terms alone, and '
                "model.view(likelihood=0.5) tempers them.",
            )
        made = cls(chosen, {s: _as_power(s, p) for s, p in given.items()})
        _refuse_misfits(made, account_of(model).terms)
        return made

    def run(self, inner: Run, reader: Reader) -> Account:
        account = inner(reader)
        for term in account.terms:
            inside = account.powers.get(term.name, Power(term.role, ()))
            account.powers[term.name] = Power(term.role, (*inside.factors, self._power(term)))
        kept = [term for term in account.terms if self.keeps(term)]
        account.terms = [self._raise(term) for term in kept]
        return account

    def keeps(self, term: Term) -> bool:
        """Return whether a term is kept."""
        return not self.chosen or any(_selects(s, term.name, term.role) for s in self.chosen)

    def _power(self, term: Term) -> Any:
        if not self.keeps(term):
            return 0.0
        own = [p for s, p in self.powers.items() if _selects(s, term.name, term.role)]
        return own[0] if own else 1.0

    def _raise(self, term: Term) -> Term:
        return term._replace(rows=jnp.asarray(self._power(term), term.rows.dtype) * term.rows)


def describe_view(powers: Mapping[str, Power]) -> str:
    """Write which view of a posterior has these powers: "posterior", "prior * likelihood^0.5"."""
    if not powers:
        return WHOLE
    by_role = {role: {n: p for n, p in powers.items() if p.role == role} for role in _ROLES}
    present = {role: named for role, named in by_role.items() if named}
    if len(present) > 1 and (whole := _shared(powers)):
        return _text(WHOLE, whole)
    parts: list[str] = []
    for role, named in present.items():
        shared = _shared(named)
        each = {role: shared} if shared else {n: _show(p) for n, p in named.items()}
        parts += [_text(name, power) for name, power in each.items() if power != "0"]
    return " * ".join(parts)


def _shared(powers: Mapping[str, Power]) -> str | None:
    """Write the power of all terms, if they share one."""
    shown = {_show(power) for power in powers.values()}
    return shown.pop() if len(shown) == 1 else None


def _show(power: Power) -> str:
    if any(isinstance(factor, Tracer) for factor in power.factors):
        return "traced"
    return f"{math.prod(map(float, power.factors)):.4g}"


def _text(name: str, power: str) -> str:
    return name if power == "1" else f"{name}^{power}"


def _selects(selector: str, name: str, role: str) -> bool:
    return selector in (WHOLE, role) or bool(match_names(selector, [name]))


def _as_power(selector: str, power: Any) -> Array:
    array = power if isinstance(power, jax.Array) else np.asarray(power)
    numeric = jnp.issubdtype(array.dtype, jnp.number) and not jnp.iscomplexobj(array)
    known = not isinstance(array, Tracer)
    if not numeric or array.ndim or (known and not 0 <= float(array) < np.inf):
        raise ModelError(
            selector,
            f"it is raised to the power {power!r}",
            "Give a number of at least zero, such as 0.5.",
        )
    return on_device(array.astype(jnp.result_type(float)), selector)


def _refuse_misfits(made: View, terms: Sequence[Term]) -> None:
    """Raise if a selector selects nothing, or a term has two powers or none to take."""
    names = join_names(f"{term.name} ({term.role})" for term in terms)
    for selector in (*made.chosen, *made.powers):
        if not isinstance(selector, str) or not any(
            _selects(selector, term.name, term.role) for term in terms
        ):
            raise ModelError(
                repr(selector),
                "it selects no term of the log density",
                f"The terms are {names}; select by role, name or glob, or all as {WHOLE!r}.",
            )
    for term in terms:
        given = [s for s in made.powers if _selects(s, term.name, term.role)]
        if len(given) > 1:
            raise ModelError(
                term.name,
                f"it is given two powers, by {given[0]!r} and by {given[1]!r}",
                "Give it one.",
            )
        if given and not made.keeps(term):
            raise ModelError(
                term.name,
                "it is given a power, but is not among the terms that are kept",
                f"Keep it too: model.view(..., {term.name!r}).",
            )
