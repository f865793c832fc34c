"""The native front end: a model is a function that declares its sites one by one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import equinox as eqx

from bijectors.rule import Rules
from bijectors.table import RULES

from ....calls import check_arguments
from ...inputs.coded import code_columns
from ...inputs.data import Data, refuse_unknown_data
from ...inputs.labels import Labels
from ...inputs.mistakes import refuse_unfit
from ...model import Model
from ...protocol.account import Account
from ...protocol.program import Program
from ...protocol.reader import Reader
from .sites import Sites
from .strangers import PrimitiveRefusal


class DslProgram(Program):
    """A function of `site` and named data.

    Attributes:
        function: Called as `function(site, **data)`.
    """

    function: Callable[..., Any] = eqx.field(static=True)
    data: Data

    def run(self, reader: Reader, labels: Labels, rules: Rules) -> Account:
        account = Account()
        with PrimitiveRefusal():
            self.function(Sites(reader, labels, account, rules), **self.data.tree())
        return account

    def with_data(self, **named: Any) -> "DslProgram":
        refuse_unknown_data(named, self.data.tree())
        return replace(self, data=self.data.replace(named))


_NUMPYRO_MEND = (
    "Let it take `site`, then the data by name. For a function written for NumPyro, use "
    "infer.from_numpyro(f, y=y)."
)


@check_arguments("infer.model")
def model(
    function: Callable[..., Any],
    /,
    *,
    coords: Mapping[str, Any] | None = None,
    rules: Rules = RULES,
    **data: Any,
) -> Model:
    """Make a model from a function that declares sites.

    Args:
        function: Called as `function(site, **data)`; see `Sites` for what `site` does.
        coords: Values of each named dimension, or a column that has them as labels.
        rules: Table of maps, your own rules first.
        data: Arrays, floats and columns of tables, which may change without compiling anything;
            whole numbers, strings and callables, which are part of the program.

    Raises:
        ModelError: The data hold NaN.
    """
    called = f"f({', '.join(['site', *data])})"
    refuse_unfit("model", function, (None,), data, called, _NUMPYRO_MEND)
    named, labels = code_columns(data, Labels(coords))
    return Model(labels, rules, DslProgram(function=function, data=Data.of(named)))
