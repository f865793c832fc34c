"""What can be run against a reader: a model, as the code that surveys and changes it sees it."""

from typing import Protocol, runtime_checkable

from bijectors.rule import Rules

from .account import Account
from .reader import Reader


@runtime_checkable
class Runnable(Protocol):
    """Something with a table of maps that runs against a reader."""

    @property
    def rules(self) -> Rules:
        """The table of maps that the sites use."""
        ...

    def run(self, reader: Reader) -> Account:
        """Run once: take every latent site from `reader` and account for every term."""
        ...
