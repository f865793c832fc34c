"""A latent site that is the flat vector itself has a group of its own beside the posterior."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray

from ...models.protocol.site import FLAT_SITE
from .versions import as_dataset

GROUP = "unconstrained_posterior"

Values = dict[str, np.ndarray]


def separate(values: Mapping[str, np.ndarray]) -> tuple[Values, Values]:
    """Split values by name into those of the group `posterior` and those of `GROUP`."""
    flat = {name: a for name, a in values.items() if name == FLAT_SITE}
    return {name: a for name, a in values.items() if name not in flat}, flat


def rejoin(data: Any) -> Any:
    """Return the group `posterior` of ArviZ data, with the flat site if they have one."""
    posterior = data["posterior"]
    if GROUP not in data or FLAT_SITE not in (flat := as_dataset(data[GROUP])):
        return posterior
    return xarray.merge([as_dataset(posterior), flat[[FLAT_SITE]]])
