"""A change runs what is inside it, a program or other changes, and changes what that says."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx

from ..protocol.account import Account
from ..protocol.reader import Reader
from ..protocol.runnable import Runnable

# Runs what is inside a change.
Run = Callable[[Reader], Account]


class Change(eqx.Module):
    """A change to a model; values that it holds are leaves of the model."""

    @abstractmethod
    def run(self, inner: Run, reader: Reader) -> Account:
        """Run what is inside under this change.

        Args:
            inner: Runs what is inside against a reader.
            reader: Supplies what the change leaves open.
        """

    def held(self) -> Mapping[str, Any]:
        """Return the values that the change holds sites at, by name."""
        return {}

    def check_again(self, model: Runnable) -> "Change":
        """Return the same change to another model, with its values checked again.

        Raises:
            ModelError: A value does not fit the model.
        """
        return self
