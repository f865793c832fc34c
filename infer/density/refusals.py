"""Refuse models that have no log density, and values that it cannot be computed at."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..errors import ModelError
from ..models.protocol.site import Declaration, Site
from ..target import Target


def refuse_without_log_det(sites: Sequence[Site]) -> None:
    """Raise if a map has no log-determinant, so that no density of the flat vector exists."""
    for site in sites:
        if site.why_no_log_det:
            raise ModelError(
                site.name,
                f"it has no posterior density: {site.why_no_log_det}",
                'Freeze it, or infer the arrays inside it; MAP(space="constrained") needs no '
                "Jacobian.",
            )


def refuse_dependent_scores(target: Target, site: str) -> None:
    """Raise if a score depends on other sites, since it lacks the derivatives along those.

    Args:
        target: A log density with priors that are known by their scores alone.
        site: The first site with such a prior, for the message.
    """
    try:
        # JAX would compare the method itself by the arrays of its density, which may be traced.
        jax.eval_shape(lambda q: target.unvalued_gradient(q), jnp.zeros(target.size))
    except ValueError as error:
        # Equinox's message for differentiating something that only a keyword argument reaches.
        if "keyword tangent" not in str(error):
            raise
        raise ModelError(
            site,
            "its score depends on another latent site, but does not say how the log density of "
            "its prior changes with that site",
            "Freeze that site or give its value as data, or use a prior with a log density.",
        ) from error


def refuse_misnamed(
    given: Mapping[str, Any], latent: Sequence[Site], *, partial: bool = False
) -> None:
    """Raise if values are missing (unless `partial`), unknown, or not of their site's shape."""
    shapes = {site.name: site.shape for site in latent}
    wrong = given.keys() - shapes.keys() if partial else shapes.keys() ^ given.keys()
    for name in sorted(wrong):
        missing = name in shapes
        raise ModelError(
            name,
            "no value is given for it" if missing else "a value is given, but it is no latent site",
            f"The latent sites are {', '.join(shapes)}.",
        )
    for name, value in given.items():
        if value.shape != shapes[name]:
            raise ModelError(
                name,
                f"the value has shape {value.shape}",
                f"Give it the shape {shapes[name]} of the site.",
            )


def refuse_outside(declaration: Declaration, value: Array) -> None:
    """Raise if a value is known to lie outside the set of its site."""
    if declaration.holds(value) is False:
        raise ModelError(
            declaration.name,
            f"the value {np.asarray(value)} lies outside {declaration.constraint!r}",
            "Give a value inside the set, or declare another constraint.",
        )
