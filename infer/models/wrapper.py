"""A model around another, which passes on what it does not change."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Array

from .base import Model
from .table import Row


class Wrapper(Model):
    """A model that changes what a run of another says.

    Attributes:
        model: The other.
    """

    model: Model

    def constants(self) -> dict[str, np.ndarray]:
        return self.model.constants()

    def selected(self, selector: Any, names: Sequence[str]) -> list[str]:
        return self.model.selected(selector, names)

    def initial_values(self) -> dict[str, Array]:
        return self.model.initial_values()

    def tree(self, values: Mapping[str, Any]) -> Any:
        return self.model.tree(values)

    def more_rows(self) -> tuple[Row, ...]:
        return self.model.more_rows()
