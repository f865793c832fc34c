"""Find which sites and data a failed run of a model computed its traced value from."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial

import jax
from jaxtyping import Array

from bijectors.base import Image

from .inputs.data import Data
from .inputs.mistakes import Origins, naming_arguments, translate_errors
from .protocol.reader import DelegatingReader
from .protocol.runnable import Runnable
from .protocol.site import Declaration
from .protocol.surveyor import Surveyor


class _NamingReader(DelegatingReader):
    """Supplies given values, which JAX knows by the names of their sites, where there are any.

    Attributes:
        outlines: Shape and type of each site's value, by name.
    """

    def __init__(self, reader: Surveyor, given: Mapping[str, Array]) -> None:
        super().__init__(reader)
        self._given = given
        self.outlines: dict[str, jax.ShapeDtypeStruct] = {}

    def take(self, declaration: Declaration) -> Image:
        image = super().take(declaration)
        outline = jax.ShapeDtypeStruct(image.value.shape, image.value.dtype)
        self.outlines[declaration.name] = outline
        return image._replace(value=self._given.get(declaration.name, image.value))


def translate_errors_of(model: Runnable) -> AbstractContextManager[None]:
    """Translate what a run of a model inside the block raises; see `mistakes.translate_errors`."""
    return translate_errors(partial(_find_origins, model))


def _find_origins(model: Runnable) -> Origins:
    """Find the values that a model that fails on a traced value computed it from.

    JAX says on which arguments of a function a value depends. So the model runs again, abstractly:
    once to find the shapes of the sites up to there, and once with arguments for their values.
    """
    outlines, message = {}, ""
    for _ in range(2):
        readers: list[_NamingReader] = []

        def run(
            values: dict[str, Array], model: Runnable, readers: list[_NamingReader] = readers
        ) -> None:
            readers.append(_NamingReader(Surveyor(model.rules), values))
            with naming_arguments():
                model.run(readers[0])

        try:
            jax.eval_shape(run, outlines, model)
        except Exception as error:  # noqa: BLE001 - the same error as before; its text is read
            message = str(error)
        outlines = readers[0].outlines
    sites = [name for name in outlines if f"values[{name!r}]" in message]
    return Origins(sites, [name for path, name in _data_paths(model) if path in message])


def _data_paths(model: Runnable) -> list[tuple[str, str]]:
    """List the data of a model: the path that JAX writes for each, and its name."""
    is_data = lambda node: isinstance(node, Data)  # noqa: E731
    nodes, _ = jax.tree_util.tree_flatten_with_path(model, is_leaf=is_data)
    return [
        (f"model{jax.tree_util.keystr(path)}.parts.leaves[{i}]", name)
        for path, node in nodes
        if is_data(node)
        for i, name in zip(
            (i for i, leaf in enumerate(node.parts.leaves) if leaf is not None),
            node.leaf_names(),
            strict=True,
        )
    ]
