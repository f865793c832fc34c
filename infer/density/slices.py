"""Find where each site is in the flat vector."""

import numpy as np

from ..models.protocol.site import Site


def find_slices(sites: tuple[Site, ...]) -> dict[str, slice]:
    """Return the entries of each latent site in the flat vector, by name.

    Args:
        sites: The latent sites, in the order of the vector.
    """
    sizes = [int(np.prod(site.unconstrained_shape)) for site in sites]
    ends = np.cumsum(sizes, dtype=int).tolist()
    triples = zip(sites, sizes, ends, strict=True)
    return {site.name: slice(end - size, end) for site, size, end in triples}
