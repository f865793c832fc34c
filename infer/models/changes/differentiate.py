"""Say how the log density of a model is differentiated, or that it cannot be."""

from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx

from ...errors import ModelError
from ..protocol.account import Account
from ..protocol.reader import Reader
from .change import Change, Run

# Reverse mode costs a few evaluations, forward mode one for each coordinate of the flat vector.
GradientMode = Literal["reverse", "forward"] | None


class Differentiate(Change):
    """Differentiate the log density in another way; the log density itself stays as it is.

    Attributes:
        mode: "reverse", "forward", or `None` if there is no gradient.
    """

    mode: GradientMode = eqx.field(static=True)

    @classmethod
    def checked(cls, mode: Any) -> "Differentiate":
        """Make the change.

        Raises:
            ModelError: There is no such mode.
        """
        if mode not in ("reverse", "forward", None):
            raise ModelError(
                "gradient",
                f"it is {mode!r}",
                'Give "reverse"; "forward", which also goes through a while_loop, at the cost of '
                "one evaluation for each coordinate; or None for a density without a gradient.",
            )
        return cls(mode)

    def run(self, inner: Run, reader: Reader) -> Account:
        return inner(reader)


def find_mode(changes: Sequence[Change]) -> GradientMode:
    """Return the mode of the outermost change that says one; "reverse" if there is none."""
    mode: GradientMode = "reverse"
    for change in changes:
        if isinstance(change, Differentiate):
            mode = change.mode
    return mode
