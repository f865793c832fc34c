"""A log density that is prior and likelihood in one, divided by the rows of the likelihood."""

from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Array

from .account import Account
from .site import Term


class Divided(NamedTuple):
    """The two parts of a log density, in nats.

    Attributes:
        name: Name of the whole term.
        log_prior: The whole less the rows, which may lack a constant.
        rows: Log likelihood of each row, by name.
    """

    name: str
    log_prior: Array
    rows: Mapping[str, Array]


def find_undivided(account: Account) -> Term | None:
    """Return the term that is prior and likelihood in one, if the likelihood is known by rows."""
    if account.rows is None or any(term.role == "likelihood" for term in account.terms):
        return None
    return next(iter(account.terms), None)


def divide(account: Account) -> Divided | None:
    """Divide the log density of an account, if it is one term and its rows are known."""
    whole = find_undivided(account)
    if whole is None or account.rows is None:
        return None
    rows = account.rows()
    return Divided(whole.name, whole.rows - sum(own.sum() for own in rows.values()), rows)
