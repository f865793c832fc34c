"""Find the centered sites whose prior has a scale that depends on other sites."""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from bijectors.base import Image
from bijectors.garbage import pause_collection

from ..equations import find_dependent
from ..models.priors.centering import has_spread
from ..models.priors.prior import strip_axes
from ..models.protocol.site import Declaration
from ..programs.outlined import recalled
from ..types import ProgramSignature, Vector, signature_of
from .base import LogDensity
from .readers import FlatReader


class Spread(NamedTuple):
    """Where the prior of a site puts its unconstrained values.

    Attributes:
        location: Location of the prior, of a shape that broadcasts to the site's.
        scale: Likewise; a triangular factor for a multivariate normal.
    """

    location: Array
    scale: Array


class _SpreadRecorder(FlatReader):
    """Record the spread of each prior that has one, for sites that use the default map."""

    def __init__(self, position: Vector, density: LogDensity) -> None:
        super().__init__(position, density.model.rules, density.seen)
        self.spreads: dict[str, Spread] = {}

    def take(self, declaration: Declaration) -> Image:
        prior = None if declaration.prior is None else strip_axes(declaration.prior.distribution)
        if prior is not None and has_spread(prior) and declaration.bijector is None:
            scale = prior.scale if hasattr(prior, "scale") else prior.scale_tril  # pyright: ignore
            spread = Spread(jnp.asarray(prior.loc), jnp.asarray(scale))  # pyright: ignore
            self.spreads[declaration.name] = spread
        return super().take(declaration)


def find_funnel_sites(density: LogDensity) -> tuple[str, ...]:
    """List the centered sites whose prior's scale depends on the vector; traces the model once.

    `centered=False` was made for these: where the scale is small the site must be small too, and
    no one step size suits both that narrow neck and the wide rest. Where no site has a prior, as in
    a declared log density, nothing is traced.
    """
    if all(site.prior == "flat" for site in density.latent):
        return ()
    return _find_funnel_sites(signature_of(density))


@lru_cache(maxsize=64)
@recalled
@pause_collection()
def _find_funnel_sites(kind: ProgramSignature) -> tuple[str, ...]:
    density: LogDensity = kind.outline()
    position = jax.ShapeDtypeStruct((density.size,), jnp.result_type(float))
    traced, names = jax.make_jaxpr(_record_scales, return_shape=True)(density, position)
    found = find_dependent(traced.jaxpr, traced.jaxpr.invars[-1:])
    spread = {name for name, moves in zip(sorted(names), found, strict=True) if moves}
    return tuple(site.name for site in density.latent if site.name in spread)


def read_spreads(density: LogDensity, position: Vector) -> dict[str, Spread]:
    """Return the spread of the prior of each centered site of a location-scale family; traced."""
    reader = _SpreadRecorder(position, density)
    density.model.run(reader)
    return reader.spreads


def _record_scales(density: LogDensity, position: Vector) -> dict[str, Array]:
    return {name: spread.scale for name, spread in read_spreads(density, position).items()}
