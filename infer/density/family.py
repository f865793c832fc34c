"""Log densities that differ only in their arrays: what they share, and what each has of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import numpy as np

from ..errors import ExplainedError, ModelError
from ..models.abstract import run_abstractly
from ..models.inputs.plates import refuse_plates_of_several
from ..models.inputs.sharded import refuse_rows_of_several
from ..models.inputs.stacked import models_in
from ..models.model import Model
from ..models.surroundings import renew
from ..models.survey import refuse_unless_model
from .base import LogDensity, log_density


class Family(eqx.Module):
    """Log densities of one program: the same model on one data set or several.

    Attributes:
        shared: Arrays that all members share; None where they differ.
        own: Arrays that differ, along a leading axis of members; None where they are shared.
        count: Number of members.
        is_alone: Whether proposed starts are evaluated by the program of a chain alone.
    """

    shared: LogDensity
    own: LogDensity
    count: int = eqx.field(static=True)
    is_alone: bool = eqx.field(static=True, default=False)

    def rows(self, members: np.ndarray) -> LogDensity:
        """Take the own arrays of some members, along a leading axis."""
        return jax.tree.map(lambda a: a[members], self.own)

    def some(self, few: slice) -> "Family":
        """Return the family of some members, two at least."""
        own = jax.tree.map(lambda a: a[few], self.own)
        return Family(self.shared, own, len(range(self.count)[few]))

    def leaves(self) -> list[tuple[Any, Any]]:
        """List the leaves of the models: what all share, or a stack of what each has of its own.

        In each pair the other one is `None`.
        """
        both = (jax.tree.leaves(d.model, lambda a: a is None) for d in (self.shared, self.own))
        return [p for p in zip(*both, strict=True) if p[0] is not None or p[1] is not None]

    def only(self, index: int) -> "Family":
        """Return the family of one member alone."""
        return singleton(self.member(index))

    def member(self, index: int) -> LogDensity:
        """Combine the shared arrays with those of one member."""
        if self.count == 1:
            return self.shared
        return eqx.combine(self.shared, jax.tree.map(lambda a: a[index], self.own))


def without_gradient(family: Family) -> Family:
    """Return the same log densities, of which only values are computed."""
    shared, own = (replace(each, gradient=None) for each in (family.shared, family.own))
    return Family(shared, own, family.count)


def singleton(density: LogDensity) -> Family:
    """Make a family of one."""
    return Family(density, without_leaves(density), 1)


def without_leaves(tree: Any) -> Any:
    """Put None in the place of every leaf."""
    return jax.tree.map(lambda _: None, tree)


def make_family(models: Model | Sequence[Model], *, jacobian: bool) -> Family:
    """Gather the log densities of one model, or of several that differ only in their arrays.

    The sites are found once, in the first model.

    Args:
        models: One model, several, or several stacked into one along a leading axis.
        jacobian: Whether to include the maps' log-determinants.

    Raises:
        ModelError: There is no model, one cannot be used, or one differs from the first in more
            than the numbers in its arrays.
    """
    models = models_in(models)
    if not models:
        raise ModelError("models", "there are none", "Give one model for each data set.")
    if len(models) > 1:
        for index, model in enumerate(models):
            refuse_unless_model(model, f"models[{index}]")
    models = renew(models)
    first = log_density(models[0], jacobian=jacobian)
    if len(models) == 1:
        return singleton(first)
    refuse_plates_of_several(run_abstractly(models[0]).divided)
    structure, kinds = _signature_of(models[0])
    for index, model in enumerate(models):
        if _signature_of(model) != (structure, kinds):
            raise ModelError(
                f"models[{index}]",
                "it differs from models[0] in more than the numbers in its arrays",
                "Data sets of one shape share a program: make them with models[0].with_data(...), "
                "padding shorter ones, or sample each shape in a call of its own.",
            )
    leaves = zip(*(jax.tree.leaves(model) for model in models), strict=True)
    pairs = [_share_or_stack(each) for each in leaves]
    tree = jax.tree.structure(models[0])
    shared, own = (jax.tree.unflatten(tree, [pair[i] for pair in pairs]) for i in (0, 1))
    return Family(replace(first, model=shared), replace(first, model=own), len(models))


@contextmanager
def naming_member(family: Family, index: int) -> Iterator[None]:
    """Add to an error about one of several members which one it is."""
    try:
        yield
    except ExplainedError as error:
        if family.count == 1:
            raise
        found = f"of models[{index}]: {error.found}"
        raise type(error)(error.where, found, error.mend) from error


def _signature_of(model: Model) -> tuple[Any, list[Any]]:
    leaves, structure = jax.tree.flatten(model)
    kinds = [getattr(leaf, "dtype", None) for leaf in leaves]
    if any(jax.dtypes.issubdtype(kind, jax.dtypes.prng_key) for kind in kinds):
        raise ModelError(
            "models",
            "their data hold a PRNG key, and several models are joined as arrays of numbers",
            "Give each jax.random.key_data(key), and call jax.random.wrap_key_data in the model.",
        )
    return structure, [(np.shape(leaf), np.asarray(leaf).dtype) for leaf in leaves]


def _share_or_stack(leaves: tuple[Any, ...]) -> tuple[Any, Any]:
    if all(leaf is leaves[0] for leaf in leaves):
        return leaves[0], None
    refuse_rows_of_several(leaves)
    stacked = np.stack([np.asarray(leaf) for leaf in leaves])
    same = stacked.nbytes == 0 or bool((stacked == stacked[:1]).all())
    return (leaves[0], None) if same else (None, stacked)
