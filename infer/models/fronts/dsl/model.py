"""The native front end: a model is a function that declares its sites one by one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import numpy as np

from bijectors.rule import Rules
from bijectors.table import RULES

from ....calls import checks_arguments
from ...inputs.data import Data, refuse_unknown_data
from ...inputs.labels import Labels
from ...inputs.mistakes import refuse_unfit
from ...model import Model
from ...priors.known_only import known_only
from ...protocol.account import Account
from ...protocol.reader import Reader
from .sites import Sites
from .strangers import PrimitiveRefusal


class DslModel(Model):
    """A model written as a function of `site` and named data."""

    function: Callable[..., Any] = eqx.field(static=True)
    data: Data

    def run(self, reader: Reader) -> Account:
        account = Account()
        with known_only(), PrimitiveRefusal():
            self.function(Sites(reader, self.labels, account, self.rules), **self.data.tree())
        return account

    def constants(self) -> dict[str, np.ndarray]:
        return self.data.arrays()

    def with_data(self, **named: Any) -> "DslModel":
        """Return the same model on other data; the same shapes compile nothing.

        Raises:
            ModelError: A name is not among the model's data.
        """
        refuse_unknown_data(named, self.data.tree())
        return self.changed(data=self.data.replace(named))


_NUMPYRO_MEND = (
    "Let it take `site`, then the data by name. For a function written for NumPyro, use "
    "infer.from_numpyro(f, y=y)."
)


@checks_arguments("infer.model")
def model(
    function: Callable[..., Any],
    /,
    *,
    coords: Mapping[str, Sequence[Any] | np.ndarray] | None = None,
    rules: Rules = RULES,
    **data: Any,
) -> DslModel:
    """Make a model from a function that declares sites.

    Args:
        function: Called as `function(site, **data)`; see `Sites` for what `site` does.
        coords: Values of each named dimension.
        rules: Table of maps, your own rules first.
        data: Arrays and floats, which may change without compiling anything, and whole
            numbers, strings and callables, which are part of the program.

    Raises:
        ModelError: The data hold NaN.
    """
    called = f"f({', '.join(['site', *data])})"
    refuse_unfit("model", function, (None,), data, called, _NUMPYRO_MEND)
    return DslModel(Labels(coords), rules, function, Data.of(data))
