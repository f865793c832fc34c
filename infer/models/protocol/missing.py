"""Entries of an observation that were not seen: they are inferred like any latent site."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from bijectors.base import Constraint
from bijectors.sets.discrete import Discrete

from ...errors import ModelError
from ..priors.prior import Prior
from .layout import Plates, can_spread
from .site import Declaration


@dataclass(frozen=True)
class Gaps:
    """Which entries of an observation are missing.

    Attributes:
        name: Name of the latent site that stands for them.
        mask: True for each missing entry, shape (*batch,).
    """

    name: str
    mask: np.ndarray

    def declare(self, prior: Prior) -> Declaration:
        """Declare the missing entries as one site, in the order of the flattened batch."""
        shape = (int(self.mask.sum()), *prior.event_shape)
        constraint = self._restrict(prior.constraint(self.name))
        refuse_discrete(self.name.removesuffix(".missing"), constraint)
        return Declaration(
            self.name, constraint, shape, (None,) * len(shape), _PriorOfMissing(prior, self)
        )

    def fill(self, value: Array, missing: Array) -> Array:
        """Return a value with the missing entries put into their places."""
        flat = value.reshape(self.mask.size, *missing.shape[1:])
        return flat.at[np.flatnonzero(self.mask)].set(missing).reshape(value.shape)

    def hide(self, value: Array) -> Array:
        """Return a value with NaN for missing entries, as results show them."""
        event_ndims = value.ndim - self.mask.ndim
        return jnp.where(self.mask.reshape(self.mask.shape + (1,) * event_ndims), jnp.nan, value)

    def split(self, rows: Array) -> tuple[Array, Array]:
        """Split rows of shape (*batch,) into those that were seen and those that were not."""
        flat = rows.reshape(-1)
        return flat[np.flatnonzero(~self.mask)], flat[np.flatnonzero(self.mask)]

    def _restrict(self, constraint: Constraint) -> Constraint:
        if constraint.event_ndims:
            return constraint
        at = np.nonzero(self.mask)
        return jax.tree.map(lambda a: jnp.broadcast_to(a, self.mask.shape)[at], constraint)


class _PriorOfMissing(Prior):
    """Some entries of a distribution, of which only draws are known."""

    def __init__(self, whole: Prior, gaps: Gaps) -> None:
        super().__init__(whole.distribution, (int(gaps.mask.sum()),))
        self._whole, self._mask = whole, gaps.mask

    def sample(self, key: Array) -> Array:
        return self._whole.sample(key)[np.nonzero(self._mask)]


def refuse_discrete(observation: str, constraint: Constraint) -> None:
    """Raise if the missing entries of an observation are whole numbers."""
    if isinstance(constraint, Discrete):
        raise ModelError(
            observation,
            "its missing entries are discrete, and no gradient moves them",
            "Leave them out of the data and of the distribution, which changes nothing else if "
            "they are used nowhere; infer.predict draws them afterwards.",
        )


def read_gaps(name: str, mask: object, prior: Prior, plates: Plates) -> Gaps | None:
    """Read `missing=`; return `None` if no entry is missing.

    Raises:
        ModelError: The mask is traced, not boolean, of another shape, or in a minibatch.
    """
    if mask is None:
        return None
    if isinstance(mask, Tracer):
        raise ModelError(
            name,
            "which entries are missing is traced, so their number is not known",
            "Pass the mask to the model as infer.static(mask). In a scan or site.vmap, the same "
            "entries are missing in all steps or rows; where they differ, write a plate of rows.",
        )
    found = np.asarray(mask)
    if found.dtype != bool or not can_spread(found.shape, prior.batch_shape):
        raise ModelError(
            name,
            f"missing has dtype {found.dtype} and shape {found.shape}, but the observation has "
            f"batch shape {prior.batch_shape}",
            "Give booleans of that shape, True for each missing entry; a vector that is one event "
            "is missing as a whole or not at all.",
        )
    partial = [plate.name for plate in plates if plate.minibatch is not None]
    if partial:
        raise ModelError(
            name,
            f"entries are missing in the plate {partial[0]!r}, which has a minibatch",
            "Leave the rows with missing entries out, or see all rows: minibatch=None.",
        )
    whole = np.broadcast_to(found, prior.batch_shape)
    return Gaps(f"{name}.missing", whole) if whole.any() else None
