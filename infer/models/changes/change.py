"""A model around another, which passes on what it does not change."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Array

from bijectors.base import Shape
from bijectors.rule import Rules

from ..inputs.stacked import refuse_stacked
from ..model import Model
from ..protocol.table import Row


class Wrapper(Model):
    """A model that changes what a run of another says.

    Attributes:
        model: The other.
    """

    model: Model

    def __post_init__(self) -> None:
        refuse_stacked(self.model)
        super().__post_init__()

    def over(self, model: Model) -> Model:
        """Say the same of another model."""
        return self.changed(model=model, labels=model.labels, rules=model.rules)

    def with_rules(self, rules: Rules) -> Model:
        return self.over(self.model.with_rules(rules))

    def with_coords(self, **coords: Sequence[Any] | np.ndarray) -> Model:
        return self.over(self.model.with_coords(**coords))

    def with_data(self, *args: Any, **kwargs: Any) -> Model:
        """Return the same model on other data, with the same said of it."""
        return self.over(self.model.with_data(*args, **kwargs))  # pyright: ignore[reportAttributeAccessIssue]

    def parts(self) -> tuple[Model, dict[str, Array]]:
        whole, held = self.model.parts()
        return self.over(whole), held

    def constants(self) -> dict[str, np.ndarray]:
        return self.model.constants()

    def data_shapes(self) -> dict[str, Shape]:
        return self.model.data_shapes()

    def selected(self, selector: Any, names: Sequence[str]) -> list[str]:
        return self.model.selected(selector, names)

    def initial_values(self) -> dict[str, Array]:
        return self.model.initial_values()

    def tree(self, values: Mapping[str, Any]) -> Any:
        return self.model.tree(values)

    def more_rows(self) -> tuple[Row, ...]:
        return self.model.more_rows()


class Holding(Wrapper):
    """A model of which some sites are held at values.

    Attributes:
        values: What they are held at, by name; leaves of the program.
    """

    values: dict[str, Array]

    def constants(self) -> dict[str, np.ndarray]:
        return self.model.constants() | {n: np.asarray(value) for n, value in self.values.items()}

    def initial_values(self) -> dict[str, Array]:
        initial = self.model.initial_values()
        return {name: value for name, value in initial.items() if name not in self.values}

    def tree(self, values: Mapping[str, Any]) -> Any:
        return self.model.tree({**self.values, **values})
