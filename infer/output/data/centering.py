"""How far warm-up has centered the sites for which it learned that, as coordinates."""

import numpy as np
import xarray

from ...density.recentered import split_entries
from ...run.run import Run


def describe_centering(run: Run, sets: tuple[str, ...]) -> xarray.Dataset:
    """Describe the learned degrees of centering, `centering_` and the name of each site.

    The sampler moves in the coordinates y of x = location + scale^(1 - c) * (y - c * location),
    so c = 0 is non-centered and c = 1 is centered; for a multivariate normal all entries of a
    vector have the same degree. The draws of the result are those of x.
    They are coordinates for the reasons of `describe_metric`, repeated for every chain.

    Args:
        run: A run; if no centering is learned, there are no coordinates.
        sets: Name of the dimension of several data sets, if there are several.
    """
    centering, lead = run.warmup.centering, ("chain", *sets)
    if centering is None:
        return xarray.Dataset()
    chains = run.chains // run.family.count
    dims = {site.name: site.dims for site in run.density.latent}
    coords = {}
    for name, degrees in split_entries(centering.pieces, centering.degrees).items():
        axes = tuple(d or f"{name}_dim_{i}" for i, d in enumerate(dims[name]))
        repeated = np.broadcast_to(degrees, (chains, *degrees.shape))
        coords[f"centering_{name}"] = ((*lead, *axes), repeated)
    return xarray.Dataset(coords=coords)
