"""A program is what a front end makes of a user's model: it takes its sites from a reader."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array

from bijectors.base import Shape
from bijectors.rule import Rules

from ...errors import ModelError
from ..inputs.data import Data
from ..inputs.labels import Labels
from ..inputs.names import match_names
from .account import Account
from .reader import Reader
from .site import Dims
from .table import Row


class Program(eqx.Module):
    """What a front end implements; its leaves are the data.

    `run` and `with_data` are required. The other methods have defaults, for programs that are
    not made of a user's tree and name their data as the user did.

    Attributes:
        data: What the user's function takes beside its sites.
    """

    data: eqx.AbstractVar[Data]

    @abstractmethod
    def run(self, reader: Reader, labels: Labels, rules: Rules) -> Account:
        """Run once: take every latent site from `reader` and account for every term.

        Args:
            reader: Supplies the values of the sites.
            labels: Coordinates of the named dimensions.
            rules: The table of maps that the sites use.
        """

    @abstractmethod
    def with_data(self, *args: Any, **named: Any) -> "Program":
        """Return the same program on other data; the same shapes compile nothing.

        Raises:
            ModelError: The program has no such data.
        """

    @property
    def drops_constants(self) -> bool:
        """Whether the log density may lack constants, without which no evidence is known."""
        return False

    def constants(self) -> dict[str, np.ndarray]:
        """Return named arrays of data, on the host."""
        return self.data.arrays()

    def data_shapes(self) -> dict[str, Shape]:
        """Return the shapes of the data by name; nothing is copied."""
        return self.data.shapes()

    def data_dims(self) -> Mapping[str, Dims]:
        """Return the names of the axes of data, by name, as far as the user gave any."""
        return {}

    def initial_values(self) -> dict[str, Array]:
        """Return the values that latent sites had when the program was made, if they had any."""
        return {}

    def select(self, selector: Any, names: Sequence[str]) -> list[str]:
        """List which of the names a glob or a predicate selects."""
        if isinstance(selector, str):
            return match_names(selector, names)
        return [name for name in names if selector(name)]

    def tree(self, values: Mapping[str, Any]) -> Any:
        """Put values of sites, by name, into the user's own tree.

        Raises:
            ModelError: The program was not made of a tree.
        """
        raise ModelError(
            "model", "it was not made of a tree", "infer.tree_model makes one of any pytree."
        )

    def more_rows(self) -> tuple[Row, ...]:
        """Return the rows of the model's table for what is not a site."""
        return ()
