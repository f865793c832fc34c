"""Condition on latent sites: they are data from now on, and their priors are likelihoods."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..protocol.account import Account
from ..protocol.reader import Reader
from ..protocol.runnable import Runnable
from .change import Change, Run
from .freeze import Freeze, as_value, refuse_unknown
from .labelled import order_as_sites


class Condition(Change):
    """Observe latent sites; see `Model.condition`.

    Attributes:
        freeze: Holds the sites at what was observed.
    """

    freeze: Freeze

    @classmethod
    def checked(
        cls, model: Runnable, values: Mapping[str, Any], names: Sequence[str]
    ) -> "Condition":
        """Make the change, after checking the values as `Freeze` does.

        Args:
            model: What is inside.
            values: What was observed, by name.
            names: Names of the model's latent sites.

        Raises:
            ModelError: No such latent site, or a value of a wrong shape or outside its set.
        """
        ordered = order_as_sites(model, values)
        arrays = {name: as_value(name, value) for name, value in ordered.items()}
        refuse_unknown(arrays, names)
        return cls(Freeze.checked(model, arrays))

    def run(self, inner: Run, reader: Reader) -> Account:
        account = self.freeze.run(inner, reader)
        seen = self.held()
        account.observed |= seen
        account.frozen = {n: d for n, d in account.frozen.items() if n not in seen}
        account.terms = [
            t._replace(role="likelihood") if t.name in seen else t for t in account.terms
        ]
        return account

    def held(self) -> Mapping[str, Any]:
        return self.freeze.held()

    def check_again(self, model: Runnable) -> "Condition":
        return Condition(self.freeze.check_again(model))
